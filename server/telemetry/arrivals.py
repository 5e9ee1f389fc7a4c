"""When a session's sound arrived, by its position: what clocks that start in speech are read from.

Knows positions in milliseconds of audio received and moments on a monotonic clock.
"""

from __future__ import annotations

from collections import deque

# Who asks is never further back than the longest silence before a turn's end.
KEPT_MS = 30_000
MAX_PIECES = 4096


class Arrivals:
    """The pieces of the last half minute."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, float]] = deque(maxlen=MAX_PIECES)  # ends, and when

    def took(self, until_ms: int, at_s: float) -> None:
        """The sound up to `until_ms` arrived at `at_s`, as one piece behind the one before."""
        self._pieces.append((until_ms, at_s))
        while self._pieces[0][0] < until_ms - KEPT_MS and len(self._pieces) > 1:
            self._pieces.popleft()

    def moment_s(self, position_ms: int) -> float | None:
        """Returns when the sample at a position arrived; None before there was any sound.

        In the midst of a piece it is as long before the piece's arrival as it stands before its
        end, since that is when it was spoken, but not before the piece before: sound that comes
        faster than it is spoken, as from a file, did not take that long.
        """
        before_s: float | None = None
        moment_s: float | None = None
        for until_ms, at_s in reversed(self._pieces):
            if until_ms < position_ms:
                before_s = at_s
                break
            moment_s = at_s - (until_ms - position_ms) / 1000
        if moment_s is None:
            return self._pieces[-1][1] if self._pieces else None
        return moment_s if before_s is None else max(before_s, moment_s)
