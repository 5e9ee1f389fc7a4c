"""A session with real ear and mouth, an ear for loudness instead of speech, and a strict reader.

Every server event that passes is validated against the official SDK's types, in pydantic's strict
mode, and against what other clients are known to trip over.
"""

from __future__ import annotations

import base64
import itertools
import typing
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
from agents.realtime.openai_realtime import get_server_event_type_adapter
from openai.types.realtime import realtime_server_event

from streaming.media.codecs import encode
from streaming.media.eye import Eye
from streaming.media.formats import PCM_24K, AudioFormat
from streaming.media.mouth import Mouth
from streaming.protocol.commands import AppendUserAudio, Command
from streaming.protocol.engine_events import (
    EngineEvent,
    ReplyAudio,
    ReplyDone,
    ReplyText,
    ReplyUsage,
)
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.ports import Ports
from streaming.protocol.session import RealtimeSession
from streaming.turns.ear import Ear
from streaming.turns.smart_turn import SmartTurn

PROFILE = ModelProfile(
    model_id="omni-mini",
    inputs=("text", "audio"),
    voices=("ljs", "other"),
    instructions="Be brief.",
)
USAGE = ReplyUsage(
    input_text_tokens=7,
    input_audio_tokens=50,
    cached_tokens=5,
    output_text_tokens=3,
    output_audio_tokens=25,
)
MANUAL = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
LOUD, QUIET = 0.5, 0.0
ITEM_STATUSES = {"in_progress", "completed", "incomplete"}


def _sdk_classes() -> dict[str, Any]:
    union = typing.get_args(realtime_server_event.RealtimeServerEvent)[0]
    return {
        typing.get_args(cls.model_fields["type"].annotation)[0]: cls
        for cls in typing.get_args(union)
    }


SDK_CLASSES = _sdk_classes()


class LoudnessActivity:
    """Takes loud frames for speech."""

    def probability(self, frame: np.ndarray) -> float:
        return 1.0 if float(np.abs(frame).mean()) > 0.1 else 0.0

    def reset(self) -> None:
        pass


def tone(level: float, ms: int, audio_format: AudioFormat = PCM_24K) -> bytes:
    """A square-ish signal of a level; constant would be filtered away by no one, but clicks."""
    samples = audio_format.rate_hz * ms // 1000
    wave = level * np.sin(2 * np.pi * 440 * np.arange(samples) / audio_format.rate_hz)
    return encode(wave.astype(np.float32), audio_format)


def new_eye(per_minute: int = 1000) -> Eye:
    return Eye(max_bytes=10_000, max_pixels=40_000, per_minute=per_minute, clock=lambda: 0.0)


def b64(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


def text_item(text: str = "hi", role: str = "user", **fields: Any) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **fields}


class Rig:
    """Drives a session and collects what comes out."""

    def __init__(
        self,
        *,
        profile: ModelProfile = PROFILE,
        limits: Limits | None = None,
        manual: bool = False,
        session: dict[str, Any] | None = None,
        new_mouth: Callable[[], Mouth] | None = None,
        new_judge: Callable[[], Any] = SmartTurn,
        pictures: int = 1000,
        kind: type[RealtimeSession] = RealtimeSession,
        defaults: dict[str, Any] | None = None,
    ) -> None:
        numbers = itertools.count()
        self.session = kind(
            profile=profile,
            ports=Ports(
                ear=Ear(LoudnessActivity, new_judge),
                mouth=Mouth(),
                eye=new_eye(pictures),
                new_mouth=new_mouth,
            ),
            limits=limits,
            expires_at_s=1_800_000_000,
            defaults=defaults,
            make_id=lambda prefix: f"{prefix}_{next(numbers)}",
        )
        self.opening = self.drain()
        self.commands: list[Command] = []
        if manual:
            self.update(MANUAL)
        if session is not None:
            self.update({"type": "realtime", **session})
        self.take_commands()

    # --- in ---

    def send(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        self.session.receive_event(orjson.dumps({"type": kind, **fields}).decode())
        return self.drain()

    def raw(self, frame: str | bytes) -> list[dict[str, Any]]:
        self.session.receive_event(frame)
        return self.drain()

    def engine(self, event: EngineEvent) -> list[dict[str, Any]]:
        self.session.receive_engine(event)
        return self.drain()

    def update(self, session: dict[str, Any]) -> dict[str, Any]:
        (event,) = self.send("session.update", session=session)
        assert event["type"] == "session.updated", event
        return event["session"]

    def hear(self, level: float, ms: int, *, step_ms: int = 100) -> list[dict[str, Any]]:
        audio = tone(level, ms)
        step = PCM_24K.rate_hz * step_ms // 1000 * 2
        events = []
        for at in range(0, len(audio), step):
            events += self.send("input_audio_buffer.append", audio=b64(audio[at : at + step]))
        return events

    def add(self, **item: Any) -> dict[str, Any]:
        added, done = self.send("conversation.item.create", item=text_item(**item))
        assert (added["type"], done["type"]) == (
            "conversation.item.added",
            "conversation.item.done",
        )
        return added["item"]

    def respond(self, **response: Any) -> tuple[str, str]:
        """Starts a response; its id and its item's."""
        (created,) = self.send("response.create", **({"response": response} if response else {}))
        assert created["type"] == "response.created", created
        start = self.take_commands()[-1]
        assert start.response_id == created["response"]["id"]
        return start.response_id, start.item_id

    def speak(self, response_id: str, text: str = "Hello.", ms: int = 1000) -> list[dict[str, Any]]:
        events = self.engine(ReplyText(response_id=response_id, text=text))
        return events + self.engine(ReplyAudio(response_id=response_id, pcm=tone(LOUD, ms)))

    def done(
        self, response_id: str, status: str = "completed", **fields: Any
    ) -> list[dict[str, Any]]:
        return self.engine(ReplyDone(response_id=response_id, status=status, usage=USAGE, **fields))

    def spoken_reply(self, text: str = "Hello.", ms: int = 1000) -> str:
        """A whole spoken reply; its item's id."""
        response_id, item_id = self.respond()
        self.speak(response_id, text, ms)
        self.done(response_id)
        self.take_commands()
        return item_id

    # --- out ---

    def drain(self) -> list[dict[str, Any]]:
        """The events but `rate_limits.updated`, which follows each response's beginning."""
        events = self.session.events_to_send()
        for event in events:
            check(event)
        for before, event in itertools.pairwise([{"type": None}, *events, {"type": None}]):
            is_limits = event["type"] == "rate_limits.updated"
            assert is_limits == (before["type"] == "response.created"), kinds(events)
        return [event for event in events if event["type"] != "rate_limits.updated"]

    def take_commands(self) -> list[Command]:
        return list(self.session.commands())


def check(event: dict[str, Any]) -> None:
    """Fails if any known client would trip over the event."""
    orjson.dumps(event)
    SDK_CLASSES[event["type"]].model_validate(event, strict=True)
    get_server_event_type_adapter().validate_python(event)  # of openai-agents
    assert event["event_id"]
    for item in _items(event):
        assert item["status"] in ITEM_STATUSES
        for part in item.get("content", []):
            if part["type"] in ("input_audio", "output_audio"):
                assert "transcript" in part, "the JS validator throws without it"
            assert item["role"] != "assistant" or part["type"].startswith("output_")
    if "part" in event:
        assert event["part"]["type"] in ("audio", "text")
        assert isinstance(event["part"].get("transcript", event["part"].get("text")), str)
    if "session" in event:
        _check_session(event["session"])
    for name, value in event.items():
        if name.endswith("_ms"):
            assert type(value) is int, (name, value)
    if "previous_item_id" in event or event["type"] in ("conversation.item.added",):
        assert "previous_item_id" in event


def _items(event: dict[str, Any]) -> list[dict[str, Any]]:
    return [event["item"]] if "item" in event else event.get("response", {}).get("output", [])


def _check_session(session: dict[str, Any]) -> None:
    kind = "" if session["type"] == "realtime" else f"{session['type']}_"
    assert session["object"] == f"realtime.{kind}session"
    for side in session["audio"]:
        wire_format = session["audio"][side]["format"]
        assert wire_format in (
            {"type": "audio/pcm", "rate": 24000},
            {"type": "audio/pcmu"},
            {"type": "audio/pcma"},
        )
    detection = session["audio"]["input"]["turn_detection"]
    if detection is not None:
        assert detection["type"] in ("server_vad", "semantic_vad")
        assert type(detection["interrupt_response"]) is bool, "clients cancel by themselves if not"
    assert (
        kind
        or session["audio"]["output"]["voice"] is None
        or isinstance(session["audio"]["output"]["voice"], str)
    )


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def error_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    (event,) = events
    assert event["type"] == "error", event
    return event["error"]


def heard_ms(commands: list[Command]) -> int:
    """Audio that the commands hand to the engine."""
    return sum(len(c.pcm) for c in commands if isinstance(c, AppendUserAudio)) // 64
