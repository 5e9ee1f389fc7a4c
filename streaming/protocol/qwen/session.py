"""A session in the dialect of Qwen-Omni-Realtime: the GA session inside, its words outside.

A layer around `RealtimeSession` with the same words for a transport. The microphone's sound is
16 kHz unless the client says otherwise, tools are nested, and `session.finish` is answered by
`session.finished` once nothing is under way any more.

Knows how the two forms correspond. Does not know the rules of a conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, TypeAlias

import orjson

from streaming.media.formats import PCM_16K, AudioFormat
from streaming.media.video import Pixels
from streaming.protocol.client_events import BULKY, decoded
from streaming.protocol.commands import Command
from streaming.protocol.engine_events import EngineEvent
from streaming.protocol.errors import ProtocolError
from streaming.protocol.layer import SessionLayer
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.nested_tools import nested_tool
from streaming.protocol.outbox import random_id
from streaming.protocol.qwen.events import modalities, translated
from streaming.protocol.qwen.options import (
    NOT_APPLIED,
    QwenOptions,
    ga_session,
    input_format,
    not_applied,
    parsed_options,
)
from streaming.protocol.qwen.requests import ga_content, ga_wishes
from streaming.protocol.session import RealtimeSession
from streaming.protocol.validation import shown
from streaming.protocol.wire_audio import decode_audio

Object: TypeAlias = dict[str, Any]
Act: TypeAlias = Callable[[Object], None]

FINISH = "session.finish"
# What the dialect's clients send and the inner session takes as it is.
_PASSED = (
    "input_image_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "response.cancel",
)


class QwenSession(SessionLayer):
    """The dialect's side of one conversation."""

    def __init__(self, session: RealtimeSession, profile: ModelProfile, limits: Limits) -> None:
        """Takes a session that was made with the dialect's defaults (`options.ga_defaults`)."""
        super().__init__(session)
        self._profile = profile
        self._limits = limits
        self._wire = PCM_16K
        self._events: list[Object] = []
        self._told: Object = {}  # options as the client gave them, for the echo
        self._not_applied: dict[str, list[str]] = {}  # of each option
        self._transcribes = False
        self._running: set[str] = set()
        self._untranscribed: set[str] = set()
        self._finish: str | None = None  # asked for, or done
        self._acts: dict[str, Act] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append_audio,
            "conversation.item.create": self._create_item,
            "response.create": self._create_response,
            FINISH: self._begin_finish,
            **dict.fromkeys(_PASSED, self._pass),
        }
        self._settle()

    def receive_event(self, frame: str | bytes) -> None:
        """Take one client frame; a mistake in it becomes an `error` event."""
        try:
            event = decoded(frame, self._limits)
            self._check_size(event, len(frame))
            self._act(event.get("type"))(event)
        except ProtocolError as error:
            self._error(error)
        self._settle()

    def receive_audio(self, audio: bytes, audio_format: AudioFormat) -> None:
        """Take live audio, which comes as samples."""
        self._session.receive_audio(audio, audio_format)
        self._settle()

    def snapshot(self) -> Object:
        """The session and the items it holds."""
        inner = self._session.snapshot()
        return {**inner, "session": self._echo(inner["session"])}

    def receive_picture(self, pixels: Pixels) -> None:
        """Take what a live camera sees now."""
        self._session.receive_picture(pixels)

    def receive_engine(self, event: EngineEvent) -> None:
        """Take what the engine said."""
        self._session.receive_engine(event)
        self._settle()

    def events_to_send(self) -> list[Object]:
        """The server events since the last call, in order."""
        events, self._events = self._events, []
        return events

    def commands(self) -> Iterator[Command]:
        """The commands since the last call, in order; each is handed out once."""
        return self._session.commands()

    # --- the client's events --------------------------------------------------------------------

    def _act(self, kind: object) -> Act:
        if self._finish is not None:
            message = "The session is finished; open another."
            raise ProtocolError("session_finished", message, "type")
        if kind is None:
            raise ProtocolError("invalid_event", "The 'type' field is missing.", "type")
        if not isinstance(kind, str) or kind not in self._acts:
            choices = ", ".join(f"'{name}'" for name in self._acts)
            message = f"Invalid value: {shown(kind)}. Supported values are: {choices}."
            raise ProtocolError("invalid_value", message, "type")
        return self._acts[kind]

    def _check_size(self, event: Object, size_bytes: int) -> None:
        # The inner session sees most events in a form of its own; this is the client's.
        if size_bytes > self._limits.max_options_bytes and event.get("type") not in BULKY:
            message = (
                f"A {shown(event.get('type'))} of {size_bytes} bytes is larger than "
                f"{self._limits.max_options_bytes} (max_options_bytes)."
            )
            raise ProtocolError("message_too_large", message)

    def _pass(self, event: Object) -> None:
        self._session.receive_event(orjson.dumps(event))

    def _update(self, event: Object) -> None:
        options = parsed_options(event.get("session"))
        update = {"type": "session.update", "session": ga_session(options, self._profile)}
        before = len(self._events)
        self._session.receive_event(orjson.dumps(update))
        # What was refused changes nothing here either.
        inner = self._session.events_to_send()
        if not any(made["type"] == "error" for made in inner):
            self._keep(options)
        self._take(inner)
        assert len(self._events) > before, "an update is always answered"

    def _keep(self, options: QwenOptions) -> None:
        self._wire = input_format(options, self._wire)
        for name in options.model_fields_set:
            self._told[name] = getattr(options, name)
        self._not_applied |= not_applied(options)

    def _append_audio(self, event: Object) -> None:
        audio = event.get("audio")
        if not isinstance(audio, str):
            raise ProtocolError(
                "invalid_type", "Invalid type for 'audio': expected a string.", "audio"
            )
        self._session.receive_audio(decode_audio(audio, self._wire, param="audio"), self._wire)

    def _create_item(self, event: Object) -> None:
        item = event.get("item")
        content = item.get("content") if isinstance(item, dict) else None
        if isinstance(item, dict) and isinstance(content, list):
            event = {**event, "item": {**item, "content": [ga_content(part) for part in content]}}
        self._pass(event)

    def _create_response(self, event: Object) -> None:
        wishes = event.get("response")
        wishes = {} if wishes is None else wishes
        if not isinstance(wishes, dict):
            message = "Invalid type for 'response': expected an object."
            raise ProtocolError("invalid_type", message, "response")
        # The dialect's kit sends null for what is not wished.
        wishes = {key: value for key, value in wishes.items() if value is not None}
        self._pass({**event, "response": ga_wishes(wishes, self._profile)})

    def _begin_finish(self, event: Object) -> None:
        self._finish = "asked"

    # --- the server's events --------------------------------------------------------------------

    def _settle(self) -> None:
        self._take(self._session.events_to_send())
        if self._finish == "asked" and not self._running and not self._untranscribed:
            self._finish = "done"
            self._event("session.finished")

    def _take(self, events: list[Object]) -> None:
        for event in events:
            self._follow(event)
            if event["type"] in ("session.created", "session.updated"):
                self._events.append({**event, "session": self._echo(event["session"])})
            elif (made := translated(event)) is not None:
                self._events.append(made)

    def _follow(self, event: Object) -> None:
        """Keeps count of what is under way."""
        match event["type"]:
            case "session.created" | "session.updated":
                self._transcribes = event["session"]["audio"]["input"]["transcription"] is not None
            case "response.created":
                self._running.add(event["response"]["id"])
            case "response.done":
                self._running.discard(event["response"]["id"])
            case "input_audio_buffer.committed" if self._transcribes:
                self._untranscribed.add(event["item_id"])
            case (
                "conversation.item.input_audio_transcription.completed"
                | "conversation.item.input_audio_transcription.failed"
            ):
                self._untranscribed.discard(event["item_id"])

    def _echo(self, ga: Object) -> Object:
        heard, spoken = ga["audio"]["input"], ga["audio"]["output"]
        transcription, detection = heard["transcription"], heard["turn_detection"]
        told = self._told.get("turn_detection")
        if detection is not None and told is not None and told.threshold is not None:
            detection = {**detection, "threshold": told.threshold}
        echo = {
            "object": "realtime.session",
            "id": ga["id"],
            "model": ga["model"],
            "modalities": modalities(ga["output_modalities"]),
            "voice": spoken["voice"],
            "instructions": ga["instructions"],
            "input_audio_format": "pcm",
            "output_audio_format": "pcm",
            "input_audio_transcription": transcription and {"model": transcription["model"]},
            "turn_detection": detection,
            "tools": [nested_tool(tool) for tool in ga["tools"]],
            "tool_choice": ga["tool_choice"],
            "max_tokens": ga["max_output_tokens"],
            "x_input_sample_rate": self._wire.rate_hz,
            "x_not_applied": sorted(chain.from_iterable(self._not_applied.values())),
        }
        told_options = {
            name: value
            for name, value in self._told.items()
            if name in NOT_APPLIED and value is not None
        }
        return {**echo, **told_options}

    def _error(self, error: ProtocolError) -> None:
        self._event(
            "error",
            error={
                "type": "invalid_request_error",
                "code": error.code,
                "message": error.message,
                "param": error.param,
            },
        )

    def _event(self, kind: str, **fields: Any) -> None:
        self._events.append({"type": kind, "event_id": random_id("event"), **fields})
