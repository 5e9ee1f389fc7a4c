"""`bench first-audio`: how long after a spoken question the first sound of the answer comes.

Ours: from the last sample of a 3 s question sent over the WebSocket to the first PCM at the client.
The client says that its question is over (push to talk), so that no silence is waited for; how long
it takes when the server has to find the end itself stands beside it.

The reference: `transformers`' `generate()` on the same weights and the same sound, which gives its
first sound when it has all of it. Its reply is as long as ours (see `reference.py`). Runs
alternate, so that whatever else the machine does meets both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from clients.python.report import TurnReport
from model.extras import SolverConfig
from server.bench.machine import Machine
from server.bench.options import BenchOptions
from server.bench.questions import SHORT_S, for_engine, question
from server.bench.reference import Reference, ReferenceAnswer
from server.bench.result import Bar, Result
from server.bench.turns import ask, bench_server, first_audio_s

BARS = (
    Bar(figure="ratio", relation="at least", limit=8),
    Bar(figure="speech_s", relation="at least", limit=4),
)
_WARM_UP_TEXT_TOKENS, _WARM_UP_CODEC_TOKENS = 2, 24


@dataclass(slots=True)
class _Runs:
    """What was measured, in the order of the runs.

    `detected` are turns whose end the server found itself; `published` one call of the reference
    with the published solver, whatever the checkpoint's.
    """

    ours: list[TurnReport] = field(default_factory=list)
    detected: list[TurnReport] = field(default_factory=list)
    reference: list[ReferenceAnswer] = field(default_factory=list)
    published: ReferenceAnswer | None = None


def first_audio(options: BenchOptions, machine: Machine) -> Result:
    """Runs the bench.

    Raises:
        BenchError: `transformers` is not installed, or a reply has no speech.
        ServerError: The server cannot be started, or its engine was lost.
        ClientError: A turn could not be had to its end.
    """
    reference = Reference(options.model, options.dtype)
    runs = asyncio.run(_measure(options, machine, reference))
    return Result(
        name="first-audio",
        title=f"end of a {SHORT_S} s question to the first sound at the client",
        unit="s",
        ours=[first_audio_s(turn) for turn in runs.ours],
        reference=[answer.took_s for answer in runs.reference],
        ours_over_reference=False,
        bars=BARS,
        extra=_extra(runs),
        machine=machine.figures(),
    )


def _extra(runs: _Runs) -> dict[str, Any]:
    assert runs.published is not None, "measured with the first run"
    return {
        "speech_s": median(turn.speech_s for turn in runs.ours),
        "reference_speech_s": median(answer.speech_s for answer in runs.reference),
        "reference_published_solver_s": runs.published.took_s,
        "first_text_s": _median_of([turn.first_text_s for turn in runs.ours]),
        "server_vad_s": median(first_audio_s(turn) for turn in runs.detected),
        "text_tokens": [_tokens(turn, "text_tokens") for turn in runs.ours],
        "codec_tokens": [_tokens(turn, "audio_tokens") for turn in runs.ours],
    }


async def _measure(options: BenchOptions, machine: Machine, reference: Reference) -> _Runs:
    asked = question(SHORT_S)
    samples = for_engine(asked)
    runs = _Runs()
    async with bench_server(options, machine) as running:
        await ask(running, asked, options)
        reference.answer(
            samples, text_tokens=_WARM_UP_TEXT_TOKENS, codec_tokens=_WARM_UP_CODEC_TOKENS
        )
        for _ in range(options.runs):
            turn = await ask(running, asked, options)
            runs.ours.append(turn)
            runs.reference.append(await _as_long(reference, samples, turn))
            runs.detected.append(await ask(running, asked, options, push_to_talk=False))
        runs.published = await _as_long(reference, samples, runs.ours[-1], SolverConfig())
    return runs


async def _as_long(
    reference: Reference,
    samples: npt.NDArray[np.float32],
    turn: TurnReport,
    solver: SolverConfig | None = None,
) -> ReferenceAnswer:
    """Asks the reference for a reply of the same length, in a thread: the gateway goes on."""
    return await asyncio.to_thread(
        reference.answer,
        samples,
        text_tokens=_tokens(turn, "text_tokens"),
        codec_tokens=_tokens(turn, "audio_tokens"),
        solver=solver,
    )


def _tokens(turn: TurnReport, kind: str) -> int:
    return int(turn.usage["output_token_details"][kind])


def _median_of(figures: Sequence[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return median(known) if known else None
