"""What was lately, in memory: open sessions, the last replies, and percentiles of both.

Knows watches and reports. Does not know who reads it (`ops.py`). Bounded: the last replies only.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.clock import unix_s
from server.telemetry.names import TTFA_STAGES, Transport
from server.telemetry.reply_watch import ReplyReport

if TYPE_CHECKING:
    from server.telemetry.watch import ConversationWatch

MAX_REPLIES = 60
MAX_FIGURES = 1000
QUANTILES = {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A reply, and when it was over."""

    at_s: int
    report: ReplyReport


class Journal:
    """One gateway's."""

    def __init__(self, clock: Callable[[], int] = unix_s) -> None:
        self._clock = clock
        self._sessions: dict[str, ConversationWatch] = {}
        self._replies: deque[Entry] = deque(maxlen=MAX_REPLIES)
        self._figures: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=MAX_FIGURES))

    def opened(self, watch: ConversationWatch) -> None:
        """A session has begun."""
        self._sessions[watch.conversation_id] = watch

    def closed(self, watch: ConversationWatch) -> None:
        """A session is over."""
        del self._sessions[watch.conversation_id]

    def figure(self, name: str, value_s: float | None) -> None:
        """Takes a value of a figure, if there is one."""
        if value_s is not None:
            self._figures[name].append(value_s)

    def reply_ended(self, report: ReplyReport) -> None:
        """A reply is over."""
        self._replies.append(Entry(at_s=self._clock(), report=report))
        self.figure("ttfa", report.ttfa_s)
        for stage, part_s in report.stages.items():
            self.figure(stage, part_s)
        self.figure("to_first_text", report.first_text_s)
        self.figure("first_sound", report.first_packet_s)

    def queues(self, transport: Transport) -> list[int]:
        """Returns how many events wait to be sent, of each open session over a transport."""
        watches = [each for each in list(self._sessions.values()) if each.transport == transport]
        return [len(watch.outbox) for watch in watches if watch.outbox is not None]

    def sessions(self) -> list[dict[str, Any]]:
        """Returns the open sessions, the oldest first."""
        return [
            {
                "conversation_id": watch.conversation_id,
                "transport": watch.transport,
                "state": watch.state,
                "age_s": round(watch.age_s, 1),
                "turns": watch.turns,
                "last_ttfa_s": watch.last_ttfa_s,
            }
            for watch in list(self._sessions.values())
        ]

    def replies(self) -> list[dict[str, Any]]:
        """Returns the last replies, the latest first."""
        return [_shown(entry) for entry in reversed(list(self._replies))]

    def percentiles(self) -> list[dict[str, Any]]:
        """Returns those of each figure of which there is one, in the order of a turn."""
        order = ("ttfa", *TTFA_STAGES, "to_first_text", "first_sound", "endpoint_delay", "barge_in")
        return [_percentiles(name, self._figures[name]) for name in order if self._figures[name]]


def _shown(entry: Entry) -> dict[str, Any]:
    report = entry.report
    return {
        "at_s": entry.at_s,
        "conversation_id": report.conversation_id,
        "response_id": report.response_id,
        "transport": report.transport,
        "turn_detection": report.turn_detection,
        "status": report.status,
        "ttfa_s": report.ttfa_s,
        "stages": [{"stage": name, "s": part_s} for name, part_s in report.parts.items()],
        "sound_s": report.sound_s,
        "rtf": report.rtf,
        "underrun_s": report.underrun_s,
    }


def _percentiles(name: str, values: Iterable[float]) -> dict[str, Any]:
    ordered = sorted(values)
    ranks = {key: ordered[math.ceil(share * len(ordered)) - 1] for key, share in QUANTILES.items()}
    return {"name": name, "count": len(ordered), **ranks}
