"""What stands between a peer's video packets and aiortc's decoder.

aiortc decodes whatever comes, in a thread, from a queue without a bound; its decoders make room for
whatever size a header claims. Here a frame that claims too much, or one too many, turns the camera
off. Knows aiortc's receiver. Does not know what pictures are for.
"""

from __future__ import annotations

import logging
from typing import Any

from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import JitterBuffer

from server.webrtc.errors import FloodError
from streaming.media.errors import FrameError
from streaming.media.video_headers import h264_sizes, vp8_sizes

CAPACITY_PACKETS = 512
# How aiortc's receiver, of the version that is asked for, calls its own.
_PRIVATE = "_RTCRtpReceiver__"
_SIZES = {"video/vp8": vp8_sizes, "video/h264": h264_sizes}
# It has a line for each frame that cannot be decoded, as many as a peer likes to send.
logging.getLogger("aiortc.rtcrtpreceiver").setLevel(logging.ERROR)


class VideoGuard:
    """Takes the place of a receiver's jitter buffer, and has one inside.

    Attributes:
        failure: Why the camera had to be turned off; None while it is on.
    """

    def __init__(
        self, receiver: RTCRtpReceiver, *, max_frame_pixels: int, max_waiting_frames: int
    ) -> None:
        """Takes the packets of this receiver from now on.

        `max_waiting_frames` may wait for aiortc's decoder, and as many pictures behind it.
        """
        self.failure: FrameError | FloodError | None = None
        self._receiver = receiver
        self._max_pixels = max_frame_pixels
        self._max_waiting = max_waiting_frames
        self._buffer = JitterBuffer(capacity=CAPACITY_PACKETS, is_video=True)
        self._pictures = receiver.track._queue  # type: ignore[attr-defined]
        self._frames = getattr(receiver, _PRIVATE + "decoder_queue")
        self._codecs = getattr(receiver, _PRIVATE + "codecs")
        assert hasattr(receiver, _PRIVATE + "jitter_buffer")
        setattr(receiver, _PRIVATE + "jitter_buffer", self)

    def add(self, packet: Any) -> tuple[bool, Any]:
        """Takes a packet; says whether to ask for a key frame, and gives a frame to decode.

        A frame whose size cannot be read is not decoded, and a new one is asked for.
        """
        wants_key, frame = self._buffer.add(packet)
        if frame is None:
            return wants_key, None
        if self._pictures.qsize() > self._max_waiting:
            return True, None  # nobody looks at them just now
        try:
            self._check(packet.payload_type, frame.data)
        except FrameError as error:
            if error.code != "image_too_large":
                return True, None
            self.turn_off(error)
        except FloodError as error:
            self.turn_off(error)
        return wants_key, None if self.failure else frame

    def turn_off(self, failure: FrameError | FloodError) -> None:
        """The camera is off from now on; whoever waits for a picture is told."""
        self.failure = self.failure or failure
        self.close()
        self._pictures.put_nowait(None)

    def close(self) -> None:
        """Packets are not even looked at any more."""
        self._receiver._enabled = False

    def _check(self, payload_type: int, frame: bytes) -> None:
        waiting = self._frames.qsize()
        if waiting > self._max_waiting:
            raise FloodError(
                f"{waiting} video frames wait to be decoded, more than {self._max_waiting} "
                "(max_waiting_frames)"
            )
        if not frame:
            raise FrameError("a frame is empty; to a decoder that is the end of all")
        kind = self._codecs[payload_type].mimeType.lower()
        if kind not in _SIZES:
            raise FrameError(f"frames of {kind} are not decoded")
        for columns, rows in _SIZES[kind](frame):
            if columns * rows > self._max_pixels:
                raise FrameError(
                    f"a picture of {columns} × {rows} pixels is larger than {self._max_pixels} "
                    "(max_frame_pixels)",
                    code="image_too_large",
                )
