"""What the lives of all callers have in common: they arrive, call, and call again.

Knows arrivals, broken lines and when a caller has nothing left to say. Does not know what is said.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random

from server.bench.load.line import Opening
from server.bench.load.script import CALL_AGAIN_S, Script, Tally, TurnError


class Life(ABC):
    """One caller's.

    Args:
        tally: Its account.
        script: What all callers of the step have in common.
        opening: Opens a line, with a microphone of its own each time.
        random: Of all its chance.
    """

    def __init__(self, tally: Tally, script: Script, opening: Opening, random: Random) -> None:
        self.tally = tally
        self._script = script
        self._opening = opening
        self._random = random
        self._clock: Callable[[], float] = asyncio.get_running_loop().time

    async def live(self, arrives_s: float) -> None:
        """Arrives, talks, and calls again when a line breaks, until it has nothing left to say."""
        await asyncio.sleep(arrives_s - self._clock())
        while not self._may_leave:
            self.tally.begin_turn(self._clock())
            try:
                await self._call()
            except TurnError as end:
                self.tally.end_turn(end.outcome, self._clock(), end.reason)
                await asyncio.sleep(CALL_AGAIN_S)

    @property
    def _may_leave(self) -> bool:
        return self.tally.paid.is_set() and not self._script.stays

    @abstractmethod
    async def _call(self) -> None:
        """Has one line from its opening to its end.

        Raises:
            TurnError: It was not had, or broke.
        """
