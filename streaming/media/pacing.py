"""When each frame of an endless stream is due: arithmetic only, no clock.

Due times are counted from the start, so that nothing drifts: after a stall the frames that are
behind follow at once. After a stall longer than `max_late_s` they are left out instead, because a
burst of old frames would only be thrown away by the peer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """When a frame is due, and how many before it were left out."""

    at_s: float
    skipped_frames: int = 0


class Pacer:
    """Frames of one length; the first is due when it is first asked for."""

    def __init__(self, *, frame_s: float = 0.020, max_late_s: float = 0.200) -> None:
        self._frame_s = frame_s
        self._max_late_s = max_late_s
        self._start_s: float | None = None
        self._frames = 0

    def next(self, now_s: float) -> Due:
        """The next frame, asked for at `now_s`."""
        if self._start_s is None:
            self._start_s = now_s
        at_s = self._start_s + self._frames * self._frame_s
        skipped = 0
        if now_s - at_s > self._max_late_s:
            skipped = int((now_s - at_s) / self._frame_s)
            at_s += skipped * self._frame_s
        self._frames += skipped + 1
        return Due(at_s=at_s, skipped_frames=skipped)
