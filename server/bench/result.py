"""What a bench says: runs of both sides, their medians and ratio, and whether the bars are met.

Knows figures, one JSON object and a table of them. Does not know how anything was measured.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

_HOLDS = {"at least": operator.ge, "at most": operator.le}
SIGNIFICANT_DIGITS = 4


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What a figure of the JSON object must reach.

    Attributes:
        figure: Its key.
        relation: On which side of the limit it must lie.
        limit: The limit, in the figure's own unit.
    """

    figure: str
    relation: Literal["at least", "at most"]
    limit: float

    def met_by(self, figures: Mapping[str, Any]) -> bool:
        """Tells whether it is reached."""
        return bool(_HOLDS[self.relation](figures[self.figure], self.limit))

    def __str__(self) -> str:
        """The bar in words."""
        return f"{self.figure} {self.relation} {self.limit:g}"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One bench, measured.

    Attributes:
        name: The bench's word on the command line.
        title: What was measured, in a sentence.
        unit: Of `ours` and `reference`.
        ours: One figure a run, at least one.
        reference: The same of what it is compared with, at least one.
        ours_over_reference: How the ratio is formed; False is reference ÷ ours.
        bars: What must be reached.
        extra: More figures of the object; what is nested or long stays out of the table.
        details: More lines for people, below the table.
        machine: The hardware, from `Machine.figures`.
    """

    name: str
    title: str
    unit: str
    ours: Sequence[float]
    reference: Sequence[float]
    ours_over_reference: bool
    bars: Sequence[Bar] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    details: Sequence[str] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """The medians' ratio, formed as `ours_over_reference` says."""
        ours, reference = median(self.ours), median(self.reference)
        return ours / reference if self.ours_over_reference else reference / ours

    def figures(self) -> dict[str, Any]:
        """The JSON object; numbers are rounded to four digits that mean something."""
        figures = {
            "name": self.name,
            "ours": median(self.ours),
            "reference": median(self.reference),
            "ratio": self.ratio,
            "unit": self.unit,
            "runs": len(self.ours),
            "ours_runs": list(self.ours),
            "reference_runs": list(self.reference),
            **self.extra,
            "machine": dict(self.machine),
        }
        judged = {
            "bars": [str(bar) for bar in self.bars],
            "met": all(bar.met_by(figures) for bar in self.bars),
        }
        whole: dict[str, Any] = rounded({**figures, **judged})
        return whole

    def table(self) -> str:
        """The result for people."""
        figures = self.figures()
        share = "ours ÷ reference" if self.ours_over_reference else "reference ÷ ours"
        rows = [
            ("", "median", "least", "most", "runs"),
            _spread("ours", self.ours, self.unit),
            _spread("reference", self.reference, self.unit),
        ]
        lines = [f"{self.name}: {self.title}", *columns(rows), f"{share}: {figures['ratio']}"]
        lines += [f"bar: {bar}: {'met' if bar.met_by(figures) else 'MISSED'}" for bar in self.bars]
        shown = {k: v for k, v in rounded(self.extra).items() if not isinstance(v, (list, dict))}
        lines += columns([(name, str(value)) for name, value in shown.items()])
        return "\n".join([*lines, *self.details, str(self.machine.get("description", ""))])


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def rounded(value: Any) -> Any:
    """Returns `value` with every float in it rounded to `SIGNIFICANT_DIGITS`."""
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(inner) for inner in value]
    return value


def _spread(side: str, runs: Sequence[float], unit: str) -> tuple[str, str, str, str, str]:
    shown = (f"{figure:.3g} {unit}" for figure in (median(runs), min(runs), max(runs)))
    middle, least, most = shown
    return side, middle, least, most, str(len(runs))
