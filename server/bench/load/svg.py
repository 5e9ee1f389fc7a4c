"""Plots as plain SVG: lines and dots over two axes, nothing to load and nothing to run.

Knows numbers, ticks and colours. Does not know what they mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 34, 64
TICKS = 5
# Told apart with any eyes (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
SYMBOL, ENTRY = 22, 7
# Above so many points a line is drawn without marks.
MOST_MARKED = 40

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One curve of a plot; `points` may be none."""

    name: str
    points: Sequence[Point]
    style: Literal["line", "dots"] = "line"


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot.

    Attributes:
        title: What it shows.
        x: Name of the horizontal axis, with its unit.
        y: Name of the vertical axis, with its unit.
        curves: What is drawn.
        limit: A horizontal line, or None.
        x_most: The horizontal axis goes at least so far.
    """

    title: str
    x: str
    y: str
    curves: Sequence[Curve]
    limit: float | None = None
    x_most: float = 0.0

    def svg(self) -> str:
        """Returns the plot as an SVG element; both axes begin at zero."""
        points = [point for curve in self.curves for point in curve.points]
        x_ticks = ticks(max([self.x_most, *(x for x, _ in points)]) or 1.0)
        y_ticks = ticks(max([*(y for _, y in points), self.limit or 0.0], default=1.0))
        scale = _Scale(x_ticks[-1], y_ticks[-1])
        parts = [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.title)}">',
            f'<text class="title" x="{LEFT}" y="18">{escape(self.title)}</text>',
            *_axes(scale, x_ticks, y_ticks, self.x, self.y),
        ]
        if self.limit is not None:
            parts.append(_across("limit", scale.y(self.limit)))
        names = [*(curve.name for curve in self.curves)]
        for curve, colour in zip(self.curves, _colours(len(names)), strict=True):
            parts += _drawn(curve, scale, colour)
        return "\n".join([*parts, *_legend(names), "</svg>"])


@dataclass(frozen=True)
class _Scale:
    x_most: float
    y_most: float

    def x(self, value: float) -> float:
        return round(LEFT + value / self.x_most * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        return round(HEIGHT - BOTTOM - value / self.y_most * (HEIGHT - TOP - BOTTOM), 1)


def ticks(most: float) -> list[float]:
    """Returns round numbers from zero to at least `most`, a positive number or zero."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough * 0.999)
    return [round(step * i, 10) for i in range(math.ceil(most / step - 1e-9) + 1)]


def _axes(
    scale: _Scale, x_ticks: Sequence[float], y_ticks: Sequence[float], x: str, y: str
) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for tick in y_ticks:
        at = scale.y(tick)
        parts.append(_across("grid", at))
        parts.append(
            f'<text class="tick" x="{LEFT - 6}" y="{at + 4}" text-anchor="end">{tick:g}</text>'
        )
    for tick in x_ticks:
        at = scale.x(tick)
        parts.append(
            f'<text class="tick" x="{at}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
        )
    middle = (TOP + bottom) / 2
    return [
        *parts,
        f'<text class="axis" x="{right}" y="{bottom + 32}" text-anchor="end">{escape(x)}</text>',
        f'<text class="axis" x="14" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 14 {middle})">{escape(y)}</text>',
    ]


def _across(kind: str, y: float) -> str:
    return f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'


def _drawn(curve: Curve, scale: _Scale, colour: str) -> list[str]:
    where = [(scale.x(x), scale.y(y), x, y) for x, y in curve.points]
    parts = []
    if curve.style == "line" and len(where) > 1:
        path = " ".join(f"{x},{y}" for x, y, _, _ in where)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    if curve.style == "dots" or len(where) <= MOST_MARKED:
        parts += [
            f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}">'
            f"<title>{escape(curve.name)}: {a:.4g}, {b:.4g}</title></circle>"
            for x, y, a, b in where
        ]
    return parts


def _legend(names: Sequence[str]) -> list[str]:
    parts, x = [], LEFT
    for name, colour in zip(names, _colours(len(names)), strict=True):
        y = HEIGHT - 12
        parts.append(f'<circle cx="{x + 4}" cy="{y - 4}" r="4" fill="{colour}"/>')
        parts.append(f'<text class="tick" x="{x + 12}" y="{y}">{escape(name)}</text>')
        x += SYMBOL + ENTRY * len(name)
    return parts


def _colours(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]
