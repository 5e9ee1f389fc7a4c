"""`conversation.item.create`: from a client's item to a place in the history and a command.

Knows what an item may hold, how large it may be and where it goes. Nothing changes unless all of
it is right.
"""

from __future__ import annotations

from typing import TypeAlias

from streaming.media.formats import AudioFormat
from streaming.protocol.client_events import ItemCreate
from streaming.protocol.commands import AudioPart, CreateItem, TextPart
from streaming.protocol.errors import CapabilityError, ProtocolError
from streaming.protocol.history import History
from streaming.protocol.input_buffer import BYTES_PER_MS, conversation_full
from streaming.protocol.items import (
    Content,
    InputAudio,
    InputImage,
    InputText,
    Item,
    Message,
    OutputAudio,
    OutputText,
    parsed_message,
)
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.outbox import Outbox
from streaming.protocol.ports import EarPort
from streaming.protocol.wire_audio import decode_audio

# The word with which a client says "before everything else".
ROOT = "root"

Part: TypeAlias = InputText | InputAudio | InputImage | OutputText | OutputAudio


class ItemCreation:
    """Adds clients' items to the history."""

    def __init__(
        self, outbox: Outbox, history: History, ear: EarPort, profile: ModelProfile, limits: Limits
    ) -> None:
        self._outbox = outbox
        self._history = history
        self._ear = ear
        self._profile = profile
        self._limits = limits

    def create(self, event: ItemCreate, wire: AudioFormat) -> None:
        """Add an item, whose audio is in the session's input format `wire`.

        Raises:
            ProtocolError: Anything about it is wrong; the history is as it was.
        """
        if len(self._history) >= self._limits.max_items:
            raise self.full()
        message = parsed_message(event.item)
        after = self._place(event.previous_item_id)
        item_id = self._free_id(message)
        self._check_text(message)
        contents, parts = [], []
        for index, part in enumerate(message.content):
            content, for_engine = self._part(part, wire, f"item.content[{index}]")
            contents.append(content)
            parts.append(for_engine)
        item = Item(item_id=item_id, role=message.role, content=contents)
        self._history.insert(item, after)
        self._outbox.command(
            CreateItem(
                item_id=item_id, previous_item_id=after, role=message.role, parts=tuple(parts)
            )
        )
        previous = self._history.shown_before(item_id)
        for kind in ("conversation.item.added", "conversation.item.done"):
            self._outbox.event(kind, item=item.wire(), previous_item_id=previous)

    def full(self) -> ProtocolError:
        """The error for one item too many."""
        return conversation_full(self._limits)

    def _place(self, previous_item_id: str | None) -> str | None:
        if previous_item_id is None:
            return self._history.last_id
        if previous_item_id == ROOT:
            return None
        if self._history.find(previous_item_id) is None:
            raise ProtocolError(
                "item_create_invalid_previous_item_id",
                "Error adding item: the previous item with id "
                f"'{previous_item_id[: self._limits.max_id_chars]}' does not exist.",
                "previous_item_id",
            )
        return self._history.place_behind(previous_item_id)

    def _free_id(self, message: Message) -> str:
        if message.id is None:
            return self._outbox.make_id("item")
        if len(message.id) > self._limits.max_id_chars:
            raise ProtocolError(
                "string_above_max_length",
                f"Invalid 'item.id': {len(message.id)} characters, expected at most "
                f"{self._limits.max_id_chars} (max_id_chars).",
                "item.id",
            )
        if message.id == ROOT:
            message_text = f"Invalid value: '{ROOT}' stands for the front of the conversation."
            raise ProtocolError("invalid_value", message_text, "item.id")
        if message.id in self._history:
            raise ProtocolError(
                "item_create_duplicate_item_id",
                f"Error adding item: an item with id '{message.id}' already exists.",
                "item.id",
            )
        return message.id

    def _check_text(self, message: Message) -> None:
        written = (
            part.text for part in message.content if isinstance(part, InputText | OutputText)
        )
        chars = sum(len(text) for text in written)
        if chars > self._limits.max_text_chars:
            raise ProtocolError(
                "string_above_max_length",
                f"Invalid 'item.content': {chars} characters of text, expected at most "
                f"{self._limits.max_text_chars} (max_text_chars).",
                "item.content",
            )

    def _part(
        self, part: Part, wire: AudioFormat, param: str
    ) -> tuple[Content, TextPart | AudioPart]:
        match part:
            case InputText(type=kind, text=text) | OutputText(type=kind, text=text):
                return Content(kind=kind, text=text), TextPart(text=text)
            case InputAudio():
                return self._speech(part, wire, param)
            case InputImage():
                raise self._no_image(param)
            case OutputAudio():
                raise CapabilityError(
                    "An assistant's audio cannot be added from outside; 'output_text' can.",
                    f"{param}.type",
                )

    def _no_image(self, param: str) -> CapabilityError:
        takes = " and ".join(self._profile.inputs)
        reason = "not images" if "image" not in self._profile.inputs else "but images not here yet"
        return CapabilityError(
            f"{self._profile.model_id} takes {takes}, {reason}.", f"{param}.type"
        )

    def _speech(self, part: InputAudio, wire: AudioFormat, param: str) -> tuple[Content, AudioPart]:
        if "audio" not in self._profile.inputs:
            takes = " and ".join(self._profile.inputs)
            message = f"{self._profile.model_id} takes {takes}, not audio."
            raise CapabilityError(message, f"{param}.type")
        audio = decode_audio(part.audio, wire, param=f"{param}.audio")
        audio_ms = wire.duration_ms(len(audio))
        if not self._limits.min_commit_ms <= audio_ms <= self._limits.max_turn_ms:
            raise ProtocolError(
                "invalid_value",
                f"Invalid '{param}.audio': {audio_ms}ms of audio, expected at least "
                f"{self._limits.min_commit_ms}ms (min_commit_ms) and at most "
                f"{self._limits.max_turn_ms}ms (max_turn_ms).",
                f"{param}.audio",
            )
        pcm = self._ear.convert(audio, wire)
        content = Content(
            kind="input_audio", text=part.transcript, audio_ms=len(pcm) // BYTES_PER_MS
        )
        return content, AudioPart(pcm=pcm)
