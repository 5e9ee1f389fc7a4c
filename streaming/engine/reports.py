"""When the gateway is told how busy the engine is: at most once a second, the last change always.

Knows a clock and whether anything has changed. Does not know what is told.
"""

from __future__ import annotations

import math

INTERVAL_S = 1.0


class Reports:
    """Says when one is due."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._sent_s = -math.inf
        self._has_news = False

    def note(self, *, changed: bool) -> None:
        """Something has changed since the last report, or nothing has."""
        self._has_news = self._has_news or changed

    def wait_s(self, now_s: float) -> float | None:
        """Returns how long one may still wait for other things; None where none is due."""
        if not self._has_news:
            return None
        return max(0.0, self._sent_s + self._interval_s - now_s)

    def take(self, now_s: float) -> bool:
        """Says whether one is to be sent now; then it counts as sent."""
        if self.wait_s(now_s) != 0.0:
            return False
        self._sent_s = now_s
        self._has_news = False
        return True
