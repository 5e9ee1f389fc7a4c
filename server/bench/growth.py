"""`bench growth`: whether a long question makes the answer wait longer.

The time of `bench first-audio` (ours alone) after a 30 s question beside the same after a 3 s one,
which are the same last 3 s. Everything before the last block is heard and read while the user
speaks, so the two should differ by little more than what attention over a longer past costs. Only
the first sound counts, so replies are kept short.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from server.bench.machine import Machine
from server.bench.options import BenchOptions
from server.bench.questions import LONG_S, SHORT_S, question
from server.bench.result import Bar, Result
from server.bench.turns import ask, bench_server, first_audio_s

BARS = (Bar(figure="ratio", relation="at most", limit=1.3),)
# Enough for the first chunks of sound; what follows changes nothing of what is measured.
_REPLY_TOKENS = 12


def growth(options: BenchOptions, machine: Machine) -> Result:
    """Runs the bench.

    Raises:
        BenchError: A reply has no speech.
        ServerError: The server cannot be started, or its engine was lost.
        ClientError: A turn could not be had to its end.
    """
    options = replace(options, max_reply_tokens=options.max_reply_tokens or _REPLY_TOKENS)
    after_long, after_short = asyncio.run(_measure(options, machine))
    return Result(
        name="growth",
        title=f"first sound after a {LONG_S} s question (ours) and a {SHORT_S} s one (reference)",
        unit="s",
        ours=after_long,
        reference=after_short,
        ours_over_reference=True,
        bars=BARS,
        machine=machine.figures(),
    )


async def _measure(options: BenchOptions, machine: Machine) -> tuple[list[float], list[float]]:
    """Returns the times after the long question and after the short one; runs alternate."""
    long, short = question(LONG_S), question(SHORT_S)
    after_long, after_short = [], []
    async with bench_server(options, machine) as running:
        await ask(running, short, options)
        for _ in range(options.runs):
            after_short.append(first_audio_s(await ask(running, short, options)))
            after_long.append(first_audio_s(await ask(running, long, options)))
    return after_long, after_short
