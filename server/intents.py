"""What kind of session a WebSocket asks for: `?intent=`, and what its client secret was made for.

Knows the two kinds and how they are refused. Does not know what a session does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from server.auth import Identity
from server.errors import IntentError
from server.settings import Settings
from server.telemetry.watch import ConversationWatch
from streaming.engine.messages import EngineReady
from streaming.protocol import transcription_session
from streaming.protocol.errors import ProtocolError
from streaming.protocol.qwen.session import QwenSession
from streaming.protocol.session import RealtimeSession

Session = TypeVar("Session", bound=RealtimeSession | QwenSession)
MakeSession = Callable[[EngineReady, Settings, ConversationWatch, dict[str, Any] | None], Session]

TRANSCRIPTION = transcription_session.TYPE
SHOWN_CHARS = 64


def session_for(
    intent: str | None,
    identity: Identity,
    ready: EngineReady,
    settings: Settings,
    watch: ConversationWatch,
    make_session: MakeSession[Session],
) -> Session:
    """Returns the session that this client asks for.

    Raises:
        IntentError: There is no such kind, or not here, or its secret is for another.
    """
    try:
        return make_session(ready, settings, watch, _defaults(intent, identity))
    except ProtocolError as error:
        raise IntentError(error.message) from None


def check_intent(intent: str | None) -> None:
    """Raises IntentError for a kind of session that nobody knows."""
    if intent not in (None, TRANSCRIPTION):
        raise IntentError(
            f"there are no sessions with the intent {intent[:SHOWN_CHARS]!r}; leave it out for a "
            f"conversation, or ask for {TRANSCRIPTION!r}"
        )


def _defaults(intent: str | None, identity: Identity) -> dict[str, Any] | None:
    check_intent(intent)
    if intent is None:
        return identity.session
    if identity.session is None:
        return {"type": TRANSCRIPTION}
    kind = identity.session.get("type")
    if kind != intent:
        raise IntentError(f"this client secret is for a session of type {kind!r}, not {intent!r}")
    return identity.session
