"""The end of a server in two steps: nobody new comes in, then whoever is still there has to go.

Knows that it has begun and when it is over. Does not know signals (`serve.py`) or who is there
(`gateway.py`).
"""

from __future__ import annotations

import asyncio

from server.errors import DrainingError


class Draining:
    """Begins once; it cannot be taken back."""

    def __init__(self) -> None:
        self.begun = False
        self._over = asyncio.Event()

    def begin(self) -> None:
        """From now on nobody new is let in."""
        self.begun = True

    def finish(self) -> None:
        """Whoever is still there has to go now."""
        self.begun = True
        self._over.set()

    def check(self, conversations: int) -> None:
        """Raises DrainingError once it has begun; it names how many are still there."""
        if self.begun:
            raise DrainingError(
                f"the server is about to end and takes nobody new; {conversations} conversations "
                "are still open here"
            )

    async def over_within(self, seconds: float) -> bool:
        """Waits at most so long for `finish`; says whether it came."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return False
        return True
