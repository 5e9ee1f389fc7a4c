"""What of server events matters to a clock, in whichever dialect a session speaks.

Knows the names and shapes of OpenAI's Realtime API and those of its beta, which others still speak.
An event that has another shape than expected is no reason to fail: nothing is known of it then.
"""

from __future__ import annotations

from typing import Any

Event = dict[str, Any]

SESSION = frozenset(["session.created", "session.updated"])
SOUND = frozenset(["response.output_audio.delta", "response.audio.delta"])
# Wire bytes of a second of sound, by format; base64 has four characters for three of them.
BYTES_PER_S = {"audio/pcm": 48_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
BASE64 = 3 / 4


def detection_of(event: Event) -> Event | None:
    """Returns the turn detection that a session's event tells of."""
    session = event["session"]
    nested = session.get("audio", {}).get("input", {})
    detection: Event | None = nested.get("turn_detection", session.get("turn_detection"))
    return detection


def bytes_per_s(event: Event) -> int:
    """Returns how many bytes a second of a response's sound takes on the wire."""
    output = event["response"].get("audio", {}).get("output", {})
    return BYTES_PER_S.get(output.get("format", {}).get("type"), BYTES_PER_S["audio/pcm"])


def sound_s(event: Event, bytes_per_s: int) -> float:
    """Returns how much sound is in a delta."""
    return len(event["delta"]) * BASE64 / bytes_per_s
