"""A loudspeaker that only counts: would the reply have played without a gap?

Knows arrival times and durations. Does not know sockets or sound.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Playout:
    """Starts to play when the first sound arrives, and waits whenever it runs dry.

    Attributes:
        underruns: How often it ran dry before the reply ended.
        underrun_s: How long it was silent in all, after it had begun.
        first_s: When the first sound arrived; None before.
        last_s: When the latest sound arrived; None before.
        received_s: Seconds of speech received.
    """

    underruns: int = 0
    underrun_s: float = 0.0
    first_s: float | None = None
    last_s: float | None = None
    received_s: float = 0.0
    _dry_at_s: float = 0.0

    def receive(self, duration_s: float, now_s: float) -> None:
        """Takes `duration_s` of speech that arrived at `now_s`, on any steady clock.

        No sound is no arrival, and times never go back.
        """
        assert duration_s >= 0.0, duration_s
        assert self.last_s is None or now_s >= self.last_s, "arrival times went back"
        if duration_s == 0.0:
            return
        if self.first_s is None:
            self.first_s = self._dry_at_s = now_s
        gap_s = now_s - self._dry_at_s
        if gap_s > 0:
            self.underruns += 1
            self.underrun_s += gap_s
            self._dry_at_s = now_s
        self._dry_at_s += duration_s
        self.received_s += duration_s
        self.last_s = now_s

    def remaining_s(self, now_s: float) -> float:
        """How much is still to be played at `now_s`."""
        return max(0.0, self._dry_at_s - now_s) if self.first_s is not None else 0.0
