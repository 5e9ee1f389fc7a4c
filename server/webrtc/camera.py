"""The peer's camera: decoded video becomes sampled, scaled RGB pictures.

Knows aiortc's video track. Does not know what the pictures are for.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCRtpReceiver
from aiortc.mediastreams import MediaStreamError

from server.settings import Settings
from server.telemetry.line import LineWatch
from server.webrtc.video_guard import VideoGuard
from streaming.media.video import FrameSampler, Pixels


class Camera:
    """Samples the pictures of a track; a camera that sends too much is turned off."""

    def __init__(self, settings: Settings, position_ms: Callable[[], int], line: LineWatch) -> None:
        self._settings = settings
        self._line = line
        self._sampler = FrameSampler(
            fps=settings.camera_fps,
            max_pixels=settings.max_frame_pixels,
            frame_pixels=settings.camera_pixels,
        )
        self._position_ms = position_ms

    def guarded(self, receiver: RTCRtpReceiver) -> VideoGuard:
        """Returns a guard before this receiver, with the bounds of the settings."""
        return VideoGuard(
            receiver,
            max_frame_pixels=self._settings.max_frame_pixels,
            max_waiting_frames=self._settings.max_waiting_frames,
        )

    async def watch(
        self, track: MediaStreamTrack, guard: VideoGuard, thinned: Callable[[], int]
    ) -> AsyncGenerator[Pixels]:
        """Yields pictures until the track ends; `thinned` says how many were left out later.

        Raises:
            FrameError: A picture is too large; names the limit.
            FloodError: More comes than can be decoded; names the limit.
        """
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.VideoFrame)
                is_kept = self._sampler.wants(self._position_ms())
                self._line.saw(is_kept=is_kept, thinned=thinned())
                if is_kept:
                    yield self._picture(frame)
        except MediaStreamError:
            if guard.failure is not None:
                raise guard.failure from None
            return
        finally:
            guard.close()

    def _picture(self, frame: av.VideoFrame) -> Pixels:
        columns, rows = self._sampler.size(frame.width, frame.height)
        scaled = frame.reformat(width=columns, height=rows, format="rgb24")
        return scaled.to_ndarray().astype(np.uint8, copy=False)
