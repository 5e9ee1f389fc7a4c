"""What each command of the gateway changes.

Knows how commands become edits of a conversation, which of them wait while a reply is given, and
how a refusal is told. Does not run a network: it only makes work for the loop.
"""

from __future__ import annotations

from typing import TypeAlias

from streaming.engine.beginnings import Beginnings
from streaming.engine.conversation import Conversation
from streaming.engine.door import Door
from streaming.engine.ground import Ground
from streaming.engine.hearing import Listener
from streaming.engine.item import Item
from streaming.engine.messages.address import OfConversation
from streaming.engine.messages.commands import (
    AddItem,
    CancelResponse,
    CloseConversation,
    Command,
    CopyItem,
    DeleteItem,
    OpenConversation,
    Ping,
    Respond,
    SetTruncation,
    Transcribe,
    TruncateItem,
    UpdateInstructions,
    UserAudio,
    UserFrame,
    UserVideo,
)
from streaming.engine.messages.content import MediaPart, TextPart
from streaming.engine.messages.events import EngineFault, InstructionsUpdated, Pong
from streaming.engine.refusals import refusal
from streaming.engine.replies import Replies
from streaming.engine.room import Truncation
from streaming.engine.scheduler import Scheduler
from streaming.engine.settings import EngineSettings
from streaming.engine.spoken import OfSpoken, Spoken
from streaming.errors import (
    BadPartError,
    ConversationError,
    ItemStateError,
    RefusedError,
    UnknownItemError,
)

# How soon a whole block should be in the cache while the user speaks.
BLOCK_TARGET_S = 2.0
# What brings more of an open item.
INCOMING = (UserAudio, UserFrame, UserVideo)

Edit: TypeAlias = (
    AddItem | CopyItem | DeleteItem | TruncateItem | UpdateInstructions | SetTruncation
)
Ask: TypeAlias = Respond | CancelResponse | Transcribe


class Commands:
    """Applies commands to conversations."""

    def __init__(
        self,
        conversations: dict[str, Conversation],
        ground: Ground,
        settings: EngineSettings,
        *,
        listener: Listener,
        beginnings: Beginnings,
        replies: Replies,
        scheduler: Scheduler,
    ) -> None:
        self._conversations = conversations
        self._max_deferred = settings.max_deferred
        self._max_transcripts = settings.max_transcripts
        self._memory = ground.memory
        self._template = ground.template
        self._emit = ground.emit
        self._clock = ground.clock
        self._extras = ground.model.config.omnilive
        self._transcribes = ground.model.transcribes
        self._listener = listener
        self._spoken = Spoken(ground, listener)
        self._beginnings = beginnings
        self._replies = replies
        self._door = Door(conversations, ground, scheduler, max_asides=settings.max_asides)

    def apply(self, command: Command) -> None:
        """Does what a command says; what cannot be done is told to its conversation."""
        match command:
            case Ping(nonce=nonce):
                self._emit(Pong(nonce=nonce))
            case OpenConversation():
                self._door.open(command)
            case CloseConversation(conversation_id=name):
                self.close(name)
            case OfConversation(conversation_id=name):
                conversation = self._conversations.get(name)
                if conversation is None:
                    code, message = "unknown_conversation", "it is not open"
                    self._emit(refusal(command, code, message, fatal=True))
                else:
                    self._apply_to(conversation, command)

    def close(self, name: str) -> None:
        """Frees a conversation's slot; one that is not open stays so."""
        conversation = self._conversations.pop(name, None)
        if conversation is not None:
            self._memory.give_back(conversation.slot)

    def reply_ended(self, conversation: Conversation) -> None:
        """Does the edits that the reply held back, in order."""
        waiting, conversation.deferred = conversation.deferred, []
        for command in waiting:
            self._apply_to(conversation, command)

    def drop_heard(self, conversation: Conversation, code: str, message: str) -> None:
        """Gives up the item whose sound or picture could not be taken in, and says so."""
        hearings = conversation.hearing.items()
        item_id = next(name for name, h in hearings if h.is_stuck or h.hears or h.sees)
        self._delete(conversation, item_id)
        self._emit(
            EngineFault(
                conversation_id=conversation.conversation_id,
                code=code,
                message=message,
                item_id=item_id,
            )
        )

    def _apply_to(self, conversation: Conversation, command: OfConversation) -> None:
        try:
            if self._must_wait(conversation, command):
                most = self._max_deferred
                if len(conversation.deferred) >= most:
                    raise RefusedError(f"{most} edits wait for the reply to end (max_deferred)")
                conversation.deferred.append(command)
            else:
                self._change(conversation, command)
        except ConversationError as error:
            if isinstance(error, RefusedError) and isinstance(command, INCOMING):
                # Its sender takes it for lost; left open, it would keep every reply waiting.
                self._delete(conversation, command.item_id)
            if isinstance(command, Respond):
                conversation.ended = command.response_id
            self._emit(refusal(command, error.code, str(error)))
        if conversation.reply is None and conversation.deferred:
            self.reply_ended(conversation)

    def _must_wait(self, conversation: Conversation, command: OfConversation) -> bool:
        """Tells whether the command would change what the reply under way stands on."""
        reply = conversation.reply
        if reply is None:
            return False
        if isinstance(command, AddItem):
            # What waits may be the item's predecessor, or what gives its id up.
            named = {getattr(waiting, "item_id", None) for waiting in conversation.deferred}
            if named & {command.item_id, command.previous_item_id} - {None}:
                return True
            return not conversation.timeline.is_behind(reply.item, command.previous_item_id)
        return isinstance(command, DeleteItem | TruncateItem | UpdateInstructions)

    def _change(self, conversation: Conversation, command: OfConversation) -> None:
        conversation.due_s = self._clock() + BLOCK_TARGET_S
        if isinstance(command, OfSpoken):
            self._spoken.apply(conversation, command)
        elif isinstance(command, Edit):
            self._edit(conversation, command)
        elif isinstance(command, Ask):
            self._answer(conversation, command)
        else:
            raise AssertionError(f"{type(command).__name__} is of no family")

    def _edit(self, conversation: Conversation, command: Edit) -> None:
        """What changes the history, or the ground that it stands on."""
        match command:
            case AddItem():
                self._add(conversation, command)
            case CopyItem():
                self._copy(conversation, command)
            case DeleteItem(item_id=item_id):
                self._delete(conversation, item_id)
            case TruncateItem(item_id=item_id, audio_end_ms=end_ms):
                self._replies.truncate(conversation, item_id, end_ms)
            case UpdateInstructions():
                self._instruct(conversation, command)
            case SetTruncation(retention_ratio=ratio, items_tokens=tokens):
                conversation.timeline.room.truncation = (
                    None
                    if ratio is None
                    else Truncation(retention_ratio=ratio, items_tokens=tokens)
                )

    def _answer(self, conversation: Conversation, command: Ask) -> None:
        """What asks for an answer, or for its end."""
        match command:
            case Respond():
                self._beginnings.begin(conversation, command)
            case CancelResponse():
                self._cancel(conversation, command)
            case Transcribe():
                self._transcribe(conversation, command)

    def _add(self, conversation: Conversation, command: AddItem) -> None:
        """Adds a typed item at once, or one with media for the listener to encode."""
        media = [part for part in command.parts if isinstance(part, MediaPart)]
        written = [part for part in command.parts if not isinstance(part, MediaPart)]
        taken_in = [part for part in command.parts if isinstance(part, MediaPart | TextPart)]
        if media and command.role != "user":
            raise BadPartError(
                f"sound or pictures in an item of role {command.role!r}; only users have them here"
            )
        for part in media:
            self._listener.check(part)
        if media and len(taken_in) != len(command.parts):
            raise BadPartError("media and a function's call or result are two items")
        if media:
            item = Item(command.item_id, "user", [self._template.user_open], complete=False)
        else:
            item = Item(
                command.item_id, command.role, self._template.written(command.role, written)
            )
        timeline = conversation.timeline
        self._cut(conversation, timeline.insert(item, command.previous_item_id))
        if media:
            try:
                self._listener.start_parts(conversation, item, taken_in)
            except RefusedError:
                self._delete(conversation, item.item_id)
                raise

    def _copy(self, conversation: Conversation, command: CopyItem) -> None:
        source = self._conversations.get(command.source_id)
        if source is None:
            raise UnknownItemError(f"conversation {command.source_id!r} is not open")
        item = source.timeline.item(command.source_item_id)
        if not item.complete:
            raise ItemStateError(f"item {command.source_item_id!r} is not complete")
        self._cut(conversation, conversation.timeline.insert(item.copy(command.item_id)))

    def _delete(self, conversation: Conversation, item_id: str) -> None:
        self._cut(conversation, conversation.remove(item_id))

    def _cancel(self, conversation: Conversation, command: CancelResponse) -> None:
        reply = conversation.reply
        if reply is not None and reply.response_id == command.response_id:
            self._replies.cancel(conversation, command.heard_ms)
            return
        # It ended while the command was on its way: what was heard still decides what stays.
        for item_id, given in conversation.given.items():
            if given.response_id == command.response_id:
                if command.heard_ms is not None:
                    self._replies.truncate(conversation, item_id, command.heard_ms)
                return
        if command.response_id == conversation.ended:
            return  # and left nothing behind
        raise ItemStateError(f"response {command.response_id!r} is not under way")

    def _transcribe(self, conversation: Conversation, command: Transcribe) -> None:
        if not self._transcribes:
            raise RefusedError("this checkpoint has no prompt for transcripts")
        most = self._max_transcripts
        if len(conversation.transcribe) >= most:
            raise RefusedError(f"{most} transcripts are waiting (max_transcripts)")
        conversation.timeline.item(command.item_id)
        conversation.transcribe.append(command)

    def _instruct(self, conversation: Conversation, command: UpdateInstructions) -> None:
        name, update_id = conversation.conversation_id, command.update_id
        instructions = self._instructions(command.instructions)
        system = self._template.system(instructions, command.tools)
        self._cut(conversation, conversation.timeline.set_system(system))
        conversation.system = system
        conversation.instructions, conversation.tools = instructions, command.tools
        self._emit(InstructionsUpdated(conversation_id=name, update_id=update_id))

    def _instructions(self, told: str | None) -> str:
        return self._extras.system_prompt if told is None else told

    def _cut(self, conversation: Conversation, position: int) -> None:
        self._memory.cut(conversation.slot, position)
