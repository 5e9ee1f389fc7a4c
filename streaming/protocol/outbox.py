"""What waits to leave a session: server events for the client, commands for the engine.

Knows order, event ids and the shape of an `error` event. Knows no other event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias
from uuid import uuid4

from streaming.protocol.commands import Command
from streaming.protocol.errors import ProtocolError

Event: TypeAlias = dict[str, Any]
MakeId: TypeAlias = Callable[[str], str]

ID_CHARS = 32


def random_id(prefix: str) -> str:
    """A fresh id such as "item_3f…"; unique without any coordination.

    Of 32 characters: a kit (LiveKit) calls what is longer by another name, and answers to that.
    """
    return f"{prefix}_{uuid4().hex}"[:ID_CHARS]


class Outbox:
    """Two queues in order of arrival. Whoever owns the session empties them after every call."""

    def __init__(self, make_id: MakeId = random_id) -> None:
        self.make_id = make_id
        self._events: list[Event] = []
        self._commands: deque[Command] = deque()

    def event(self, kind: str, **fields: Any) -> None:
        """Queue a server event; its `event_id` is made here."""
        self._events.append({"type": kind, "event_id": self.make_id("event"), **fields})

    def error(self, error: ProtocolError, event_id: str | None) -> None:
        """Queue an `error` event for a client's mistake in its event `event_id`."""
        self._error("invalid_request_error", error.code, error.message, error.param, event_id)

    def fault(self, code: str, message: str, event_id: str | None = None) -> None:
        """Queue an `error` event for something that is the server's, not the client's."""
        self._error("server_error", code, message, None, event_id)

    def command(self, command: Command) -> None:
        """Queue a command."""
        self._commands.append(command)

    def take_events(self) -> list[Event]:
        """All waiting events, in order; each is handed out once."""
        events, self._events = self._events, []
        return events

    def take_commands(self) -> Iterator[Command]:
        """The waiting commands, in order, and those that are added meanwhile."""
        while self._commands:
            yield self._commands.popleft()

    def _error(
        self, kind: str, code: str, message: str, param: str | None, event_id: str | None
    ) -> None:
        error = {"type": kind, "code": code, "message": message}
        self.event("error", error={**error, "param": param, "event_id": event_id})
