"""What was said, as log lines: only where a setting asks for it (`log_content`).

Knows what passes between session and engine. Does not know how a line is written.
"""

from __future__ import annotations

import logging

from streaming.engine.messages.events import Event, InputTranscript, ResponseDone, TextDelta
from streaming.protocol.commands import Aside, Command, CreateItem, TextPart, UpdateInstructions

logger = logging.getLogger("omnilive.content")

# A reply's text is kept until its end, so that it is one line; more than this of it is not.
MAX_TEXT = 10_000


class ContentLog:
    """One conversation's; without `asked_for` it does nothing."""

    def __init__(self, *, asked_for: bool) -> None:
        self._asked_for = asked_for
        self._texts: dict[str, str] = {}

    def commanded(self, command: Command) -> None:
        """The engine is told something."""
        if not self._asked_for:
            return
        match command:
            case Aside(command=CreateItem() as item) | (CreateItem() as item):
                for part in item.parts:
                    if isinstance(part, TextPart):
                        logger.info("%s writes: %s", item.role, part.text)
            case UpdateInstructions(instructions=text):
                logger.info("the instructions are: %s", text)

    def heard(self, message: Event) -> None:
        """The engine says something."""
        if not self._asked_for:
            return
        match message:
            case InputTranscript(text=text):
                logger.info("the user says: %s", text)
            case TextDelta(response_id=name, text=text):
                self._texts[name] = (self._texts.get(name, "") + text)[:MAX_TEXT]
            case ResponseDone(response_id=name):
                logger.info("the reply is: %s", self._texts.pop(name, ""))
