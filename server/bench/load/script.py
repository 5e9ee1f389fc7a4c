"""What callers of a step are told, and the account of what became of each.

Knows counts and outcomes. Does not know lines or turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from server.bench.load.record import Kind, Outcome, TurnRecord
from server.bench.load.speech import Utterance

# How long after its question a caller waits for the first sound, and then for the reply's end.
ANSWER_LIMIT_S = 30.0
REPLY_LIMIT_S = 150.0
# Between a reply's end and the next question, and before a caller calls again.
THINK_S = (0.3, 1.2)
CALL_AGAIN_S = 1.0


class TurnError(Exception):
    """A turn that ended otherwise than by its answer, and how."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome: Outcome = outcome
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Script:
    """What all callers of a step have in common.

    Attributes:
        utterances: What they may say.
        turns: Turns of each that count.
        stays: Go on talking, uncounted, until the step is over; else leave.
        barge_ins: Share of the replies that are spoken into.
        started_s: The step's beginning on the loop's clock.
        counts_from_s: Turns that begin before this moment do not count.
    """

    utterances: Sequence[Utterance]
    turns: int
    stays: bool
    barge_ins: float
    started_s: float
    counts_from_s: float


@dataclass(slots=True)
class Tally:
    """The records of one caller, and how many counted turns it still owes.

    Whatever happens to a caller, exactly `owed` counted records come of it in the end.
    """

    caller: int
    kind: Kind
    owed: int
    script: Script
    records: list[TurnRecord] = field(default_factory=list)
    paid: asyncio.Event = field(default_factory=asyncio.Event)
    _counts: bool = False

    def __post_init__(self) -> None:
        if not self.owed:
            self.paid.set()

    def begin_turn(self, now_s: float) -> None:
        """A turn, or an attempt at one, begins."""
        self._counts = self.owed > 0 and now_s >= self.script.counts_from_s

    def end_turn(self, outcome: Outcome, at_s: float, reason: str = "", **figures: Any) -> None:
        """It is over."""
        self._add(outcome, at_s, reason, self._counts, figures)
        if self._counts:
            self.owed -= 1
            self._counts = False
        if not self.owed:
            self.paid.set()

    def close(self, at_s: float) -> None:
        """The step is over: what a plain caller still owes has failed."""
        for _ in range(self.owed if self.kind == "plain" else 0):
            self._add("unfinished", at_s, "the step's time was over", True, {})
        self.owed = 0

    def _add(
        self, outcome: Outcome, at_s: float, reason: str, counted: bool, figures: dict[str, Any]
    ) -> None:
        self.records.append(
            TurnRecord(
                caller=self.caller,
                kind=self.kind,
                outcome=outcome,
                counted=counted,
                at_s=at_s - self.script.started_s,
                reason=reason,
                **figures,
            )
        )
