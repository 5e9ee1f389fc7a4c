"""When a session's sound was there to be taken, by its position: where clocks of speech start.

Knows positions in milliseconds of audio received and moments on a monotonic clock.
"""

from __future__ import annotations

from collections import deque

# Who asks is never further back than the longest silence before a turn's end.
KEPT_MS = 30_000
MAX_PIECES = 4096
# Sound before a sample by which it is judged whether it came at the pace of speech.
JUDGED_MS = 2_000
# Of so much sound that took at least this share of its length to come, it is said that it did.
LIVE_MS = 200
LIVE_SHARE = 0.5

Piece = tuple[int, float]  # where it ends, and when it came


class Arrivals:
    """The pieces of the last half minute."""

    def __init__(self) -> None:
        self._pieces: deque[Piece] = deque(maxlen=MAX_PIECES)

    def took(self, until_ms: int, at_s: float) -> None:
        """The sound up to `until_ms` came at `at_s`, as one piece behind the one before."""
        self._pieces.append((until_ms, at_s))
        while self._pieces[0][0] < until_ms - KEPT_MS and len(self._pieces) > 1:
            self._pieces.popleft()

    def moment_s(self, position_ms: int) -> float | None:
        """Returns when the sample at a position was due here; None before there was any sound.

        Of sound that comes at the pace of speech, each sample is due as long after another as it
        was spoken after it; the piece that took the shortest way says when. So what waited before
        it was taken, on the network or because we were busy, was waited for by the speaker too.
        Sound that comes faster, as from a file, is due when it comes: a piece no earlier than the
        one before it.
        """
        pieces = list(self._pieces)
        if not pieces:
            return None
        place = next((i for i, (until, _) in enumerate(pieces) if until >= position_ms), None)
        if place is None:
            return pieces[-1][1]
        until_ms, at_s = pieces[place]
        around = [piece for piece in pieces if piece[0] >= position_ms - JUDGED_MS]
        if _is_live(around):
            shortest_s = min(at_s - until_ms / 1000 for until_ms, at_s in around)
            return min(at_s, shortest_s + position_ms / 1000)
        moment_s = at_s - (until_ms - position_ms) / 1000
        return max(pieces[place - 1][1], moment_s) if place else moment_s


def _is_live(pieces: list[Piece]) -> bool:
    """Whether sound came at the pace of speech, give or take what was held up on its way."""
    (first_ms, first_s), (last_ms, last_s) = pieces[0], pieces[-1]
    length_ms = last_ms - first_ms
    return length_ms >= LIVE_MS and last_s - first_s >= LIVE_SHARE * length_ms / 1000
