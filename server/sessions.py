"""Makes the protocol session of a new conversation, with real ears and a real mouth.

Knows which settings bound a session. Does not know transports.
"""

from __future__ import annotations

from server.settings import Settings
from streaming.engine.messages import EngineReady
from streaming.media.mouth import Mouth
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.session import RealtimeSession
from streaming.turns.ear import Ear


def new_session(ready: EngineReady, settings: Settings) -> RealtimeSession:
    """Returns a session for what this engine can do."""
    return RealtimeSession(
        profile=ModelProfile(
            model_id=ready.model_id,
            inputs=ready.inputs,
            voices=ready.voices,
            instructions=ready.instructions,
            transcribes=ready.transcribes,
        ),
        ear=Ear(),
        mouth=Mouth(),
        limits=Limits(max_message_bytes=settings.max_event_bytes),
    )
