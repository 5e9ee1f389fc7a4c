"""The files of one chat completion's request, decoded: sounds, images and videos.

Knows how much there may be of them together. Does not know formats (`sound_files.py`,
`video_files.py`, `streaming/media/eye.py`) or the request.
"""

from __future__ import annotations

from server.sessions import new_eye
from server.settings import Settings
from server.sound_files import decoded_sound
from server.video_files import VideoBounds, decoded_film
from streaming.media.video import Pixels
from streaming.protocol import commands as said
from streaming.protocol.completion_parts import FrameFiles, ImageFile, SoundFile, VideoFile
from streaming.protocol.completion_request import AskedPart
from streaming.protocol.errors import ProtocolError
from streaming.protocol.limits import Limits
from streaming.protocol.wire_image import frame_of, looked_at


class MediaFiles:
    """Decodes the parts of one request."""

    def __init__(self, limits: Limits, settings: Settings) -> None:
        self._limits = limits
        self._eye = new_eye(settings)
        self._max_pixels = settings.max_image_pixels
        self._pixels = 0
        self._bounds = VideoBounds(
            max_video_frames=settings.max_video_frames,
            max_frame_pixels=settings.max_frame_pixels,
            max_turn_ms=limits.max_turn_ms,
        )

    def part(self, part: AskedPart) -> said.Part:
        """Returns the part with what is in its file.

        Raises:
            ProtocolError: The file cannot be used, or is beyond a limit; names it.
        """
        match part:
            case SoundFile(data=data, kind=kind, param=param):
                max_ms = self._limits.max_turn_ms
                return said.AudioPart(pcm=decoded_sound(data, kind, max_ms=max_ms, param=param))
            case ImageFile():
                return said.ImagePart(frame=frame_of(self._image(part)))
            case VideoFile(data=data, fps=fps, param=param):
                film = decoded_film(data, fps=fps, bounds=self._bounds, param=param)
                frames = tuple(map(frame_of, film.frames))
                return said.VideoPart(frames=frames, frames_per_second=fps, pcm=film.pcm or None)
            case FrameFiles(fps=fps):
                frames = tuple(frame_of(pixels) for pixels in self._frames(part))
                return said.VideoPart(frames=frames, frames_per_second=fps)
            case _:
                return part

    def _image(self, file: ImageFile) -> Pixels:
        pixels = looked_at(lambda: self._eye.image(file.data, low=file.low), param=file.param)
        self._pixels += pixels.shape[0] * pixels.shape[1]
        if self._pixels > self._max_pixels:
            raise ProtocolError(
                "image_too_large",
                f"Invalid '{file.param}': {self._pixels} pixels in the images of one request, "
                f"expected at most {self._max_pixels} (max_image_pixels).",
                file.param,
            )
        return pixels

    def _frames(self, video: FrameFiles) -> list[Pixels]:
        most = self._bounds.max_video_frames
        if len(video.files) > most:
            raise ProtocolError(
                "array_above_max_length",
                f"Invalid '{video.param}': {len(video.files)} images, expected at most {most} "
                "(max_video_frames).",
                video.param,
            )
        return [
            looked_at(lambda file=file: self._eye.frame(file), param=f"{video.param}[{index}]")  # type: ignore[misc]
            for index, file in enumerate(video.files)
        ]
