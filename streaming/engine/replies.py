"""The end of replies, and what history keeps of them.

Knows how a reply is closed, cancelled and cut to what was heard. Does not know how one begins
(`beginnings.py`).
"""

from __future__ import annotations

from streaming.engine.called import Called
from streaming.engine.conversation import Conversation, Given
from streaming.engine.ground import Ground
from streaming.engine.memory import Memory
from streaming.engine.messages.events import (
    ItemTruncated,
    ResponseDone,
    ResponseError,
    ResponseStatus,
)
from streaming.engine.reading import reply_of
from streaming.engine.reply import Reply
from streaming.engine.usage import usage_of
from streaming.errors import ItemStateError


class Replies:
    """Ends replies.

    Args:
        ground: the template, the caches, the way out and the clock.
        called: tells and keeps what replies call.
    """

    def __init__(self, ground: Ground, called: Called) -> None:
        self._called = called
        self._figures = ground.model.config.thinker
        self._memory = ground.memory
        self._template = ground.template
        self._emit = ground.emit
        self._clock = ground.clock

    def end(
        self,
        conversation: Conversation,
        status: ResponseStatus,
        *,
        reason: str | None = None,
        error: ResponseError | None = None,
        kept_tokens: int | None = None,
    ) -> None:
        """Ends the reply under way and closes the assistant's turn in the history.

        One that failed before anything of it was sent was never said: its item goes.

        Args:
            conversation: whose reply.
            status: how it ended.
            reason: why, if it is not completed.
            error: of a failed one.
            kept_tokens: how many of its tokens history keeps; None for all.
        """
        reply = reply_of(conversation)
        reply.text.break_off()  # a call that is broken off here is told as one
        self._called.tell(conversation)
        usage = usage_of(conversation, self._figures)
        was_said = status != "failed" or reply.was_sent
        self._close(conversation, reply, kept_tokens=kept_tokens if was_said else 0)
        if not was_said:
            self._forget(conversation, reply.item.item_id)
        conversation.reply, conversation.ended = None, reply.response_id
        self._emit(
            ResponseDone(
                conversation_id=conversation.conversation_id,
                response_id=reply.response_id,
                status=status,
                reason=reason,
                error=error,
                usage=usage,
                timings=reply.marks.timings(self._clock()),
            )
        )

    def _close(self, conversation: Conversation, reply: Reply, *, kept_tokens: int | None) -> None:
        """Makes history of a reply."""
        conversation.timeline.room.end_answer()
        self._memory.forget_speech(conversation.slot)
        reply.item.complete = True
        _forget_given(conversation)
        conversation.given[reply.item.item_id] = Given(
            response_id=reply.response_id,
            tokens=reply.text.tokens,
            heard=None if reply.speech is None else reply.speech.heard,
        )
        self._keep(conversation, reply.item.item_id, kept_tokens)
        if reply.own_system:
            restore_system(conversation, self._memory)
        self._called.keep(conversation)

    def cancel(self, conversation: Conversation, heard_ms: int | None) -> None:
        """Stops the reply under way; with `heard_ms` history keeps only what was heard of it."""
        reply = reply_of(conversation)
        kept = None
        if heard_ms is not None and reply.speech is not None:
            kept = reply.speech.heard.tokens(heard_ms)
        self.end(conversation, "cancelled", reason="client_cancelled", kept_tokens=kept)
        if heard_ms is not None:
            self._tell_truncated(conversation, reply.item.item_id)

    def truncate(self, conversation: Conversation, item_id: str, audio_end_ms: int) -> None:
        """Cuts a reply that ended to its first `audio_end_ms`.

        Raises:
            UnknownItemError: The conversation has no such item.
            ItemStateError: It is no spoken reply, or one that was forgotten to make room.
        """
        conversation.timeline.item(item_id)
        given = conversation.given.get(item_id)
        if given is None or given.heard is None:
            raise ItemStateError(f"item {item_id!r} is no spoken reply that is still remembered")
        self._keep(conversation, item_id, given.heard.tokens(audio_end_ms))
        self._tell_truncated(conversation, item_id)

    def _keep(self, conversation: Conversation, item_id: str, kept_tokens: int | None) -> None:
        given = conversation.given[item_id]
        tokens = given.tokens[:kept_tokens]
        conversation.given[item_id] = Given(given.response_id, tokens, given.heard)
        timeline = conversation.timeline
        item = timeline.item(item_id)
        if not item.forgotten:
            cut = timeline.rewrite(item, self._template.answer(tokens))
            self._memory.cut(conversation.slot, cut)

    def _forget(self, conversation: Conversation, item_id: str) -> None:
        del conversation.given[item_id]
        self._memory.cut(conversation.slot, conversation.timeline.remove(item_id))

    def _tell_truncated(self, conversation: Conversation, item_id: str) -> None:
        text = self._template.decode(conversation.given[item_id].tokens)
        self._emit(
            ItemTruncated(conversation_id=conversation.conversation_id, item_id=item_id, text=text)
        )


def restore_system(conversation: Conversation, memory: Memory) -> None:
    """Brings the conversation's own system message back, whose room was kept free."""
    memory.cut(conversation.slot, conversation.timeline.restore_system(conversation.system))


def _forget_given(conversation: Conversation) -> None:
    """Drops what is kept of replies that the prompt no longer has."""
    items, given = conversation.timeline.items, conversation.given
    for item_id in [item.item_id for item in items if item.forgotten]:
        given.pop(item_id, None)
