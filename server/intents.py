"""What kind of session a WebSocket asks for: `?intent=`, and what its client secret was made for.

Knows the two kinds and how they are refused. Does not know what a session does.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol, TypeVar

from server.auth import Identity
from server.doors import Visitor
from server.errors import IntentError
from server.gateway import Gateway
from server.settings import Settings
from server.telemetry.watch import ConversationWatch
from streaming.engine.messages.events import EngineReady
from streaming.protocol import transcription_session
from streaming.protocol.errors import ProtocolError
from streaming.protocol.ports import RatesPort
from streaming.protocol.qwen.session import QwenSession
from streaming.protocol.session import RealtimeSession

Session_co = TypeVar("Session_co", bound=RealtimeSession | QwenSession, covariant=True)

TRANSCRIPTION = transcription_session.TYPE
SHOWN_CHARS = 64


class MakeSession(Protocol[Session_co]):
    """Makes a conversation's side of a protocol; see `server.sessions`."""

    def __call__(
        self,
        ready: EngineReady,
        settings: Settings,
        hearing: ConversationWatch,
        defaults: dict[str, Any] | None,
        /,
        *,
        rates: RatesPort,
    ) -> Session_co:
        """Raises ProtocolError if it cannot be had."""


def session_for(
    visitor: Visitor,
    intent: str | None,
    gateway: Gateway,
    ready: EngineReady,
    watch: ConversationWatch,
    make_session: MakeSession[Session_co],
) -> Session_co:
    """Returns the session that this client asks for.

    Raises:
        IntentError: There is no such kind, or not here, or its secret is for another.
    """
    defaults = _defaults(intent, visitor.identity)
    rates = partial(gateway.doors.rates, visitor)
    try:
        return make_session(ready, gateway.settings, watch, defaults, rates=rates)
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
