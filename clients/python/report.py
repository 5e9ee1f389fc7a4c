"""What one turn was like: its words, its sound, and how long everything took.

Knows figures and how to show them. Does not know where they came from.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class TurnReport:
    """One question and its answer, as the client saw them.

    Attributes:
        question_transcript: What the server heard; None when it was not asked, or could not say.
        answer_transcript: The answer's words.
        first_text_s: From the end of speech (when its last sample was due) to the first words;
            of a typed question from before it was sent.
        first_audio_s: From the same moment to the first sound; None for an answer in text.
        speech_s: Seconds of speech in the answer.
        speech_rtf: Seconds from `response.created` to the last sound, for each second of speech.
        underruns: How often a player that starts at the first sound would have run dry.
        underrun_s: How long it would have been silent.
        status: How the reply ended: completed or incomplete.
        usage: Token counts as the server gave them.
        samples: int16 [S], the answer.
        sample_rate_hz: Rate of `samples`.
    """

    question_transcript: str | None
    answer_transcript: str
    first_text_s: float | None
    first_audio_s: float | None
    speech_s: float
    speech_rtf: float | None
    underruns: int
    underrun_s: float
    status: str
    usage: dict[str, Any]
    samples: npt.NDArray[np.int16]
    sample_rate_hz: int

    def figures(self) -> dict[str, Any]:
        """Everything but the samples, ready for JSON."""
        fields = asdict(self)
        del fields["samples"]
        return {name: _rounded(value) for name, value in fields.items()}

    def table(self) -> str:
        """The report for people, one figure a line."""
        rows = [
            ("heard", self.question_transcript or "–"),
            ("answer", self.answer_transcript),
            ("end of speech to first text", _seconds(self.first_text_s)),
            ("end of speech to first audio", _seconds(self.first_audio_s)),
            ("speech", _seconds(self.speech_s)),
            (
                "speech real-time factor",
                "–" if self.speech_rtf is None else f"{self.speech_rtf:.2f}",
            ),
            ("underruns", f"{self.underruns} ({self.underrun_s:.2f} s)"),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
