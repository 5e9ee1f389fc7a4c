"""What an evaluation says: one JSON object, and a table for people.

Knows shares and how to show them. Does not know how anything was measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

DIGITS = 4
NONE = "–"


class Result(Protocol):
    """One evaluation, done."""

    def figures(self) -> dict[str, Any]:
        """The JSON object."""

    def table(self) -> str:
        """The result for people."""


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Shares of ours beside those of a reference.

    Attributes:
        name: The evaluation's word on the command line.
        title: What was measured, in a sentence.
        unit: Of `ours` and `reference`.
        ours: Of the checkpoint under test, 0..1 or, for error rates, above; None where there was
            nothing to take a share of.
        reference: The same of what it is compared with.
        runs: How many questions it is of.
        silent: Questions beside those whose reply had no word; None where none is left out.
        extra: More shares of ours; the names are keys of the object.
    """

    name: str
    title: str
    unit: str
    ours: float | None
    reference: float | None
    runs: int
    silent: int | None = None
    extra: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Ours ÷ reference; None where there is none, or the reference is nothing."""
        return None if self.ours is None or not self.reference else self.ours / self.reference

    def figures(self) -> dict[str, Any]:
        """The JSON object; numbers are rounded to four digits behind the point."""
        figures = {
            "name": self.name,
            "ours": self.ours,
            "reference": self.reference,
            "ratio": self.ratio,
            "unit": self.unit,
            "runs": self.runs,
            **({} if self.silent is None else {"silent": self.silent}),
            **self.extra,
        }
        return {k: round(v, DIGITS) if isinstance(v, float) else v for k, v in figures.items()}

    def table(self) -> str:
        """The result for people, one figure a line."""
        ratio = NONE if self.ratio is None else f"{self.ratio:.3g}"
        rows = [
            ("", "ours", "reference", "ours ÷ reference"),
            (self.unit, _percent(self.ours), _percent(self.reference), ratio),
            *((key.replace("_", " "), _percent(v), NONE, NONE) for key, v in self.extra.items()),
        ]
        silent = f", {self.silent} without a word" if self.silent else ""
        return "\n".join([f"{self.name}: {self.title} (n = {self.runs}{silent})", *_columns(rows)])


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was heard in one recording, and the answer to it."""

    recording: str
    transcript: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class Readings:
    """What was heard where nobody has written down what was said: there is nothing to compare."""

    name: str
    title: str
    readings: Sequence[Reading]

    def figures(self) -> dict[str, Any]:
        """The JSON object."""
        rows = [asdict(reading) for reading in self.readings]
        return {"name": self.name, "unit": "transcript", "runs": len(rows), "rows": rows}

    def table(self) -> str:
        """The result for people, one recording a line."""
        rows = [(r.recording, r.transcript, r.answer) for r in self.readings]
        heading = ("recording", "heard", "answer")
        title = f"{self.name}: {self.title} (n = {len(rows)})"
        return "\n".join([title, *_columns([heading, *rows])])


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """One evaluation is its own object; several are the list of theirs under the name `all`."""
    objects = [result.figures() for result in results]
    return objects[0] if len(objects) == 1 else {"name": "all", "evaluations": objects}


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{share:.1%}"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
