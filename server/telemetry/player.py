"""A listener's buffer, as far as the server can know it: what was sent plays without a pause.

Knows sound sent and a monotonic clock. Does not know transports.
"""

from __future__ import annotations


class Player:
    """Begins to play with the first sound, and goes on as soon as there is more after a gap.

    Attributes:
        underrun_s: Gaps so far: how long it had nothing to play in the midst of a reply.
    """

    def __init__(self) -> None:
        self.underrun_s = 0.0
        self._dry_at_s: float | None = None

    def sent(self, sound_s: float, now_s: float) -> None:
        """Sound of `sound_s` leaves now."""
        if self._dry_at_s is None:
            self._dry_at_s = now_s
        elif now_s > self._dry_at_s:
            self.underrun_s += now_s - self._dry_at_s
            self._dry_at_s = now_s
        self._dry_at_s += sound_s

    def plays(self, now_s: float) -> bool:
        """Says whether it has something to play."""
        return self._dry_at_s is not None and now_s < self._dry_at_s
