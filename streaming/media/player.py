"""A loudspeaker that only counts: would a reply have played without a gap?

Knows arrival times, on any steady clock, and durations. Does not know sound, sockets or clocks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Player:
    """Plays from the first arrival on, and waits whenever it has nothing left.

    Attributes:
        first_s: When the first audio arrived; None before.
        last_s: When the latest audio arrived; None before.
        received_s: Audio that has arrived.
        underruns: How often there was nothing left before more came.
        underrun_s: How long it waited in all, after it had begun.
    """

    first_s: float | None = None
    last_s: float | None = None
    received_s: float = 0.0
    underruns: int = 0
    underrun_s: float = 0.0

    def receive(self, duration_s: float, at_s: float) -> None:
        """Takes `duration_s` of audio that arrived at `at_s`; times never go back."""
        assert duration_s >= 0.0, duration_s
        if duration_s == 0.0:
            return
        if self.first_s is None:
            self.first_s = at_s
        assert self.last_s is None or at_s >= self.last_s, "arrival times went back"
        late_s = at_s - self.dry_at_s
        if late_s > 0.0:
            self.underruns += 1
            self.underrun_s += late_s
        self.received_s += duration_s
        self.last_s = at_s

    @property
    def dry_at_s(self) -> float:
        """When it has played all that has arrived; begins with the first arrival."""
        assert self.first_s is not None, "nothing has arrived"
        return self.first_s + self.received_s + self.underrun_s

    def played_s(self, now_s: float) -> float:
        """Audio that was heard until `now_s`."""
        return self.received_s - self.buffered_s(now_s)

    def buffered_s(self, now_s: float) -> float:
        """Audio that is still to be heard at `now_s`."""
        return 0.0 if self.first_s is None else max(0.0, self.dry_at_s - now_s)
