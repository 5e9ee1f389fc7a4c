"""`bench steady`: whether speech is made faster than it is heard, and where the time goes.

One conversation at a time on two cores. Each run is one turn over the WebSocket, which gives the
speech real-time factor (seconds from `response.created` to the last sound for each second of
speech) and underruns (how often a player that starts at the first sound runs dry), and one turn at
the engine itself, which gives what each stage was busy. Beside the stages stand their floors
(`floors.py`); `reference` is the real-time factor of a program that spends exactly the floors, so
the ratio says how far from the machine's limits we are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from clients.python.report import TurnReport
from clients.python.sources import Recording
from model.layers import pack_for_steps
from model.omni import OmniModel, load_checkpoint
from server.bench.floors import ReplySize, Work, reply_floors
from server.bench.machine import Machine, Rates, measure_rates
from server.bench.options import BenchOptions
from server.bench.questions import SHORT_S, question
from server.bench.result import Bar, Result, columns
from server.bench.turns import EngineTurn, ask, ask_engine, bench_server
from streaming.engine.messages.events import StageTimings

BARS = (
    Bar(figure="ours", relation="at most", limit=0.5),
    Bar(figure="underruns", relation="at most", limit=0),
)
_MEL_FRAMES_S = 100
_BUSY = {
    "encode": "encode_busy_s",
    "prefill": "prefill_busy_s",
    "thinker": "thinker_busy_s",
    "talker": "talker_busy_s",
    "token2wav": "token2wav_busy_s",
}


@dataclass(slots=True)
class _Runs:
    turns: list[TurnReport] = field(default_factory=list)
    inside: list[EngineTurn] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """A stage's seconds for each second of speech: what it was busy, and its floor.

    `busy` is None for a part of a stage that is not timed by itself.
    """

    stage: str
    busy: float | None
    floor: float


def steady(options: BenchOptions, machine: Machine) -> Result:
    """Runs the bench.

    Raises:
        BenchError: A reply has no speech.
        ServerError: The server cannot be started, or its engine was lost.
        ClientError: A turn could not be had to its end.
    """
    runs = asyncio.run(_measure(options, machine))
    model = load_checkpoint(options.model, dtype=options.dtype)
    for decoder in (model.thinker, model.talker):
        pack_for_steps(decoder)  # as the engine does
    floors = [reply_floors(model, reply_size(model, turn)) for turn in runs.inside]
    rates = measure_rates({work.dtype for stages in floors for work in stages.values()})
    costs = stage_costs(runs.inside, floors, rates)
    return Result(
        name="steady",
        title="speech real-time factor, and that of a program at the floors of the machine",
        unit="s/s",
        ours=[_rtf(turn) for turn in runs.turns],
        reference=[sum(cost.floor for cost in costs if cost.busy is not None)],
        ours_over_reference=True,
        bars=BARS,
        extra=_extra(runs, costs, rates),
        details=cost_table(costs),
        machine=machine.figures(),
    )


async def _measure(options: BenchOptions, machine: Machine) -> _Runs:
    asked: Recording = question(SHORT_S)
    runs = _Runs()
    async with bench_server(options, machine) as running:
        await ask(running, asked, options)
        for run in range(options.runs):
            runs.turns.append(await ask(running, asked, options))
            engine = running.gateway.engine
            runs.inside.append(await ask_engine(engine, asked, options, f"bench-{run}"))
    return runs


def reply_size(model: OmniModel, turn: EngineTurn) -> ReplySize:
    """Returns how much of everything a reply took, from the engine's own count.

    Of the sound, only its last block can have been encoded after the reply was asked for.
    """
    usage = turn.done.usage
    block = model.config.thinker.audio.block_frames
    rest = SHORT_S * _MEL_FRAMES_S % block or block
    uncached = max(0, usage.input_tokens - usage.cached_tokens)
    return ReplySize(
        encoded_mel_frames=rest if turn.done.timings.encode_busy_s else 0,
        prefilled_tokens=uncached,
        prompt_tokens=usage.input_tokens,
        text_tokens=usage.output_text_tokens,
        codec_tokens=usage.output_audio_tokens,
        chunks=turn.chunks,
    )


def stage_costs(
    turns: Sequence[EngineTurn], floors: Sequence[dict[str, Work]], rates: Rates
) -> list[StageCost]:
    """Returns the medians over the turns, stage by stage, for each second of speech."""
    return [
        StageCost(
            stage=stage,
            busy=median(_busy(t.done.timings, stage) / t.speech_s for t in turns)
            if stage in _BUSY
            else None,
            floor=median(
                works[stage].floor_s(rates) / turn.speech_s
                for works, turn in zip(floors, turns, strict=True)
            ),
        )
        for stage in floors[0]
    ]


def cost_table(costs: Sequence[StageCost]) -> list[str]:
    """Lines for people; a part of the stage above it is set in."""
    rows = [("s for each s of speech", "busy", "floor", "busy ÷ floor")]
    for cost in costs:
        if cost.busy is None:
            rows.append((f"  of it {cost.stage}", "", f"{cost.floor:.4f}", ""))
        else:
            times = f"{cost.busy / cost.floor:.1f}" if cost.floor else ""
            rows.append((cost.stage, f"{cost.busy:.4f}", f"{cost.floor:.4f}", times))
    return columns(rows)


def _busy(timings: StageTimings, stage: str) -> float:
    busy: float = getattr(timings, _BUSY[stage])
    return busy


def _rtf(turn: TurnReport) -> float:
    assert turn.speech_rtf is not None, "a reply without speech"
    return turn.speech_rtf


def _extra(runs: _Runs, costs: Sequence[StageCost], rates: Rates) -> dict[str, Any]:
    firsts = ("prefill_s", "first_text_s", "first_code_s", "first_wave_s", "total_s")
    timings = [turn.done.timings for turn in runs.inside]
    return {
        "underruns": sum(turn.underruns for turn in runs.turns),
        "underrun_s": sum(turn.underrun_s for turn in runs.turns),
        "speech_s": median(turn.speech_s for turn in runs.turns),
        "stages": {c.stage: {"busy": c.busy, "floor": c.floor} for c in costs},
        "firsts": {name: [getattr(t, name) for t in timings] for name in firsts},
        "rates": rates.figures(),
    }
