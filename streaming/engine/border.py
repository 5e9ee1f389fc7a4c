"""The border between conversations: what fails in one is told there, and touches no other.

Knows which message each failure makes, and that whatever fails beyond that costs the conversation.
Does not know what was being done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial

from streaming.engine.commands import Commands
from streaming.engine.conversation import Conversation
from streaming.engine.ground import Ground
from streaming.engine.messages.address import OfConversation
from streaming.engine.messages.commands import CloseConversation, Command, Respond
from streaming.engine.messages.events import (
    EngineFault,
    ResponseDone,
    ResponseError,
    TranscriptFailed,
)
from streaming.engine.refusals import refusal
from streaming.engine.replies import Replies
from streaming.engine.scheduler import Stage
from streaming.engine.transcribing import Transcriber
from streaming.errors import ConversationError
from streaming.logs import of_conversation

logger = logging.getLogger("omnilive.engine")

INTERNAL_ERROR = "internal_error"
# The stages that write into the caches.
WRITING = (Stage.PREFILL, Stage.THINKER, Stage.TALKER)


class Border:
    """Keeps failures in the conversation that they belong to.

    Args:
        conversations: those that are open, by id.
        ground: the caches, the way out and the clock.
        commands: changes conversations.
        replies: ends replies.
        transcriber: may be at work for one.
    """

    def __init__(
        self,
        conversations: Mapping[str, Conversation],
        ground: Ground,
        *,
        commands: Commands,
        replies: Replies,
        transcriber: Transcriber,
    ) -> None:
        self._conversations = conversations
        self._memory = ground.memory
        self._emit = ground.emit
        self._clock = ground.clock
        self._commands = commands
        self._replies = replies
        self._transcriber = transcriber

    def apply(self, command: Command) -> None:
        """Does what a command says; one that breaks costs its conversation."""
        if not isinstance(command, OfConversation):
            self._commands.apply(command)
            return
        if isinstance(command, CloseConversation):
            self._transcriber.forget(command.conversation_id)
        try:
            self._commands.apply(command)
        except Exception as error:
            if isinstance(command, Respond):
                self._emit(refusal(command, INTERNAL_ERROR, str(error)))
            self._give_up(command.conversation_id, error)

    def guard(self, conversation: Conversation, action: Callable[[], None]) -> None:
        """Does what is this conversation's alone; if it breaks, that costs the conversation."""
        try:
            action()
        except Exception as error:
            self._give_up(conversation.conversation_id, error)

    def fail(self, conversation: Conversation, stage: Stage, error: Exception) -> None:
        """Tells a conversation what failed in it, and takes back what that was for."""
        self.guard(conversation, partial(self._tell, conversation, stage, error))

    def _tell(self, conversation: Conversation, stage: Stage, error: Exception) -> None:
        name = conversation.conversation_id
        if isinstance(error, ConversationError):
            code = error.code
        else:
            code = INTERNAL_ERROR
            with of_conversation(name):
                logger.error("%s failed", stage.name, exc_info=error)
            if stage in WRITING:
                # Nobody knows what was half done: all of it is prefilled again when needed.
                self._memory.reset(conversation.slot)
                conversation.last_hidden = None
        if stage in (Stage.ENCODE, Stage.SEE):
            self._commands.drop_heard(conversation, code, str(error))
        elif stage is Stage.TRANSCRIBE:
            self._transcriber.forget(name)
            asked = conversation.transcribe.pop(0)
            self._emit(
                TranscriptFailed(
                    conversation_id=name, item_id=asked.item_id, code=code, message=str(error)
                )
            )
        elif conversation.reply is not None:
            failure = ResponseError(code=code, message=str(error))
            self._replies.end(conversation, "failed", error=failure)
            self._commands.reply_ended(conversation)
        else:
            self._lose(name, code, str(error))

    def _give_up(self, name: str, error: Exception) -> None:
        """The last resort: ends what is under way in a conversation, and closes it."""
        with of_conversation(name):
            logger.error("the conversation is given up", exc_info=error)
        conversation = self._conversations.get(name)
        if conversation is not None and conversation.reply is not None:
            self._emit(
                ResponseDone(
                    conversation_id=name,
                    response_id=conversation.reply.response_id,
                    status="failed",
                    error=ResponseError(code=INTERNAL_ERROR, message=str(error)),
                    timings=conversation.reply.marks.timings(self._clock()),
                )
            )
        self._lose(name, INTERNAL_ERROR, str(error))

    def _lose(self, name: str, code: str, message: str) -> None:
        self._transcriber.forget(name)
        self._commands.close(name)
        self._emit(EngineFault(conversation_id=name, code=code, message=message, fatal=True))
