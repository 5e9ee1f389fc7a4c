"""The calls that are open: found by id, ended together with the server.

Knows ids, owners, tasks and what all calls share. Does not know what a call does.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from server.doors import Visitor
from server.settings import Settings
from server.webrtc.errors import NoSuchCallError
from server.webrtc.ice import IceServers
from server.webrtc.listeners import Listeners

# A call that has ended is garbage in cycles, megabytes of it in native memory, which Python would
# only look for after some forty more.
COLLECT_EVERY_CALLS = 8
# Encoding takes a third of a millisecond for each call and 20 ms.
ENCODER_THREADS = 2


class Endable(Protocol):
    """A call, as much as needs to be known of it here."""

    call_id: str
    visitor: Visitor
    listeners: Listeners

    def hang_up(self, reason: str) -> None:
        """Ask for its end."""

    def run(self) -> Coroutine[Any, Any, None]:
        """Live, and clean up."""


class Calls:
    """Every open call, and the threads that encode for all of them."""

    def __init__(self, settings: Settings) -> None:
        """Takes the settings.

        Raises:
            SettingsError: An address or URL in them cannot be used.
        """
        self.ice = IceServers(settings)
        self.encoding = ThreadPoolExecutor(ENCODER_THREADS, thread_name_prefix="opus")
        self._calls: dict[str, Endable] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = 0

    def __len__(self) -> int:
        return len(self._calls)

    def start(self, call: Endable) -> None:
        """Lets a call live from now on."""
        self._calls[call.call_id] = call
        task = asyncio.create_task(self._run(call), name=call.call_id)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def opener(self, call_id: str) -> Visitor | None:
        """Returns who opened a call; None if there is none of this id."""
        call = self._calls.get(call_id)
        return None if call is None else call.visitor

    def hang_up(self, call_id: str, visitor: Visitor) -> None:
        """Asks for a call's end.

        Raises:
            NoSuchCallError: There is none of this id that has the visitor's owner.
        """
        self.find(call_id, visitor).hang_up("the call was hung up")

    def find(self, call_id: str, visitor: Visitor) -> Endable:
        """Returns an open call.

        Raises:
            NoSuchCallError: There is none of this id that has the visitor's owner.
        """
        call = self._calls.get(call_id)
        if call is None or call.visitor.identity.owner != visitor.identity.owner:
            raise NoSuchCallError(f"there is no call {call_id[:100]!r} here", "call_id")
        return call

    async def close(self) -> None:
        """Ends every call and waits until all are cleaned up."""
        for call in list(self._calls.values()):
            call.hang_up("the server ends")
        if self._tasks:
            await asyncio.wait(self._tasks)
        self.encoding.shutdown()

    async def _run(self, call: Endable) -> None:
        try:
            await call.run()
        finally:
            del self._calls[call.call_id]
            self._ended += 1
            if self._ended % COLLECT_EVERY_CALLS == 0:
                # Milliseconds, since what was there at the start is frozen (`running.py`).
                asyncio.get_running_loop().call_soon(gc.collect)
