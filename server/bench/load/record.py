"""One turn of one scripted caller, and the figures of many.

Knows outcomes, percentiles and what counts as a failure. Does not know how a turn was had. A turn
that failed has no first sound: for the percentiles it waited for ever, so it stays in the
denominator.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

Kind = Literal["plain", "slow", "vanishing"]
Outcome = Literal[
    "answered",  # heard to its end
    "interrupted",  # heard until the caller spoke into it, as was scripted
    "vanished",  # the caller left without a word, as was scripted
    "refused",  # the server did not let the caller in, and said so
    "lost",  # no connection, or it broke
    "failed",  # the server reported an error, or a failed reply
    "unheard",  # the server never said that it heard the question
    "unanswered",  # no sound, or no end of it, in time
    "silent",  # a reply without speech
    "unfinished",  # the bench's own time was over
]
SUCCESSES = ("answered", "interrupted")
PERCENTILES = (50, 90, 95, 99)
# Fewer turns say nothing about one in a hundred.
LEAST_FOR_P99 = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnRecord:
    """One turn.

    Attributes:
        caller: Number of the caller in its step.
        kind: How that caller behaves.
        outcome: How the turn ended.
        counted: Whether it belongs to the measurement and not to the time before or after it.
        at_s: End of the question, or of the attempt, since the step began.
        reason: Code or message of a failure.
        first_sound_s: From the end of speech to the first sound; of an echo, its delay.
        first_text_s: From the end of speech to the first words.
        speech_s: Seconds of sound received.
        speech_rtf: Seconds from `response.created` until the last sound was made, for each second
            of sound; None on a call that was spoken into.
        underruns: How often the player ran dry.
        underrun_s: How long it was silent.
        barge_in_s: From the first speech into this reply to its silence at the caller.
    """

    caller: int
    kind: Kind
    outcome: Outcome
    counted: bool
    at_s: float
    reason: str = ""
    first_sound_s: float | None = None
    first_text_s: float | None = None
    speech_s: float = 0.0
    speech_rtf: float | None = None
    underruns: int = 0
    underrun_s: float = 0.0
    barge_in_s: float | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the caller was answered."""
        return self.outcome in SUCCESSES


@dataclass(frozen=True, kw_only=True)
class Lateness:
    """How punctual the callers' own microphones were.

    Attributes:
        frames: Frames of sound that were due.
        late_frames: Those sent more than `LATE_S` after that, or left out after a stall.
        worst_s: The largest delay.
    """

    frames: int = 0
    late_frames: int = 0
    worst_s: float = 0.0

    @property
    def late_share(self) -> float:
        """Share of the frames that were late."""
        return self.late_frames / self.frames if self.frames else 0.0


LATE_S = 0.020
# Above this share of late frames a step says as much about the callers as about the server.
MOST_LATE_SHARE = 0.02


def percentile(values: Sequence[float], percent: int) -> float:
    """Nearest-rank percentile of at least one value: the least that so many do not exceed."""
    rank = -(-percent * len(values) // 100)  # rounded up, and in whole numbers
    return sorted(values)[max(1, rank) - 1]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The counted turns of the plain callers, and how the others fared."""

    counted: Sequence[TurnRecord]
    others: Sequence[TurnRecord]

    @property
    def waits_s(self) -> list[float]:
        """Each counted turn's wait for its first sound; infinite for one that failed."""
        return [
            turn.first_sound_s if turn.succeeded and turn.first_sound_s is not None else math.inf
            for turn in self.counted
        ]

    @property
    def failures(self) -> int:
        """Counted turns that were not answered."""
        return sum(not turn.succeeded for turn in self.counted)

    def p(self, percent: int) -> float:
        """A percentile of the waits; infinite when so many failed."""
        return percentile(self.waits_s, percent) if self.counted else math.inf

    def holds(self, limit_s: float) -> bool:
        """Tells whether 95 of 100 turns had their first sound by then."""
        return self.p(95) <= limit_s

    def figures(self) -> dict[str, Any]:
        """Everything as JSON; a percentile that failures reach is null."""
        answered = [turn for turn in self.counted if turn.succeeded]
        percentiles = {
            f"p{percent}_s": finite(self.p(percent))
            for percent in PERCENTILES
            if percent < 99 or len(self.counted) >= LEAST_FOR_P99
        }
        return {
            "turns": len(self.counted),
            "failures": self.failures,
            "refusals": sum(turn.outcome == "refused" for turn in self.counted),
            "outcomes": dict(Counter(turn.outcome for turn in self.counted)),
            "reasons": dict(Counter(turn.reason for turn in self.counted if turn.reason)),
            "first_sound": percentiles,
            "first_text_p50_s": _median([turn.first_text_s for turn in answered]),
            "speech_rtf_p50": _median([turn.speech_rtf for turn in answered]),
            "underruns": sum(turn.underruns for turn in answered),
            "underrun_s": sum(turn.underrun_s for turn in answered),
            "turns_with_underruns": sum(turn.underruns > 0 for turn in answered),
            "barge_ins": sum(turn.barge_in_s is not None for turn in answered),
            "barge_in_p50_s": _median([turn.barge_in_s for turn in answered]),
            "speech_s": sum(turn.speech_s for turn in answered),
            "others": {
                kind: dict(Counter(turn.outcome for turn in self.others if turn.kind == kind))
                for kind in ("slow", "vanishing")
            },
        }


def summarise(records: Sequence[TurnRecord]) -> Summary:
    """Sorts turns into those that count and those of callers that only disturb."""
    plain = [turn for turn in records if turn.kind == "plain"]
    return Summary(
        counted=[turn for turn in plain if turn.counted],
        others=[turn for turn in records if turn.kind != "plain"],
    )


def finite(value: float) -> float | None:
    """The value, or None for what JSON has no word for."""
    return value if math.isfinite(value) else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
