"""`conversation.item.create`: from a client's item to a place in the history and a command.

Knows what an item may hold, how large it may be and where it goes. Nothing changes unless all of
it is right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from streaming.media.formats import AudioFormat
from streaming.protocol.client_events import ItemCreate, Object
from streaming.protocol.commands import (
    AudioPart,
    CreateItem,
    ImagePart,
    Part,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from streaming.protocol.errors import CapabilityError, ProtocolError
from streaming.protocol.input_buffer import BYTES_PER_MS, conversation_full
from streaming.protocol.items import (
    AnyItem,
    CallItem,
    Content,
    CreatedItem,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    Message,
    OutputAudio,
    OutputText,
    ResultItem,
    parsed_item,
)
from streaming.protocol.shared import Shared
from streaming.protocol.sight import Sight
from streaming.protocol.validation import shown
from streaming.protocol.wire_audio import decode_audio
from streaming.protocol.wire_image import data_of, frame_of, looked_at

# The word with which a client says "before everything else".
ROOT = "root"

WirePart: TypeAlias = InputText | InputAudio | InputImage | OutputText | OutputAudio


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An item as the client sees it, and what the engine needs for it."""

    item: AnyItem
    role: Role
    parts: tuple[Part, ...]

    def command(self, previous_item_id: str | None) -> CreateItem:
        """What adds it to the engine's conversation."""
        return CreateItem(
            item_id=self.item.item_id,
            previous_item_id=previous_item_id,
            role=self.role,
            parts=self.parts,
        )


class ItemCreation:
    """Adds clients' items to the history."""

    def __init__(self, shared: Shared, sight: Sight) -> None:
        self._outbox = shared.outbox
        self._history = shared.history
        self._ear = shared.ports.ear
        self._eye = shared.ports.eye
        self._profile = shared.profile
        self._limits = shared.limits
        self._sight = sight
        self._image_pixels = 0  # of the item that is being made

    def create(self, event: ItemCreate, wire: AudioFormat) -> None:
        """Add an item, whose audio is in the session's input format `wire`.

        Raises:
            ProtocolError: Anything about it is wrong; the history is as it was.
        """
        if len(self._history) >= self._limits.max_items:
            raise conversation_full(self._limits)
        created = parsed_item(event.item)
        after = self._place(event.previous_item_id)
        if isinstance(created, FunctionCallOutput) and not self._history.holds_call(
            created.call_id
        ):
            raise ProtocolError(
                "invalid_tool_call_id",
                f"Tool call ID {shown(created.call_id)} not found in conversation.",
                "item.call_id",
            )
        made = self.made(created, wire, under="item")
        if made.role == "user" and after == self._history.last_id and isinstance(made.item, Item):
            made = self._with_what_was_seen(made)
        item_id = made.item.item_id
        self._history.insert(made.item, after)
        self._outbox.command(made.command(after))
        previous = self._history.shown_before(item_id)
        for kind in ("conversation.item.added", "conversation.item.done"):
            self._outbox.event(kind, item=made.item.wire(), previous_item_id=previous)

    def aside(self, item: Object, wire: AudioFormat, *, under: str) -> Made:
        """An item of a response's own input, which no history holds.

        Raises:
            ProtocolError: Anything about it is wrong.
        """
        return self.made(parsed_item(item, under=under), wire, under=under)

    def made(self, created: CreatedItem, wire: AudioFormat, *, under: str) -> Made:
        """The item in both its forms.

        Raises:
            ProtocolError: Its id or its content cannot be used.
        """
        item_id = self._free_id(created.id, f"{under}.id")
        match created:
            case FunctionCall(name=name, arguments=arguments, call_id=call_id):
                self._limits.check_text(len(name + arguments), param=f"{under}.arguments")
                self._check_id(call_id or "", f"{under}.call_id")
                call_id = call_id or self._outbox.make_id("call")
                call = CallItem(item_id=item_id, call_id=call_id, name=name, arguments=arguments)
                part: Part = ToolCallPart(name=name, arguments=arguments)
                return Made(item=call, role="assistant", parts=(part,))
            case FunctionCallOutput(call_id=call_id, output=output):
                self._limits.check_text(len(output), param=f"{under}.output")
                self._check_id(call_id, f"{under}.call_id")
                result = ResultItem(item_id=item_id, call_id=call_id, output=output)
                return Made(item=result, role="user", parts=(ToolResultPart(output=output),))
            case _:
                return self._message(created, item_id, wire, under)

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

    def _free_id(self, item_id: str | None, param: str) -> str:
        if item_id is None:
            return self._outbox.make_id("item")
        self._check_id(item_id, param)
        if item_id == ROOT:
            message_text = f"Invalid value: '{ROOT}' stands for the front of the conversation."
            raise ProtocolError("invalid_value", message_text, param)
        if item_id in self._history:
            raise ProtocolError(
                "item_create_duplicate_item_id",
                f"Error adding item: an item with id '{item_id}' already exists.",
                param,
            )
        return item_id

    def _message(self, message: Message, item_id: str, wire: AudioFormat, under: str) -> Made:
        chars = sum(len(_words(part)) for part in message.content)
        self._limits.check_text(chars, param=f"{under}.content")
        contents, parts = [], []
        self._image_pixels = 0
        for index, part in enumerate(message.content):
            content, for_engine = self._part(part, wire, f"{under}.content[{index}]")
            contents.append(content)
            parts.append(for_engine)
        item = Item(item_id=item_id, role=message.role, content=contents)
        return Made(item=item, role=message.role, parts=tuple(parts))

    def _check_id(self, name: str, param: str) -> None:
        if len(name) > self._limits.max_id_chars:
            raise ProtocolError(
                "string_above_max_length",
                f"Invalid '{param}': {len(name)} characters, expected at most "
                f"{self._limits.max_id_chars} (max_id_chars).",
                param,
            )

    def _part(
        self, part: WirePart, wire: AudioFormat, param: str
    ) -> tuple[Content, TextPart | AudioPart | ImagePart]:
        match part:
            case InputText(type=kind, text=text) | OutputText(type=kind, text=text):
                return Content(kind=kind, text=text), TextPart(text=text)
            case InputImage():
                return self._image(part, param)
            case InputAudio(audio=str(audio)):
                return self._speech(audio, part.transcript, wire, param)
            case OutputAudio(audio=str()):
                raise CapabilityError(
                    "An assistant's audio cannot be added from outside; its 'transcript' can.",
                    f"{param}.audio",
                )
            case InputAudio(type=kind, transcript=str(words)):
                return Content(kind=kind, text=words, quoted=True), TextPart(text=words)
            case OutputAudio(type=kind, transcript=str(words)):
                return Content(kind=kind, text=words, quoted=True), TextPart(text=words)
            case _:
                needed = "audio" if isinstance(part, InputAudio) else "transcript"
                message = f"Missing required parameter: '{param}.{needed}'."
                raise ProtocolError("missing_required_parameter", message, f"{param}.{needed}")

    def _image(self, part: InputImage, param: str) -> tuple[Content, ImagePart]:
        self._profile.require("image", param=f"{param}.type")
        url_param = f"{param}.image_url"
        data = data_of(part.image_url, param=url_param)
        low = part.detail == "low"
        pixels = looked_at(lambda: self._eye.image(data, low=low), param=url_param)
        self._image_pixels += pixels.shape[0] * pixels.shape[1]
        limit = self._limits.max_image_pixels
        if self._image_pixels > limit:
            raise ProtocolError(
                "image_too_large",
                f"Invalid '{url_param}': {self._image_pixels} pixels in the images of one item, "
                f"expected at most {limit} (max_image_pixels).",
                url_param,
            )
        content = Content(kind="input_image", detail=part.detail)
        return content, ImagePart(frame=frame_of(pixels))

    def _with_what_was_seen(self, made: Made) -> Made:
        """The item with what the camera saw since the last turn before it."""
        seen = self._sight.take()
        return made if seen is None else replace(made, parts=(seen, *made.parts))

    def _speech(
        self, data: str, transcript: str | None, wire: AudioFormat, param: str
    ) -> tuple[Content, AudioPart]:
        self._profile.require("audio", param=f"{param}.type")
        audio = decode_audio(data, wire, param=f"{param}.audio")
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
        audio_ms = len(pcm) // BYTES_PER_MS
        content = Content(kind="input_audio", text=transcript, audio_ms=audio_ms)
        return content, AudioPart(pcm=pcm)


def _words(part: WirePart) -> str:
    """What of a part is kept as text, for the model or for show."""
    match part:
        case InputText(text=text) | OutputText(text=text):
            return text
        case InputAudio(transcript=text) | OutputAudio(transcript=text):
            return text or ""
        case InputImage():
            return ""
