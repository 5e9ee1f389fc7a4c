"""A session that only writes down what it hears: turns and their words, and never an answer.

It is opened by `?intent=transcription`, and by client secrets and calls whose session has the type
"transcription". Knows its options, and that what has been written down need not be kept in the
model's context. Everything else is `RealtimeSession`'s.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Literal

from streaming.protocol import client_events as client
from streaming.protocol.commands import DeleteItem
from streaming.protocol.engine_events import EngineEvent, InputTranscript, TranscriptFailed
from streaming.protocol.errors import CapabilityError
from streaming.protocol.items import Item
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.session import RealtimeSession
from streaming.protocol.session_config import default_config, merged_session
from streaming.protocol.session_echo import not_applied, shown_input
from streaming.protocol.session_kind import SessionKind
from streaming.protocol.session_options import (
    AudioInput,
    Include,
    Object,
    SessionConfig,
    Transcription,
)
from streaming.protocol.validation import Wire, validated

TYPE = "transcription"
# Turns that a client can still ask for after their words have been sent.
MAX_KEPT = 64
# There is no answer to begin or to interrupt, whatever is asked for.
_NEVER = {"create_response": False, "interrupt_response": False}


class TranscriptionAudio(Wire):
    """The one direction of sound."""

    input: AudioInput


class TranscriptionConfig(Wire):
    """The options of such a session, as clients may write them."""

    type: Literal["transcription"]
    audio: TranscriptionAudio
    include: Include | None = None


def first_config(profile: ModelProfile) -> SessionConfig:
    """Returns the options before the client says anything: voice activity, and words wanted.

    Raises:
        CapabilityError: The model does not hear, or cannot say what it heard.
    """
    profile.require("audio", param="session.type")
    if not profile.transcribes:
        message = f"{profile.model_id} cannot transcribe what it hears."
        raise CapabilityError(message, "session.type")
    config = default_config(profile)
    heard = config.audio.input.model_copy(
        update={"transcription": Transcription(model=profile.model_id)}
    )
    return _with_input(config, heard)


def transcription_updated(
    config: SessionConfig, patch: Object, profile: ModelProfile, limits: Limits
) -> SessionConfig:
    """`config` with `patch` merged in: absent is unchanged, null clears.

    It has no text that a limit could bound.

    Raises:
        ProtocolError: The patch is wrong; nothing has changed.
    """
    base, defaults = _options(config), _options(first_config(profile))
    wanted = validated(TranscriptionConfig, merged_session(base, patch, defaults), under="session")
    changed = _with_input(config, wanted.audio.input)
    return changed.model_copy(update={"include": wanted.include})


def transcription_object(
    config: SessionConfig,
    *,
    session_id: str,
    expires_at_s: int | None,
    denoises: bool = True,
    has_formats: bool = True,
) -> Object:
    """The session as `session.created` and `session.updated` show it."""
    detection = config.audio.input.turn_detection
    idles = getattr(detection, "idle_timeout_ms", None) is not None
    unused = ["audio.input.turn_detection.idle_timeout_ms"] if idles else []
    expiry = {} if expires_at_s is None else {"expires_at": expires_at_s}
    return {
        "type": TYPE,
        "object": "realtime.transcription_session",
        "id": session_id,
        "audio": {"input": shown_input(config)},
        "include": config.include,
        **expiry,
        "x_not_applied": not_applied(config, denoises=denoises, has_formats=has_formats) + unused,
    }


def _options(config: SessionConfig) -> Object:
    heard = config.audio.input.model_dump()
    return {"type": TYPE, "audio": {"input": heard}, "include": config.include}


def _with_input(config: SessionConfig, heard: AudioInput) -> SessionConfig:
    if heard.turn_detection is not None:
        silent = heard.turn_detection.model_copy(update=_NEVER)
        heard = heard.model_copy(update={"turn_detection": silent})
    return config.model_copy(update={"audio": config.audio.model_copy(update={"input": heard})})


TRANSCRIPTION = SessionKind(
    first=first_config,
    updated=transcription_updated,
    shown=transcription_object,
    converses=False,
)


class TranscriptionSession(RealtimeSession):
    """The protocol's side of one conversation that is only written down."""

    kind = TRANSCRIPTION

    def __init__(self, **options: Any) -> None:
        """Takes what `RealtimeSession` does.

        Raises:
            ProtocolError: The defaults are wrong, or the model cannot do this.
        """
        super().__init__(**options)
        self._kept: deque[str] = deque()  # turns whose words have been sent, the engine rid of them
        refused = (client.ItemCreate, client.ItemTruncate, client.ResponseCreate)
        self._acts |= dict.fromkeys(refused, self._refuse)
        self._acts[client.ItemDelete] = self._delete_item

    def receive_engine(self, event: EngineEvent) -> None:
        """Take what the engine said."""
        super().receive_engine(event)
        if isinstance(event, InputTranscript | TranscriptFailed):
            self._let_go(event.item_id)

    def turn_ended(self, item: Item, *, by_voice: bool) -> None:
        """A turn is an item now: its words are asked for."""
        super().turn_ended(item, by_voice=by_voice)
        if self._options.config.audio.input.transcription is None:
            self._let_go(item.item_id)

    def _let_go(self, item_id: str) -> None:
        """What has been written down takes no place in the context, and later none here."""
        if self._shared.history.find(item_id) is None or item_id in self._kept:
            return
        self._outbox.command(DeleteItem(item_id=item_id))
        self._kept.append(item_id)
        if len(self._kept) > MAX_KEPT:
            self._shared.history.remove(self._kept.popleft())

    def _delete_item(self, event: client.ItemDelete) -> None:
        if event.item_id not in self._kept:
            self._items.delete(event)
            return
        self._kept.remove(event.item_id)
        self._items.remove(event.item_id)

    def _refuse(self, event: client.ClientEvent) -> None:
        raise CapabilityError(
            f"A transcription session takes sound only, and answers nothing; '{event.type}' is for "
            "sessions of type 'realtime'.",
            "type",
        )
