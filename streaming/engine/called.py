"""What a reply calls: told while it is written, and history when it is over.

Knows which item each call becomes. Does not know how calls are found in a text (`tool_calls.py`).
"""

from __future__ import annotations

from streaming.engine.conversation import Conversation
from streaming.engine.ground import Ground
from streaming.engine.item import Item
from streaming.engine.messages.content import ToolCallPart
from streaming.engine.messages.events import EngineFault, ToolCallDelta, ToolCallDone
from streaming.engine.reading import reply_of
from streaming.engine.reply import Reply
from streaming.engine.tool_calls import CallDone, CallEvent
from streaming.errors import RefusedError


class Called:
    """Tells and keeps the calls of replies.

    Args:
        ground: the template, the caches and the way out.
    """

    def __init__(self, ground: Ground) -> None:
        self._template = ground.template
        self._memory = ground.memory
        self._emit = ground.emit

    def tell(self, conversation: Conversation) -> None:
        """Tells what the reply under way has called since the last time."""
        reply = reply_of(conversation)
        timeline = conversation.timeline
        for event in reply.text.call_events():
            item_id = _item_id(reply, event.index)
            if item_id not in timeline:
                before = _item_id(reply, event.index - 1)
                previous = before if before in timeline else reply.item.item_id
                # What it holds is known at the reply's end; its place is needed from now on.
                timeline.insert(Item(item_id, "assistant"), previous)
            self._emit(_message(conversation.conversation_id, reply, event))

    def keep(self, conversation: Conversation) -> None:
        """Fills the items of the reply's calls; one that was broken off stays empty.

        A call takes a few tokens more as a message than it took in the reply: one that has no room
        for them is lost, and that is told.
        """
        reply = reply_of(conversation)
        for call in reply.text.calls:
            if call.complete:
                self._fill(conversation, _item_id(reply, call.index), call)

    def _fill(self, conversation: Conversation, item_id: str, call: CallDone) -> None:
        timeline = conversation.timeline
        part = ToolCallPart(name=call.name, arguments=call.arguments)
        try:
            pieces = self._template.written("assistant", [part])
            cut = timeline.extend(timeline.item(item_id), pieces)
        except RefusedError as error:
            self._emit(
                EngineFault(
                    conversation_id=conversation.conversation_id,
                    code=error.code,
                    message=str(error),
                    item_id=item_id,
                )
            )
        else:
            self._memory.cut(conversation.slot, cut)


def _item_id(reply: Reply, index: int) -> str:
    return f"{reply.item.item_id}_call{index}"


def _message(name: str, reply: Reply, event: CallEvent) -> ToolCallDelta | ToolCallDone:
    item_id = _item_id(reply, event.index)
    if isinstance(event, CallDone):
        return ToolCallDone(
            conversation_id=name,
            response_id=reply.response_id,
            item_id=item_id,
            name=event.name,
            arguments=event.arguments,
            complete=event.complete,
        )
    return ToolCallDelta(
        conversation_id=name,
        response_id=reply.response_id,
        item_id=item_id,
        name=event.name,
        arguments=event.arguments,
    )
