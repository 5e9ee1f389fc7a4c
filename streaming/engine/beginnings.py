"""The beginning of replies: what one stands on, and how long it may be.

Knows where an answer goes, what room it finds, and what its end will need. Does not know how its
tokens and sounds are made, nor how it ends (`replies.py`).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from model.audio_encoder import audio_tokens
from model.sampling import Sampler
from streaming.engine.conversation import Conversation
from streaming.engine.forced import ForcedSampler
from streaming.engine.ground import Ground
from streaming.engine.hearing import Listener
from streaming.engine.incoming import Phase
from streaming.engine.item import Item
from streaming.engine.messages.commands import Respond
from streaming.engine.pieces import Piece
from streaming.engine.replies import restore_system
from streaming.engine.reply import Marks, Reply
from streaming.engine.speaking import begin_speech
from streaming.engine.timeline import Timeline
from streaming.engine.tool_calls import opening_text, tool_name
from streaming.errors import ConversationError, ItemStateError, RefusedError

# What an answer leaves free for speech into it, two and a half seconds; and of a short context.
BARGE_IN_TOKENS = 64
BARGE_IN_SHARE = 16


class Beginnings:
    """Sets replies up.

    Args:
        ground: voices, caches and the clock.
        listener: says what a question still takes.
        max_codes: Talker steps of one reply.
        seed: of all random draws, together with the response's id.
    """

    def __init__(self, ground: Ground, listener: Listener, *, max_codes: int, seed: int) -> None:
        self._listener = listener
        self._model = ground.model
        self._memory = ground.memory
        self._template = ground.template
        self._clock = ground.clock
        self._max_codes = max_codes
        self._seed = seed
        self._barge_in_tokens = min(
            BARGE_IN_TOKENS, ground.memory.capacity_tokens // BARGE_IN_SHARE
        )
        self._block_tokens = audio_tokens(ground.model.config.thinker.audio.block_frames)

    def begin(self, conversation: Conversation, asked: Respond) -> None:
        """Sets a reply up; the loop does the rest.

        Raises:
            DuplicateItemError: The conversation holds an item of the answer's id.
            ItemStateError: A reply is under way, or the user still speaks what it is to answer.
            RefusedError: The context has no room, or there is no such voice, or nothing to call.
        """
        if conversation.reply is not None:
            raise ItemStateError(f"{conversation.reply.response_id!r} is still under way")
        previous_item_id = _place(conversation)
        voice = asked.voice or conversation.voice
        if voice not in self._model.speakers:
            raise RefusedError(f"no voice {voice!r}; voices: {', '.join(self._model.speakers)}")
        tools, own_system = self._tools(conversation, asked)
        openings = [self._template.tokens(opening_text(name)) for name in _callable(asked, tools)]
        system = self._own_system(conversation, asked, tools) if own_system else conversation.system
        item, room = self._open_answer(conversation, asked, system, previous_item_id)
        wanted = asked.max_output_tokens or self._memory.capacity_tokens
        seed = self._seed ^ zlib.crc32(asked.response_id.encode())
        conversation.reply = Reply(
            response_id=asked.response_id,
            item=item,
            speech=begin_speech(self._model, voice, seed=seed, max_codes=self._max_codes)
            if "audio" in asked.modalities
            else None,
            max_tokens=min(room, wanted),
            limit="context_full" if room < wanted else "max_output_tokens",
            marks=Marks(asked_s=self._clock()),
            text=self._template.words(calls=bool(tools), single=not asked.parallel_tool_calls),
            sampler=ForcedSampler(self._sampler(conversation, seed), openings),
            cached_tokens=self._memory.length(conversation.slot),
            own_system=own_system,
        )

    def _tools(self, conversation: Conversation, asked: Respond) -> tuple[tuple[str, ...], bool]:
        """Returns the tools of a reply, and whether its system message is one of its own."""
        tools = conversation.tools if asked.tools is None else asked.tools
        if asked.tool_choice == "none":
            tools = ()
        return tools, asked.instructions is not None or tools != conversation.tools

    def _sampler(self, conversation: Conversation, seed: int) -> Sampler:
        return Sampler(
            self._model.config.omnilive.thinker_sampling,
            vocab_size=self._model.config.thinker.text.vocab_size,
            seed=seed,
            seen=conversation.timeline.ids(),
        )

    def _open_answer(
        self,
        conversation: Conversation,
        asked: Respond,
        system: Piece,
        previous_item_id: str | None,
    ) -> tuple[Item, int]:
        """Puts the answer's item into the timeline -> the item, and how many tokens it may have.

        Raises:
            DuplicateItemError: There is an item of this id.
            RefusedError: There is no room; all is as it was.
        """
        timeline = conversation.timeline
        self._make_room(conversation, asked, len(system) - len(conversation.system))
        timeline.room.begin_answer()
        try:
            item, cut = timeline.begin_answer(asked.item_id, previous_item_id)
            self._memory.cut(conversation.slot, cut)
            try:
                if system is not conversation.system:
                    self._memory.cut(conversation.slot, timeline.set_system(system))
                self._reserve(conversation, system)
                return item, self._room(timeline)
            except RefusedError:
                self._memory.cut(conversation.slot, timeline.remove(asked.item_id))
                restore_system(conversation, self._memory)
                raise
        except ConversationError:
            timeline.room.end_answer()
            raise

    def _reserve(self, conversation: Conversation, system: Piece) -> None:
        """Keeps free what the reply's end adds: its close, and the longer system message again."""
        longer = max(0, len(conversation.system) - len(system))
        room = conversation.timeline.room
        room.reserved_tokens = len(self._template.answer_close) + longer

    def _own_system(
        self, conversation: Conversation, asked: Respond, tools: tuple[str, ...]
    ) -> Piece:
        told = asked.instructions
        instructions = conversation.instructions if told is None else told
        return self._template.system(instructions, tools)

    def _room(self, timeline: Timeline) -> int:
        """Returns how many tokens an answer may have.

        Raises:
            RefusedError: None; the context is full.
        """
        room = timeline.room.free
        if room < 1:
            raise RefusedError(f"the context of {self._memory.capacity_tokens} tokens is full")
        if timeline.room.truncation is not None:
            # Nothing can be forgotten under an answer: speech into it must find some room.
            room = max(1, room - self._barge_in_tokens)
        return room

    def _make_room(self, conversation: Conversation, asked: Respond, system_tokens: int) -> None:
        """Has the oldest items forgotten for an answer, where that may be."""
        timeline = conversation.timeline
        if timeline.room.truncation is not None:
            most = self._memory.capacity_tokens // 4
            wanted = min(asked.max_output_tokens or most, most) + len(self._template.answer_close)
            wanted += max(0, system_tokens) + self._barge_in_tokens
            # Of the question itself, what was not yet encoded.
            for hearing in conversation.hearing.values():
                wanted += self._listener.waiting_tokens(hearing) + self._block_tokens
            self._memory.cut(conversation.slot, timeline.make_room(wanted, must=False))


def _place(conversation: Conversation) -> str | None:
    """Returns behind which item an answer goes: None for the last, or the last before open ones.

    Raises:
        ItemStateError: Something else follows an open item, or nothing before it wants an answer.
    """
    hearings = conversation.hearing.items()
    still_open = {name for name, h in hearings if h.phase is not Phase.STOPPED}
    if not still_open:
        return None
    items = list(conversation.timeline.items)
    while items and items[-1].item_id in still_open:
        still_open.remove(items.pop().item_id)
    if still_open or not items or items[-1].role == "assistant":
        raise ItemStateError("a spoken item is still open; stop or drop it first")
    return items[-1].item_id


def _callable(asked: Respond, tools: Sequence[str]) -> list[str]:
    """Returns the names of the functions of which a reply must call one; none if it need not.

    Raises:
        RefusedError: There are none, or the one that is named is not among them.
    """
    if asked.tool_choice != "required":
        return []
    names = [tool_name(tool) for tool in tools]
    if asked.function is None:
        if not names:
            raise RefusedError("a call is required and there are no tools")
        return names
    if asked.function not in names:
        known = ", ".join(map(repr, names)) or "none"
        raise RefusedError(f"no tool {asked.function!r}; tools: {known}")
    return [asked.function]
