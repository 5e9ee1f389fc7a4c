"""What a crowd is told and what it reports: one line of JSON each way.

Knows fields. Does not know processes (`crowd.py` is one, `step.py` starts them).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from server.bench.load.record import Kind, Lateness, TurnRecord

Transport = Literal["websocket", "webrtc"]
Voices = Literal["people", "synthetic"]


@dataclass(frozen=True, kw_only=True)
class CallerOrder:
    """One caller: its number in the step, how it behaves, and when it arrives in the step."""

    number: int
    kind: Kind
    arrives_s: float


@dataclass(frozen=True, kw_only=True)
class CrowdOrder:
    """What a crowd is told.

    Attributes:
        url: Of the Realtime WebSocket, or of an echo.
        transport: Over which the callers come.
        is_echo: The other end only says everything back.
        key: Bearer key, if the server wants one.
        session: What each caller's session is updated with.
        speech: Sound files to say; none means people's readings or the held-out questions.
        voices: Which of the two.
        warms_up: Say something that is never said in a measurement.
        callers: Who is in this crowd.
        turns: Counted turns of each caller.
        stays: Talk on until the step is over.
        barge_ins: Share of the replies that are spoken into.
        seed: Of all chance, together with a caller's number.
    """

    url: str
    transport: Transport
    is_echo: bool
    key: str | None
    session: dict[str, Any]
    speech: Sequence[str]
    voices: Voices
    warms_up: bool
    callers: Sequence[CallerOrder]
    turns: int
    stays: bool
    barge_ins: float
    seed: int

    @classmethod
    def read(cls, line: str | bytes) -> CrowdOrder:
        """Reads what `asdict` and JSON made of one."""
        fields = json.loads(line)
        fields["callers"] = [CallerOrder(**caller) for caller in fields["callers"]]
        return cls(**fields)


@dataclass(frozen=True, kw_only=True)
class CrowdReport:
    """What became of a crowd."""

    records: Sequence[TurnRecord]
    lateness: Lateness

    @classmethod
    def read(cls, line: str | bytes) -> CrowdReport:
        """Reads what `asdict` and JSON made of one."""
        fields = json.loads(line)
        return cls(
            records=[TurnRecord(**record) for record in fields["records"]],
            lateness=Lateness(**fields["lateness"]),
        )
