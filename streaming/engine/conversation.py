"""One conversation inside the engine: its slot, its timeline, and what is under way in it.

Knows which item is being heard and which reply is being given. Does not know torch or the caches:
what a reply and incoming speech need is in the objects that it carries (`reply.py`, `incoming.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streaming.engine.heard import HeardMap
from streaming.engine.messages.address import OfConversation
from streaming.engine.messages.commands import Transcribe
from streaming.engine.pieces import Piece
from streaming.engine.reply import Reply
from streaming.engine.timeline import Timeline

if TYPE_CHECKING:
    from torch import Tensor

    from streaming.engine.incoming import Hearing


@dataclass(frozen=True, slots=True)
class Given:
    """What is kept of a reply that ended: its tokens, and when each of them was heard."""

    response_id: str
    tokens: tuple[int, ...]
    heard: HeardMap | None


@dataclass(slots=True)
class Conversation:
    """The state of one open conversation.

    Args:
        conversation_id: the gateway's name for it.
        slot: its row in the caches of Thinker and Talker.
        voice: the voice of its replies.
        instructions: what its system message says, without the tools.
        tools: JSON texts of the functions that its replies may call.
        system: its system message, kept while a reply is given under another one.
        timeline: what its cache should hold.
        is_aside: it stands beside another, for one response that is no part of that.
        hearing: items with sound or pictures on their way in, by item id.
        reply: the reply under way.
        ended: the response that ended or was refused last.
        given: replies that ended and are still in the prompt, by item id.
        deferred: edits that wait for the end of the reply, in order.
        transcribe: items whose transcript was asked for, in order.
        last_hidden: the Thinker's state [D] at the last position of its cache, and that position's
            number; the first token of a reply is drawn from it.
        due_s: when what was last asked of it, and is not a reply, should be in the cache.
    """

    conversation_id: str
    slot: int
    voice: str
    instructions: str
    tools: tuple[str, ...]
    system: Piece
    timeline: Timeline
    is_aside: bool = False
    hearing: dict[str, Hearing] = field(default_factory=dict)
    reply: Reply | None = None
    ended: str | None = None
    given: dict[str, Given] = field(default_factory=dict)
    deferred: list[OfConversation] = field(default_factory=list)
    transcribe: list[Transcribe] = field(default_factory=list)
    last_hidden: tuple[int, Tensor] | None = None
    due_s: float = 0.0

    def remove(self, item_id: str) -> int:
        """Takes an item out with all that is under way for it; see `Timeline.remove`."""
        cut = self.timeline.remove(item_id)
        self.hearing.pop(item_id, None)
        self.given.pop(item_id, None)
        return cut
