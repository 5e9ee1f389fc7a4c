"""How long a session may last, and how long it may be idle.

Knows a monotonic clock, two limits and the server's own end. Does not know what counts as being
busy: whoever owns a session says so.
"""

from __future__ import annotations

import time

from server.draining import Draining
from server.errors import IdleError, ServerEndsError, SessionExpiredError
from server.settings import Settings


class Lifetime:
    """Begins when it is made."""

    def __init__(self, settings: Settings, draining: Draining) -> None:
        self._draining = draining
        self._max_s = settings.max_session_s
        self._idle_s = settings.idle_timeout_s
        self._began_s = self._busy_s = time.monotonic()

    def touch(self) -> None:
        """Something was said."""
        self._busy_s = time.monotonic()

    async def end(self) -> None:
        """Waits for the end of the session.

        Raises:
            SessionExpiredError: It has lasted as long as it may.
            IdleError: Nothing was said for as long as that may be.
            ServerEndsError: The server ends first.
        """
        while True:
            now_s = time.monotonic()
            left_s = self._began_s + self._max_s - now_s
            idle_left_s = self._busy_s + self._idle_s - now_s
            if left_s <= 0:
                raise SessionExpiredError(f"the session lasted {self._max_s} s (max_session_s)")
            if idle_left_s <= 0:
                raise IdleError(f"nothing was said for {self._idle_s} s (idle_timeout_s)")
            if await self._draining.over_within(min(left_s, idle_left_s)):
                raise ServerEndsError("the server ends; open a new session")
