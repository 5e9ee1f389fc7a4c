"""Video files in memory: any that FFmpeg reads, to frames at an even pace and the sound with them.

Knows containers and bounds. Does not know requests or what the frames are for.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

import av
import numpy as np
from av.error import FFmpegError

from streaming.media.errors import FrameError
from streaming.media.resample import MODEL_RATE_HZ
from streaming.media.video import MODEL_PIXELS, Pixels, fitted
from streaming.protocol.errors import ProtocolError

# However many frames a second a file claims to have, no more are decoded for each that is kept.
MAX_DECODED_PER_KEPT = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoBounds:
    """What a file may be, each by the name of its setting."""

    max_video_frames: int
    max_frame_pixels: int
    max_turn_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A decoded file: RGB frames, and float32 LE, 16 kHz, mono sound, empty if it has none."""

    frames: list[Pixels]
    pcm: bytes


def decoded_film(data: bytes, *, fps: float, bounds: VideoBounds, param: str) -> Film:
    """Decodes a video file.

    Args:
        data: The file.
        fps: Frames a second that are kept: of each moment n / fps the one that is shown then.
        bounds: What it may be.
        param: Where it stands in the request.

    Raises:
        ProtocolError: No video that can be read, or beyond a bound; names it.
    """
    try:
        frames = list(_sampled(data, fps, bounds))
        return Film(frames=frames, pcm=_sound(data, bounds))
    except FrameError as error:
        raise ProtocolError(error.code, f"Invalid '{param}': {error}.", param) from None
    except (FFmpegError, ValueError, OSError) as error:
        message = f"Invalid '{param}': no video file that can be read: {error}."
        raise ProtocolError("invalid_value", message, param) from None


def _sampled(data: bytes, fps: float, bounds: VideoBounds) -> Iterator[Pixels]:
    kept = 0
    with av.open(io.BytesIO(data), "r", metadata_errors="ignore") as container:
        if not container.streams.video:
            raise FrameError("the file has no pictures")
        last: av.VideoFrame | None = None
        for decoded, (frame, following) in enumerate(pairwise(_with_end(container))):
            assert frame is not None
            last = frame
            end_s = _until_s(frame, following)
            while kept / fps < end_s:
                if kept >= bounds.max_video_frames:
                    raise FrameError(
                        f"the video has more than {bounds.max_video_frames} frames at {fps:g} a "
                        "second (max_video_frames)",
                        code="video_too_long",
                    )
                kept += 1
                yield _picture(frame, bounds.max_frame_pixels)
            if decoded > MAX_DECODED_PER_KEPT * (kept + 1):
                raise FrameError(f"more than {MAX_DECODED_PER_KEPT} frames for each that is kept")
        if last is None:
            raise FrameError("the file has no pictures")
        if not kept:
            yield _picture(last, bounds.max_frame_pixels)


def _with_end(container: av.container.InputContainer) -> Iterator[av.VideoFrame | None]:
    yield from container.decode(video=0)
    yield None


def _until_s(frame: av.VideoFrame, following: av.VideoFrame | None) -> float:
    """When the next frame replaces this one; the last is shown for as long as it says."""
    if following is not None and following.time is not None:
        return following.time
    time_s = frame.time or 0.0
    if frame.duration and frame.time_base is not None:
        return time_s + float(frame.duration * frame.time_base)
    return time_s + 1e-3


def _picture(frame: av.VideoFrame, max_pixels: int) -> Pixels:
    if frame.width * frame.height > max_pixels:
        raise FrameError(
            f"a picture of {frame.width} × {frame.height} pixels is larger than {max_pixels} "
            "(max_frame_pixels)",
            code="image_too_large",
        )
    columns, rows = fitted(frame.width, frame.height, MODEL_PIXELS)
    scaled = frame.reformat(width=columns, height=rows, format="rgb24")
    return scaled.to_ndarray().astype(np.uint8, copy=False)


def _sound(data: bytes, bounds: VideoBounds) -> bytes:
    samples: list[np.ndarray] = []
    count, most = 0, bounds.max_turn_ms * MODEL_RATE_HZ // 1000
    with av.open(io.BytesIO(data), "r", metadata_errors="ignore") as container:
        if not container.streams.audio:
            return b""
        resampler = av.AudioResampler(format="flt", layout="mono", rate=MODEL_RATE_HZ)
        for frame in chain(container.decode(audio=0), (None,)):
            for resampled in resampler.resample(frame):
                samples.append(resampled.to_ndarray()[0])
                count += len(samples[-1])
            if count > most:
                raise FrameError(
                    f"the sound is longer than {bounds.max_turn_ms}ms (max_turn_ms)",
                    code="video_too_long",
                )
    return np.concatenate(samples or [np.zeros(0)]).astype("<f4").tobytes()
