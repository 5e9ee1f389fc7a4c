"""Makes the protocol session of a new conversation, with a real ear, mouth and eye.

Knows which settings and which figures of the engine bound a session. Does not know transports.
"""

from __future__ import annotations

import time
from typing import Any

from server.clock import unix_s
from server.settings import Settings
from server.telemetry.ear import Hearing, WatchedEar
from streaming.engine.messages.events import EngineReady
from streaming.media.eye import Eye
from streaming.media.mouth import Mouth
from streaming.media.video import MODEL_PIXELS
from streaming.protocol.errors import CapabilityError
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.live import LiveMouth, LiveSession, LoudspeakerPort
from streaming.protocol.ports import MouthPort, Ports, RatesPort
from streaming.protocol.qwen.options import ga_defaults
from streaming.protocol.qwen.session import QwenSession
from streaming.protocol.session import RealtimeSession
from streaming.protocol.transcription_session import TYPE as TRANSCRIPTION
from streaming.protocol.transcription_session import TranscriptionSession
from streaming.turns.ear import Ear

# What one turn may take of the context; the rest is for instructions and the answer.
TURN_SHARE = 0.75
# And what its pictures may; a turn that is longer goes on without.
FILMED_SHARE = 0.5


def new_session(
    ready: EngineReady,
    settings: Settings,
    hearing: Hearing,
    defaults: dict[str, Any] | None = None,
    mouth: MouthPort | None = None,
    *,
    rates: RatesPort = list,
) -> RealtimeSession:
    """Returns a session for what this engine can do, which ends `max_session_s` from now.

    Of the kind that `defaults` name. `hearing` is told when its user speaks, and `rates` says what
    its client has left of its allowances.

    Raises:
        ProtocolError: The defaults are wrong, or ask for what is not served.
    """
    transcribes = defaults is not None and defaults.get("type") == TRANSCRIPTION
    make = TranscriptionSession if transcribes else RealtimeSession
    return make(
        profile=profile_of(ready),
        ports=Ports(
            ear=WatchedEar(Ear(), hearing),
            mouth=mouth or Mouth(),
            eye=new_eye(settings, frame_pixels=settings.camera_pixels),
            new_mouth=Mouth if mouth is None else None,
            rates=rates,
        ),
        limits=limits_of(ready, settings),
        expires_at_s=unix_s() + settings.max_session_s,
        defaults=defaults,
    )


def new_live_session(
    ready: EngineReady,
    settings: Settings,
    hearing: Hearing,
    loudspeaker: LoudspeakerPort,
    defaults: dict[str, Any] | None = None,
    *,
    rates: RatesPort = list,
) -> LiveSession:
    """Returns the same for a line on which the server plays its own sound.

    Raises:
        ProtocolError: The defaults are wrong, or ask for what is not served.
    """
    mouth = LiveMouth()
    session = new_session(ready, settings, hearing, defaults, mouth, rates=rates)
    return LiveSession(session, mouth, loudspeaker)


def new_qwen_session(
    ready: EngineReady,
    settings: Settings,
    hearing: Hearing,
    defaults: dict[str, Any] | None = None,
    *,
    rates: RatesPort = list,
) -> QwenSession:
    """Returns the same in the dialect of Qwen-Omni-Realtime.

    Raises:
        ProtocolError: The defaults are wrong, or ask for what is not served.
    """
    profile, limits = profile_of(ready), limits_of(ready, settings)
    if defaults is None:
        defaults = ga_defaults(profile)
    elif defaults.get("type") == TRANSCRIPTION:
        raise CapabilityError("This dialect has no sessions of type 'transcription'.")
    inner = new_session(ready, settings, hearing, defaults, rates=rates)
    return QwenSession(inner, profile, limits)


def limits_of(ready: EngineReady, settings: Settings) -> Limits:
    """Returns the bounds of a session with this engine."""
    return Limits(
        max_event_bytes=settings.max_event_bytes,
        max_options_bytes=settings.max_options_bytes,
        max_turn_ms=max_turn_ms(ready, settings),
        max_items=settings.max_items,
        max_text_chars=settings.max_text_chars,
        max_request_chars=settings.max_request_chars,
        max_input_items=settings.max_input_items,
        max_tools=settings.max_tools,
        max_id_chars=settings.max_id_chars,
        min_commit_ms=settings.min_commit_ms,
        max_responses_aside=settings.max_responses_aside,
        max_image_pixels=settings.max_image_pixels,
        frames_per_second=settings.camera_fps,
        quiet_video_tokens=settings.quiet_video_tokens,
        filmed_turn_tokens=int(FILMED_SHARE * ready.context_tokens),
    )


def new_eye(settings: Settings, *, frame_pixels: int = MODEL_PIXELS) -> Eye:
    """Returns what looks at one client's pictures; those of a video get `frame_pixels` at most."""
    return Eye(
        frame_pixels=frame_pixels,
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        per_minute=settings.max_images_per_minute,
        clock=time.monotonic,
    )


def profile_of(ready: EngineReady) -> ModelProfile:
    """Returns what the protocol may promise of this engine."""
    return ModelProfile(
        model_id=ready.model_id,
        inputs=ready.inputs,
        voices=ready.voices,
        instructions=ready.instructions,
        transcribes=ready.transcribes,
    )


def max_turn_ms(ready: EngineReady, settings: Settings) -> int:
    """Returns how long one turn of speech may be, so that its tokens fit into the context."""
    seconds = TURN_SHARE * ready.context_tokens / ready.audio_tokens_per_s
    return min(int(seconds * 1000), settings.max_turn_ms)
