"""The events of a conversation that outlives its socket; vendor events, only after an opt-in.

    x_resumed   the conversation goes on where it was: what the client missed follows
    x_resync    it cannot: `code` says why, and what to build on now

Neither is numbered (`sent_log.py`): they belong to one socket. And a client may ask how far what it
sent has come, where its own socket cannot say that: `x_ping` is answered by `x_pong`. Knows these
events' fields. Does not know sockets, tokens or time.
"""

from __future__ import annotations

from typing import Any

from streaming.protocol.layer import is_event
from streaming.protocol.outbox import random_id

Event = dict[str, Any]

PING = "x_ping"


def offer(token: str, window_s: float) -> dict[str, Any]:
    """What `session.created` carries beside the session: how to come back, and until when."""
    return {"x_resume": {"token": token, "window_s": window_s}}


def resumed(*, missed: int, received: int) -> Event:
    """Nothing is lost that the server sent.

    Args:
        missed: How many events follow that the client has not seen.
        received: How many events of the client have arrived in this conversation, so far.
    """
    return _event("x_resumed", missed=missed, received=received)


def events_lost(
    snapshot: dict[str, Any], *, after: int, last: int, first: int, received: int
) -> Event:
    """The conversation is there, but not all that the client missed.

    Args:
        snapshot: The session, and the ids of the items of the conversation.
        after: The last event that the client has seen.
        last: The newest event; the next one the client gets follows it.
        first: The oldest that is still kept.
        received: How many events of the client have arrived in this conversation, so far.
    """
    message = (
        f"Of the events after {after} only those from {first} on are kept (resume_log_bytes), and "
        "no more than may wait (send_queue_events). The conversation goes on; retrieve the items "
        "that you need."
    )
    return _event(
        "x_resync", code="events_lost", message=message, x_seq=last, received=received, **snapshot
    )


def conversation_gone(window_s: float) -> Event:
    """There is nothing to come back to: what follows is a new conversation."""
    message = (
        "There is no conversation of yours for this token: it has ended, or nobody came back "
        f"within {window_s:g} s (resume_window_s). A new one begins."
    )
    return _event("x_resync", code="conversation_gone", message=message)


def is_ping(frame: str | bytes) -> bool:
    """Whether the client only asks how far what it sent has come."""
    return is_event(frame, PING)


def pong(received: int) -> Event:
    """As many events of the client have arrived, with the ping itself."""
    return _event("x_pong", received=received)


def _event(kind: str, **fields: Any) -> Event:
    return {"type": kind, "event_id": random_id("event"), **fields}
