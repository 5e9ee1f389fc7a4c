"""What the parts of one session have in common, so that each is given one thing.

Knows who they are; nothing of what they do.
"""

from __future__ import annotations

from dataclasses import dataclass

from streaming.protocol.history import History
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.outbox import Outbox
from streaming.protocol.ports import Ports
from streaming.protocol.session_kind import Options
from streaming.protocol.silence import Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One session's shared parts.

    Attributes:
        ports: What the session was given to hear, see and speak with.
        profile: What the model can do.
        limits: The session's bounds.
        options: Its options.
        outbox: Takes events for the client and commands for the engine.
        history: The conversation's items.
        silence: Knows when what was answered has been heard.
        conversation_id: What the client calls the conversation.
    """

    ports: Ports
    profile: ModelProfile
    limits: Limits
    options: Options
    outbox: Outbox
    history: History
    silence: Silence
    conversation_id: str


def new_shared(ports: Ports, options: Options, outbox: Outbox) -> Shared:
    """The shared parts of a session that begins."""
    return Shared(
        ports=ports,
        profile=options.profile,
        limits=options.limits,
        options=options,
        outbox=outbox,
        history=History(),
        silence=Silence(ports.ear),
        conversation_id=outbox.make_id("conv"),
    )
