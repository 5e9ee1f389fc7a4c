"""An engine's start in lines for people: one whenever a stage begins or is a quarter further.

Does not know where the lines go.
"""

from __future__ import annotations

from streaming.engine.messages.events import EngineLoading


class StartLines:
    """Makes lines of the steps of one start, or of several."""

    def __init__(self) -> None:
        self._last = ""

    def line(self, step: EngineLoading) -> str | None:
        """Returns what to say of a step; None if the last line said as much."""
        share = "" if step.fraction is None else f" {int(step.fraction * 4) * 25}%"
        line = step.stage + share
        if line == self._last:
            return None
        self._last = line
        return line
