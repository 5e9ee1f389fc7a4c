"""The report of `bench load` as one HTML file: tables and plots, with nothing to load.

Knows which plots tell something. Does not know how to draw them (`svg.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from html import escape

from server.bench.load.bench import Load, Series
from server.bench.load.record import TurnRecord, percentile
from server.bench.load.step import Step
from server.bench.load.svg import Curve, Plot
from server.bench.result import Result

STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#222, #ddd); --faint: light-dark(#ddd, #444); }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 1180px;
  margin: 2rem auto; padding: 0 1rem; }
.plots { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); }
h2 { font-size: 1.15rem; margin-top: 2rem; }
h2::first-letter { text-transform: uppercase; }
svg { width: 100%; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg text.title { font-weight: 600; font-size: 13px; }
svg .grid { stroke: var(--faint); }
svg .limit { stroke: var(--ink); stroke-dasharray: 5 4; }
figure { margin: 0; }
pre { font-size: 12px; overflow-x: auto; border: 1px solid var(--faint); padding: .8rem; }
"""
HUNDREDTHS = range(1, 101)


def html(loads: Sequence[Load], results: Sequence[Result]) -> str:
    """Returns the whole file."""
    sections = [_section(load, result) for load, result in zip(loads, results, strict=True)]
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>omnilive bench load</title>\n<style>{STYLE}</style>\n"
        "<h1>omnilive bench load</h1>\n" + "\n".join(sections) + "\n</html>\n"
    )


def _section(load: Load, result: Result) -> str:
    figures = result.figures()
    plots = [plot.svg() for plot in plots_of(load)]
    return (
        f"<section>\n<h2>{escape(result.title)}, over {escape(load.transport)}</h2>\n"
        f"<p>{escape(str(result.machine.get('description', '')))}; engine: {figures['engine']}, "
        f"model: {escape(str(load.model or 'not told'))}</p>\n"
        f"<pre>{escape(result.table())}</pre>\n"
        f'<div class="plots">\n{"".join(f"<figure>{plot}</figure>" for plot in plots)}\n</div>\n'
        f"<details><summary>all figures</summary><pre>{escape(json.dumps(figures, indent=2))}"
        "</pre></details>\n</section>"
    )


def plots_of(load: Load) -> list[Plot]:
    """Returns the plots over one transport."""
    plots = []
    for series in (load.gateway, load.echo):
        if series is not None:
            plots += [_waits(series), _troubles(series)]
            plots += [_costs(series, "cores"), _costs(series, "memory_mib")]
    plots.append(_real_time_factor(load.gateway))
    shown = load.wanted or _held_step(load.gateway)
    if shown is not None:
        plots += [_distribution(shown, load.gateway.limit_s), _timeline(shown)]
    return plots


def _held_step(series: Series) -> Step | None:
    return next((step for step in series.steps if step.callers == series.held), None)


def _by_size(series: Series) -> list[Step]:
    steps = [*([series.alone] if series.alone else []), *series.steps]
    return sorted(steps, key=lambda step: step.callers)


def _waits(series: Series) -> Plot:
    def points(percent: int) -> list[tuple[float, float]]:
        both = [(float(step.callers), step.summary.p(percent)) for step in _by_size(series)]
        return [(callers, wait_s) for callers, wait_s in both if math.isfinite(wait_s)]

    return Plot(
        title=f"{series.target}: wait for the first sound (dashed: the limit)",
        x="callers",
        y="s",
        curves=[Curve(name=f"p{percent}", points=points(percent)) for percent in (50, 90, 95)],
        limit=series.limit_s if math.isfinite(series.limit_s) else None,
    )


def _troubles(series: Series) -> Plot:
    """What share of the counted turns went wrong, and how."""
    steps = [(step.callers, step.summary.figures()) for step in _by_size(series)]
    names = {
        "failed": "failures",
        "refused": "refusals",
        "with underruns": "turns_with_underruns",
    }
    return Plot(
        title=f"{series.target}: turns that went wrong",
        x="callers",
        y="% of the turns",
        curves=[
            Curve(
                name=name,
                points=[
                    (float(callers), 100 * figures[figure] / max(1, figures["turns"]))
                    for callers, figures in steps
                ],
            )
            for name, figure in names.items()
        ],
    )


def _real_time_factor(series: Series) -> Plot:
    figures = [
        (step.callers, step.summary.figures()["speech_rtf_p50"]) for step in _by_size(series)
    ]
    return Plot(
        title=f"{series.target}: speech real-time factor (dashed: 1)",
        x="callers",
        y="s for each s",
        curves=[
            Curve(
                name="median",
                points=[(float(callers), rtf) for callers, rtf in figures if rtf is not None],
            )
        ],
        limit=1.0,
    )


def _costs(series: Series, figure: str) -> Plot:
    steps = _by_size(series)
    roles = dict.fromkeys(role for step in steps for role in step.costs)
    name = {"cores": "processor time", "memory_mib": "memory"}[figure]
    return Plot(
        title=f"{series.target}: {name}",
        x="callers",
        y={"cores": "cores", "memory_mib": "MiB"}[figure],
        curves=[
            Curve(
                name=role,
                points=[
                    (float(step.callers), getattr(step.costs[role], figure))
                    for step in steps
                    if role in step.costs
                ],
            )
            for role in roles
        ],
    )


def _distribution(step: Step, limit_s: float) -> Plot:
    """How long how many waited; where the curve ends, the rest failed."""
    waits = [(float(share), percentile(step.summary.waits_s, share)) for share in HUNDREDTHS]
    return Plot(
        title=f"{step.callers} callers: waits in order (ends where the rest failed)",
        x="% of the turns",
        y="s",
        curves=[
            Curve(name="first sound", points=[point for point in waits if math.isfinite(point[1])])
        ],
        limit=limit_s if math.isfinite(limit_s) else None,
        x_most=100.0,
    )


def _timeline(step: Step) -> Plot:
    """Every turn when it ended; one that failed lies on the ground."""
    groups: dict[str, Callable[[TurnRecord], bool]] = {
        "counted": lambda turn: turn.counted and turn.succeeded,
        "not counted": lambda turn: not turn.counted and turn.succeeded,
        "failed": lambda turn: not turn.succeeded and turn.outcome != "vanished",
    }
    return Plot(
        title=f"{step.callers} callers: every turn (failures at 0)",
        x="s since the first could arrive",
        y="s",
        curves=[
            Curve(
                name=name,
                style="dots",
                points=[
                    (max(0.0, turn.at_s), max(0.0, turn.first_sound_s or 0.0))
                    for turn in step.records
                    if belongs(turn)
                ],
            )
            for name, belongs in groups.items()
        ],
    )
