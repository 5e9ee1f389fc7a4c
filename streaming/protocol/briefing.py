"""Instructions and tools on their way to the engine, which may refuse them for their length.

The client is told of an update at once; the engine comes to it when the reply under way has ended.
If it refuses, it keeps those it had, and so must what the session shows.

Knows which updates have no answer yet, and what stood before each. Does not know tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streaming.protocol.commands import UpdateInstructions
from streaming.protocol.engine_events import InstructionsRefused, InstructionsUpdated
from streaming.protocol.errors import ProtocolError
from streaming.protocol.outbox import Outbox
from streaming.protocol.session_options import SessionConfig
from streaming.protocol.tools import kept_choice


@dataclass(slots=True)
class _Update:
    update_id: str
    event_id: str | None
    param: str
    before: SessionConfig
    choice: str | dict[str, Any]


class Briefing:
    """The updates that the engine has not answered yet, the oldest first."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._waiting: list[_Update] = []

    def tell(self, before: SessionConfig, after: SessionConfig, event_id: str | None) -> None:
        """Tell the engine what the client's event `event_id` changes, if it changes any of it."""
        tools = after.function_tools.texts
        is_told = after.instructions != before.instructions
        if not is_told and tools == before.function_tools.texts:
            return
        param = "session.instructions" if is_told else "session.tools"
        update_id = self._outbox.make_id("update")
        self._waiting.append(_Update(update_id, event_id, param, before, after.tool_choice))
        self._outbox.command(
            UpdateInstructions(update_id=update_id, instructions=after.instructions, tools=tools)
        )

    def answered(
        self, event: InstructionsUpdated | InstructionsRefused, config: SessionConfig
    ) -> SessionConfig:
        """The options in force, which are `config` unless the engine refuses the latest update."""
        place = [update.update_id for update in self._waiting].index(event.update_id)
        update = self._waiting.pop(place)
        if isinstance(event, InstructionsUpdated):
            return config
        failure = event.failure
        message = (
            f"Invalid '{update.param}': {failure.message}. The instructions and tools before them "
            "stay in force."
        )
        self._outbox.error(ProtocolError(failure.code, message, update.param), update.event_id)
        if place < len(self._waiting):
            # A later update replaces it anyway, unless that is refused as well.
            self._waiting[place].before = update.before
            return config
        return _taken_back(config, update)


def _taken_back(config: SessionConfig, update: _Update) -> SessionConfig:
    """The options without the update; a choice among tools that was made since then stays."""
    before = update.before
    chosen = before.tool_choice if config.tool_choice == update.choice else config.tool_choice
    back = {
        "instructions": before.instructions,
        "tools": before.tools,
        "tool_choice": kept_choice(chosen, before.tools),
    }
    return config.model_copy(update=back)
