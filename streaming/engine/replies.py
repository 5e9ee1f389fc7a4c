"""The beginning and the end of replies, and what history keeps of them.

Knows how a reply is set up, closed, cancelled and cut to what was heard. Does not know how its
tokens and sounds are made.
"""

from __future__ import annotations

import zlib

from model.audio_encoder import audio_tokens
from model.sampling import Sampler
from streaming.engine.conversation import Conversation, Given
from streaming.engine.forced import ForcedSampler
from streaming.engine.ground import Ground
from streaming.engine.hearing import Listener
from streaming.engine.incoming import Phase
from streaming.engine.item import Item
from streaming.engine.messages.commands import Respond
from streaming.engine.messages.content import ToolCallPart
from streaming.engine.messages.events import (
    EngineFault,
    ItemTruncated,
    ResponseDone,
    ResponseError,
    ResponseStatus,
    ToolCallDelta,
    ToolCallDone,
    Usage,
)
from streaming.engine.pieces import Piece
from streaming.engine.reading import reply_of
from streaming.engine.reply import Marks, Reply
from streaming.engine.speaking import begin_speech
from streaming.engine.timeline import Timeline
from streaming.engine.tool_calls import CallDone, CallEvent, opening_text
from streaming.errors import ConversationError, ItemStateError, RefusedError

# What an answer leaves free for speech into it, two and a half seconds; and of a short context.
BARGE_IN_TOKENS = 64
BARGE_IN_SHARE = 16


class Replies:
    """Begins and ends replies.

    Args:
        ground: voices, caches, the way out and the clock.
        listener: says what a question still takes.
        max_codes: Talker steps of one reply.
        seed: of all random draws, together with the response's id.
    """

    def __init__(self, ground: Ground, listener: Listener, *, max_codes: int, seed: int) -> None:
        self._listener = listener
        self._model = ground.model
        self._memory = ground.memory
        self._template = ground.template
        self._emit = ground.emit
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
            ItemStateError: A reply is under way, or the user still speaks what it is to answer.
            RefusedError: The context has no room for a reply, or there is no such voice.
        """
        if conversation.reply is not None:
            raise ItemStateError(f"{conversation.reply.response_id!r} is still under way")
        previous_item_id = _place(conversation)
        voice = asked.voice or conversation.voice
        if voice not in self._model.speakers:
            raise RefusedError(f"no voice {voice!r}; voices: {', '.join(self._model.speakers)}")
        tools, own_system = self._tools(conversation, asked)
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
            sampler=self._sampler(conversation, asked, seed),
            cached_tokens=self._memory.length(conversation.slot),
            own_system=own_system,
        )

    def _tools(self, conversation: Conversation, asked: Respond) -> tuple[tuple[str, ...], bool]:
        """Returns the tools of a reply, and whether its system message is one of its own."""
        tools = conversation.tools if asked.tools is None else asked.tools
        if asked.tool_choice == "none":
            tools = ()
        return tools, asked.instructions is not None or tools != conversation.tools

    def _sampler(self, conversation: Conversation, asked: Respond, seed: int) -> ForcedSampler:
        first: list[int] = []
        if asked.tool_choice == "required":
            first = self._template.tokens(opening_text(asked.function))
        sampler = Sampler(
            self._model.config.omnilive.thinker_sampling,
            vocab_size=self._model.config.thinker.text.vocab_size,
            seed=seed,
            seen=conversation.timeline.ids(),
        )
        return ForcedSampler(sampler, first)

    def _open_answer(
        self,
        conversation: Conversation,
        asked: Respond,
        system: Piece,
        previous_item_id: str | None,
    ) -> tuple[Item, int]:
        """Puts the answer's item into the timeline -> the item, and how many tokens it may have."""
        timeline = conversation.timeline
        replaced = system is not conversation.system
        self._make_room(conversation, asked, len(system) - len(conversation.system))
        timeline.room.begin_answer()
        try:
            item, cut = timeline.begin_answer(asked.item_id, previous_item_id)
            self._memory.cut(conversation.slot, cut)
            try:
                if replaced:
                    self._memory.cut(conversation.slot, timeline.set_system(system))
                self._reserve(conversation, system)
                return item, self._room(timeline)
            except RefusedError:
                self._memory.cut(conversation.slot, timeline.remove(asked.item_id))
                self._restore_system(conversation, replaced)
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
        reply.text.flush()  # a call that is broken off here is told as one
        self.tell_calls(conversation)
        usage = self._usage(conversation, reply)
        conversation.timeline.room.end_answer()
        self._memory.forget_speech(conversation.slot)
        reply.item.complete = True
        _forget_given(conversation)
        conversation.given[reply.item.item_id] = Given(
            response_id=reply.response_id,
            tokens=reply.text.tokens,
            heard=None if reply.speech is None else reply.speech.heard,
        )
        was_said = status != "failed" or reply.was_sent
        if was_said:
            self._keep(conversation, reply.item.item_id, kept_tokens)
        else:
            self._forget(conversation, reply.item.item_id)
        self._restore_system(conversation, reply.own_system)
        if was_said:
            self._keep_calls(conversation, reply)
        conversation.reply = None
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

    def _keep_calls(self, conversation: Conversation, reply: Reply) -> None:
        """Fills the items of a reply's calls; one that was broken off stays empty.

        A call takes a few tokens more as a message than it took in the reply: one that has no room
        for them is lost, and that is told.
        """
        timeline = conversation.timeline
        for call in reply.text.calls:
            item_id = call_item_id(reply.item.item_id, call.index)
            if call.complete:
                part = ToolCallPart(name=call.name, arguments=call.arguments)
                pieces = self._template.written("assistant", [part])
                try:
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

    def tell_calls(self, conversation: Conversation) -> None:
        """Tells what the reply under way has called since the last time."""
        reply = reply_of(conversation)
        timeline = conversation.timeline
        for event in reply.text.call_events():
            item_id = call_item_id(reply.item.item_id, event.index)
            if item_id not in timeline:
                before = call_item_id(reply.item.item_id, event.index - 1)
                previous = before if before in timeline else reply.item.item_id
                # What it holds is known at the reply's end; its place is needed from now on.
                timeline.insert(Item(item_id, "assistant"), previous)
            self._emit(_call_message(conversation.conversation_id, reply, event))

    def _forget(self, conversation: Conversation, item_id: str) -> None:
        del conversation.given[item_id]
        self._memory.cut(conversation.slot, conversation.timeline.remove(item_id))

    def _tell_truncated(self, conversation: Conversation, item_id: str) -> None:
        text = self._template.decode(conversation.given[item_id].tokens)
        self._emit(
            ItemTruncated(conversation_id=conversation.conversation_id, item_id=item_id, text=text)
        )

    def _restore_system(self, conversation: Conversation, replaced: bool) -> None:
        if replaced:
            cut = conversation.timeline.restore_system(conversation.system)
            self._memory.cut(conversation.slot, cut)

    def _usage(self, conversation: Conversation, reply: Reply) -> Usage:
        timeline = conversation.timeline
        asked = timeline.start_of(reply.item) + len(self._template.answer_open)
        ids = [token for piece in timeline.slice(0, asked) for token in piece.ids]
        cached = ids[: reply.cached_tokens]
        audio, image = self._media(ids)
        cached_audio, cached_image = self._media(cached)
        return Usage(
            input_tokens=len(ids),
            cached_tokens=len(cached),
            cached_audio_tokens=cached_audio,
            cached_image_tokens=cached_image,
            input_text_tokens=len(ids) - audio - image,
            input_audio_tokens=audio,
            input_image_tokens=image,
            output_text_tokens=len(reply.tokens),
            output_audio_tokens=0 if reply.speech is None else reply.speech.heard.codes,
        )

    def _media(self, ids: list[int]) -> tuple[int, int]:
        """How many of these tokens stand for sound, and how many for pictures."""
        thinker = self._model.config.thinker
        images = ids.count(thinker.image_token_index) + ids.count(thinker.video_token_index)
        return ids.count(thinker.audio_token_index), images


def _forget_given(conversation: Conversation) -> None:
    """Drops what is kept of replies that the prompt no longer has."""
    items, given = conversation.timeline.items, conversation.given
    for item_id in [item.item_id for item in items if item.forgotten]:
        given.pop(item_id, None)


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


def call_item_id(reply_item_id: str, index: int) -> str:
    """Returns the id of the item that a reply's call becomes."""
    return f"{reply_item_id}_call{index}"


def _call_message(name: str, reply: Reply, event: CallEvent) -> ToolCallDelta | ToolCallDone:
    item_id = call_item_id(reply.item.item_id, event.index)
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
