"""What the engine says about a conversation, as the protocol needs it.

The server translates engine messages to these. They carry no conversation id: a session is one
conversation. Knows nothing of queues, processes or timings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

ReplyStatus: TypeAlias = Literal["completed", "cancelled", "incomplete", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyUsage:
    """Tokens that a reply cost; `cached_*` of the input were already in the KV cache."""

    input_text_tokens: int = 0
    input_audio_tokens: int = 0
    input_image_tokens: int = 0
    cached_tokens: int = 0
    cached_audio_tokens: int = 0
    cached_image_tokens: int = 0
    output_text_tokens: int = 0
    output_audio_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why something failed, in a machine's word and in a person's."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyText:
    """The next words of a reply."""

    response_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyAudio:
    """The next samples of a reply; `pcm` is s16 LE, 24 kHz, mono."""

    response_id: str
    pcm: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyCall:
    """More of the `arguments` (JSON) of a function call, which the engine holds as `item_id`."""

    response_id: str
    item_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyCallDone:
    """A function call is over; one that is not `complete` was broken off.

    It comes for every call that was begun, before the reply's end, and carries the call whole.
    """

    response_id: str
    item_id: str
    name: str
    arguments: str
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyDone:
    """A reply has ended: nothing more of it follows.

    `reason` matters for `incomplete` only, and then is "max_output_tokens".
    """

    response_id: str
    status: ReplyStatus
    usage: ReplyUsage
    reason: str | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptToken:
    """A token of a transcript: the bytes it stands for, perhaps half a character, and how sure."""

    octets: tuple[int, ...]
    log_prob: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InputTranscriptDelta:
    """More of what was heard in a user item, and the `tokens` since the last of it."""

    item_id: str
    text: str
    tokens: tuple[TranscriptToken, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InputTranscript:
    """All of what was heard in a user item, and all its `tokens`."""

    item_id: str
    text: str
    tokens: tuple[TranscriptToken, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptFailed:
    """A user item could not be transcribed."""

    item_id: str
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemTruncated:
    """An item was cut; `text` is the part of its transcript that was heard."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionsUpdated:
    """Instructions and tools are in force from here on."""

    update_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionsRefused:
    """Instructions and tools could not be taken; those before stay in force."""

    update_id: str
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFault:
    """A request failed in the engine; `fatal` says that it has lost the whole conversation.

    A fault that is not fatal names the item concerned, if there is one.
    """

    failure: Failure
    item_id: str | None = None
    fatal: bool = True


EngineEvent: TypeAlias = (
    ReplyText
    | ReplyAudio
    | ReplyCall
    | ReplyCallDone
    | ReplyDone
    | InputTranscriptDelta
    | InputTranscript
    | TranscriptFailed
    | ItemTruncated
    | InstructionsUpdated
    | InstructionsRefused
    | EngineFault
)
