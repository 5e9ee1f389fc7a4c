"""A camera's pictures, sampled by time and bounded in size and number.

Knows pictures as arrays and positions in milliseconds of audio received. Does not know codecs or
the model's own sizes: what comes out is no larger than the model can use, and never enlarged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streaming.media.errors import FrameError

Pixels = npt.NDArray[np.uint8]

# The most that the architecture makes of one video frame: 768 positions of 28 × 28 pixels.
MODEL_PIXELS = 768 * 28 * 28
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

    def __init__(self, *, fps: float, max_pixels: int) -> None:
        self._interval_ms = 1000.0 / fps
        self._max_pixels = max_pixels
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
                "(max_frame_pixels)"
            )
        if min(columns, rows) < MIN_SIDE:
            raise FrameError(f"a picture of {columns} × {rows} pixels has a side below {MIN_SIDE}")
        if max(columns, rows) > MAX_ASPECT * min(columns, rows):
            raise FrameError(f"a picture of {columns} × {rows} pixels is beyond 1:{MAX_ASPECT}")
        scale = min(1.0, math.sqrt(MODEL_PIXELS / (columns * rows)))
        return _even(columns * scale), _even(rows * scale)


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


def _even(side: float) -> int:
    return max(2, math.floor(side / 2) * 2)
