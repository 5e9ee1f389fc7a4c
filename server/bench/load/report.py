"""What `bench load` says: the house's result, with a table, and the figures behind it.

Knows which figures stand where. Does not know how they were measured, nor the HTML (`page.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from server.bench.errors import BenchError
from server.bench.load.bench import Load, Series
from server.bench.load.options import SILENCE_MS, LoadOptions
from server.bench.load.orders import Voices
from server.bench.load.record import finite
from server.bench.load.scripted_engine import Timetable
from server.bench.load.step import Step
from server.bench.machine import Machine
from server.bench.result import Bar, Result, columns

SPEECH: dict[Voices, str] = {
    "people": "people's readings",
    "synthetic": "held-out questions, synthetic",
}
BARS = (Bar(figure="ratio", relation="at least", limit=1),)
HEADS = (
    "callers",
    "turns",
    "failed",
    "refused",
    "p50 s",
    "p95 s",
    "rtf",
    "underruns",
    "barge-in s",
)


def result_of(load: Load, options: LoadOptions, machine: Machine) -> Result:
    """Returns the result over one transport; both figures are numbers of callers.

    Raises:
        BenchError: The bare echo held nobody, so that there is nothing to set beside.
    """
    bare = load.echo
    if bare is not None and not bare.held:
        raise BenchError(f"the {bare.target} held no caller: this machine is too busy to measure")
    extra = {
        "transport": load.transport,
        "engine": "scripted" if options.is_scripted else "real",
        "model": load.model,
        "gateway": series_figures(load.gateway),
        "wanted": None if load.wanted is None else load.wanted.figures(),
        "echo": None if bare is None else series_figures(bare),
        "conditions": conditions(options),
    }
    return Result(
        name=f"load-{load.transport}",
        title=_title(load),
        unit="callers",
        ours=[load.gateway.held],
        reference=[options.callers if bare is None else bare.held],
        ours_over_reference=True,
        bars=BARS if bare is None else (),
        extra={name: value for name, value in extra.items() if value is not None},
        details=[
            line
            for series in (load.gateway, bare)
            if series is not None
            for line in ("", *series_table(series))
        ],
        machine=machine.figures(),
    )


def conditions(options: LoadOptions) -> dict[str, Any]:
    """What has to be the same for two runs to be compared."""
    return {
        "seed": options.seed,
        "turns_a_caller": options.turns,
        "rate": options.rate,
        "barge_ins": options.barge_ins,
        "slow": options.slow_share,
        "vanishing": options.vanishing_share,
        "silence_ms": SILENCE_MS,
        "max_reply_tokens": options.max_reply_tokens,
        "dtype": options.weights,
        "target_s": None if options.is_scripted else options.limit_s,
        "slack_s": options.above_one_s if options.is_scripted else None,
        "step_limit_s": options.step_limit_s,
        "speech": options.files or SPEECH[options.spoken_by],
        "timetable": asdict(Timetable()) if options.is_scripted else None,
    }


def series_figures(series: Series) -> dict[str, Any]:
    """A series as JSON."""
    return {
        "target": series.target,
        "limit_s": finite(series.limit_s),
        "held": series.held,
        "alone": None if series.alone is None else series.alone.figures(),
        "steps": [step.figures() for step in series.steps],
        "callers_were_late": any(step.callers_were_late for step in series.steps),
    }


def series_table(series: Series) -> list[str]:
    """Lines for people: a step each, in the order of their size."""
    steps = [*([series.alone] if series.alone else []), *series.steps]
    roles = list(dict.fromkeys(role for step in steps for role in step.costs))
    heads = [*HEADS, *(f"{role} cores" for role in roles), *(f"{role} MiB" for role in roles), ""]
    ordered = sorted(steps, key=lambda step: step.callers)
    rows = [heads, *(_row(step, roles) for step in ordered)]
    return [
        f"{series.target}: {series.held} callers with p95 at most {_seconds(series.limit_s)} s",
        *columns(rows),
    ]


def _row(step: Step, roles: Sequence[str]) -> list[str]:
    figures, summary = step.figures(), step.summary
    costs = [step.costs.get(role) for role in roles]
    return [
        str(step.callers),
        str(len(summary.counted)),
        str(summary.failures),
        str(figures["refusals"]),
        _seconds(summary.p(50)),
        _seconds(summary.p(95)),
        _optional(figures["speech_rtf_p50"]),
        str(figures["underruns"]),
        _optional(figures["barge_in_p50_s"]),
        *("–" if cost is None else f"{cost.cores:.2f}" for cost in costs),
        *("–" if cost is None else f"{cost.memory_mib:.0f}" for cost in costs),
        "callers late" if step.callers_were_late else "",
    ]


def _title(load: Load) -> str:
    if load.echo is not None:
        return f"callers on one core: the gateway alone (ours), a {load.echo.target} (reference)"
    return "callers with 95 of 100 first sounds in time (ours), callers wanted (reference)"


def _seconds(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "failed"


def _optional(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
