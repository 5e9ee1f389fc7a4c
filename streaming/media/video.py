"""A camera's pictures, sampled by time and bounded in size and number.

Knows pictures as arrays and positions in milliseconds of audio received. Does not know codecs or
the model's own sizes: what comes out is no larger than the model can use, and never enlarged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streaming.media.errors import FrameError

Pixels = npt.NDArray[np.uint8]

# What the architecture makes of a video's temporal step of two frames: 128 to 768 positions, each
# of 28 × 28 pixels.
POSITION_PIXELS = 28 * 28
STEP_TOKENS = (128, 768)
MODEL_PIXELS = STEP_TOKENS[1] * POSITION_PIXELS
MIN_SIDE = 28
MAX_ASPECT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFrame:
    """One picture.

    Attributes:
        pixels: uint8 [rows, columns, 3], RGB.
        at_ms: Audio received when it was taken, since the session began.
    """

    pixels: Pixels
    at_ms: int


class FrameSampler:
    """Says which pictures of a stream to keep, at a steady rate in the stream's time."""

    def __init__(self, *, fps: float, max_pixels: int, frame_pixels: int = MODEL_PIXELS) -> None:
        self._interval_ms = 1000.0 / fps
        self._max_pixels = max_pixels
        self._frame_pixels = frame_pixels
        self._next_ms: float | None = None

    def wants(self, at_ms: int) -> bool:
        """Whether the picture at `at_ms` is one to keep; then it is counted as kept."""
        if self._next_ms is None:
            self._next_ms = at_ms
        if at_ms < self._next_ms:
            return False
        # Counted from the start, so that the rate does not drift; after a pause it begins anew.
        self._next_ms += self._interval_ms
        if self._next_ms <= at_ms:
            self._next_ms = at_ms + self._interval_ms
        return True

    def size(self, columns: int, rows: int) -> tuple[int, int]:
        """The size to scale to (columns, rows): even, of the same aspect, never larger than it was.

        Raises:
            FrameError: The picture is too large, too small or too narrow; names the limit.
        """
        if columns * rows > self._max_pixels:
            raise FrameError(
                f"a picture of {columns} × {rows} pixels is larger than {self._max_pixels} "
                "(max_frame_pixels)",
                code="image_too_large",
            )
        columns, rows = fitted(columns, rows, self._frame_pixels)
        return _even(columns), _even(rows)


class Album:
    """The pictures that wait for their turn: at most `max_frames`, thinned evenly when full.

    Attributes:
        thinned: Pictures that were left out or taken out again.
    """

    def __init__(self, max_frames: int) -> None:
        assert max_frames >= 2, max_frames
        self.thinned = 0
        self._max_frames = max_frames
        self._frames: list[VideoFrame] = []
        self._stride = 1
        self._seen = 0

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: VideoFrame) -> None:
        """Keep a picture, or, once the album has been thinned, every second, fourth … one."""
        if self._seen % self._stride == 0:
            self._frames.append(frame)
        else:
            self.thinned += 1
        self._seen += 1
        if len(self._frames) > self._max_frames:
            self.thinned += len(self._frames) // 2
            self._frames = self._frames[::2]
            self._stride *= 2

    def take(self, until_ms: int | None = None) -> list[VideoFrame]:
        """The pictures up to `until_ms`, in order; each is handed out once."""
        taken = [frame for frame in self._frames if until_ms is None or frame.at_ms <= until_ms]
        self._frames = self._frames[len(taken) :]
        self._stride, self._seen = 1, 0
        return taken


def fitted(columns: int, rows: int, max_pixels: int | None) -> tuple[int, int]:
    """The size to scale to (columns, rows): of the same aspect, and never larger than it was.

    Raises:
        FrameError: The picture is too small or too narrow; names the limit.
    """
    if min(columns, rows) < MIN_SIDE:
        raise FrameError(f"a picture of {columns} × {rows} pixels has a side below {MIN_SIDE}")
    if max(columns, rows) > MAX_ASPECT * min(columns, rows):
        raise FrameError(f"a picture of {columns} × {rows} pixels is beyond 1:{MAX_ASPECT}")
    if max_pixels is None or columns * rows <= max_pixels:
        return columns, rows
    scale = math.sqrt(max_pixels / (columns * rows))
    return max(1, math.floor(columns * scale)), max(1, math.floor(rows * scale))


def frame_tokens(frame: VideoFrame) -> float:
    """How many positions the model makes of one frame of a video, of two that share them."""
    rows, columns = frame.pixels.shape[:2]
    least, most = STEP_TOKENS
    return min(max(float(rows * columns) / POSITION_PIXELS, least), most) / 2


def thinned(frames: Sequence[VideoFrame], count: int) -> list[VideoFrame]:
    """At most `count` of the frames, evenly spread, the last one among them."""
    if len(frames) <= count:
        return list(frames)
    last = len(frames) - 1
    return [frames[last - round(n * last / max(1, count - 1))] for n in reversed(range(count))]


def _even(side: int) -> int:
    return max(2, side // 2 * 2)
