"""What a command that cannot be done is answered with.

Knows which message the sender of each command waits for. Does not know why it cannot be done.
"""

from __future__ import annotations

from streaming.engine.messages.address import OfConversation
from streaming.engine.messages.commands import Respond, Transcribe, UpdateInstructions
from streaming.engine.messages.events import (
    EngineFault,
    Event,
    InstructionsRefused,
    ResponseDone,
    ResponseError,
    TranscriptFailed,
)


def refusal(command: OfConversation, code: str, message: str, *, fatal: bool = False) -> Event:
    """Returns the answer to a command that was refused.

    Args:
        command: what was asked.
        code: why, for machines.
        message: why, for people.
        fatal: the conversation is gone with it.
    """
    if isinstance(command, Respond) and not fatal:
        return ResponseDone(
            conversation_id=command.conversation_id,
            response_id=command.response_id,
            status="failed",
            error=ResponseError(code=code, message=message),
        )
    if isinstance(command, Transcribe) and not fatal:
        return TranscriptFailed(
            conversation_id=command.conversation_id,
            item_id=command.item_id,
            code=code,
            message=message,
        )
    if isinstance(command, UpdateInstructions) and not fatal:
        return InstructionsRefused(
            conversation_id=command.conversation_id,
            update_id=command.update_id,
            code=code,
            message=message,
        )
    return EngineFault(
        conversation_id=command.conversation_id,
        code=code,
        message=f"{type(command).__name__}: {message}",
        item_id=getattr(command, "item_id", None),
        fatal=fatal,
    )
