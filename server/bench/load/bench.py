"""`bench load`: how many callers a server holds, and what it is like to be one of them.

With a real engine: so many callers as are wanted, then the largest number whose 95th percentile of
the wait for the first sound stays under a target; `reference` is the wanted number. With the
scripted engine: the gateway alone on one core, beside a bare echo of the same transport on that
core in the same run. There a number holds while the 95th percentile lies no more than a slack above
the median of one caller alone, for the gateway and the echo alike; `reference` is the echo's.

Knows the order of the measurement. Does not know how a caller behaves (`caller.py`).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from urllib.parse import urlsplit

from server.bench.errors import WarmUpError
from server.bench.load import echo, served
from server.bench.load.options import LoadOptions
from server.bench.load.orders import Transport
from server.bench.load.processes import started
from server.bench.load.search import largest
from server.bench.load.served import Served, ServedOrder
from server.bench.load.step import Step, Target, run_step
from server.bench.load.usage import listener_pids
from server.bench.machine import Machine

# A checkpoint may have to be fetched and read; the server itself gives up sooner.
START_LIMIT_S = 900.0
LEAST_TURNS_ALONE = 10
ECHOES = {"websocket": "bare websockets echo", "webrtc": "bare aiortc echo"}

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Series:
    """What one target held.

    Attributes:
        target: Its name.
        limit_s: What the 95th percentile was allowed.
        alone: One caller alone, where the limit was taken from that.
        steps: Every number that was tried, in their order.
        held: The largest that held, 0 if none did.
    """

    target: str
    limit_s: float
    alone: Step | None
    steps: list[Step]
    held: int


@dataclass(frozen=True, kw_only=True)
class Load:
    """The measurement over one transport.

    Attributes:
        transport: Which.
        model: What was served, as far as it is known.
        gateway: The server.
        wanted: So many callers as were wanted; None with the scripted engine.
        echo: The bare echo beside the gateway alone; None with a real engine.
    """

    transport: Transport
    model: str | None
    gateway: Series
    wanted: Step | None = None
    echo: Series | None = None


def load(options: LoadOptions, machine: Machine, progress: Progress) -> list[Load]:
    """Runs the bench; `progress` hears a line for each step.

    Raises:
        BenchError: A process could not be started, or nobody is answered.
    """
    return asyncio.run(_load(options, machine, progress))


async def _load(options: LoadOptions, machine: Machine, progress: Progress) -> list[Load]:
    measure = _measure_scripted if options.is_scripted else _measure_real
    return [
        await measure(options, transport, machine, progress) for transport in options.transports
    ]


async def _measure_real(
    options: LoadOptions, transport: Transport, machine: Machine, progress: Progress
) -> Load:
    order = ServedOrder(settings=options.settings(machine.torch_threads))
    async with _server(options, transport, order) as (target, model):
        await _warm_up(target, options)
        wanted = await _step(target, options, options.callers, progress)
        if options.is_searched:
            steps, held = await _search(target, options, options.limit_s, progress, wanted)
        else:  # who arrives when is the measurement, not how many stay
            steps, held = [wanted], options.callers if wanted.summary.holds(options.limit_s) else 0
    series = Series(target=target.name, limit_s=options.limit_s, alone=None, steps=steps, held=held)
    return Load(transport=transport, model=model, gateway=series, wanted=wanted)


async def _measure_scripted(
    options: LoadOptions, transport: Transport, machine: Machine, progress: Progress
) -> Load:
    core, others = cores_to_use()
    order = ServedOrder(
        settings=options.settings(None), is_scripted=True, core=core, engine_cores=others
    )
    async with _server(options, transport, order) as (target, model):
        gateway = await _search_beside_one(target, options, progress)
    async with _echo(transport, core, others) as target:
        bare = await _search_beside_one(target, options, progress)
    return Load(transport=transport, model=model, gateway=gateway, echo=bare)


async def _search_beside_one(target: Target, options: LoadOptions, progress: Progress) -> Series:
    """Measures one caller alone, then how many are hardly worse off."""
    await _warm_up(target, options)
    # The limit of all that follows hangs on it.
    turns = max(options.turns, LEAST_TURNS_ALONE)
    alone = await _step(target, replace(options, turns=turns), 1, progress)
    limit_s = alone.summary.p(50) + options.above_one_s
    steps, held = await _search(target, options, limit_s, progress, None)
    return Series(target=target.name, limit_s=limit_s, alone=alone, steps=steps, held=held)


async def _search(
    target: Target,
    options: LoadOptions,
    limit_s: float,
    progress: Progress,
    known: Step | None,
) -> tuple[list[Step], int]:
    """Returns every step that was tried, and the largest number that held."""
    steps: list[Step] = []

    async def holds(callers: int) -> bool:
        step = known if known is not None and known.callers == callers else None
        steps.append(step or await _step(target, options, callers, progress))
        return steps[-1].summary.holds(limit_s)

    clock = asyncio.get_running_loop().time
    ends_s = clock() + options.search_s
    held = await largest(
        holds,
        start=options.callers,
        most=options.most_callers,
        trials=options.trials,
        goes_on=lambda: clock() < ends_s,
    )
    return steps, held


async def _step(target: Target, options: LoadOptions, callers: int, progress: Progress) -> Step:
    step = await run_step(target, options, callers)
    summary = step.summary
    progress(
        f"{target.name}, {target.transport}: {callers} callers, {len(summary.counted)} turns, "
        f"{summary.failures} failed, p50 {summary.p(50):.3f} s, p95 {summary.p(95):.3f} s"
        + (", callers late" if step.callers_were_late else "")
    )
    return step


async def _warm_up(target: Target, options: LoadOptions) -> None:
    """Lets one caller have a turn that is not counted.

    Raises:
        WarmUpError: It was not answered.
    """
    step = await run_step(target, replace(options, rate=None), 1, warms_up=True)
    turn = step.summary.counted[0]
    if not turn.succeeded:
        raise WarmUpError(f"{target.name}: the first caller was {turn.outcome}: {turn.reason}")


@asynccontextmanager
async def _server(
    options: LoadOptions, transport: Transport, order: ServedOrder
) -> AsyncIterator[tuple[Target, str | None]]:
    """Starts a server, or takes the one that runs; gives its model's name where that is known.

    Raises:
        ProcessError: It cannot be started.
    """
    if options.url is not None:
        roles = {"server": listener_pids(port_of(options.url))}
        yield _target("server", options.url, transport, roles), None
        return
    async with started(served.__name__, json.dumps(asdict(order))) as process:
        there = Served(**json.loads(await process.read(START_LIMIT_S)))
        roles = {"gateway": [there.gateway_pid], "engine": [there.engine_pid or 0]}
        name = "gateway alone" if order.is_scripted else "server"
        yield _target(name, there.url, transport, roles, order.engine_cores), there.model


@asynccontextmanager
async def _echo(
    transport: Transport, core: int | None, others: Sequence[int]
) -> AsyncIterator[Target]:
    arguments = [transport] if core is None else [transport, str(core)]
    async with started(echo.__name__, *arguments) as process:
        url = await process.read(START_LIMIT_S)
        roles = {"echo": [process.pid]}
        yield Target(
            name=ECHOES[transport],
            url=url,
            transport=transport,
            is_echo=True,
            roles=roles,
            caller_cores=others,
        )


def _target(
    name: str,
    url: str,
    transport: Transport,
    roles: dict[str, list[int]],
    caller_cores: Sequence[int] = (),
) -> Target:
    return Target(
        name=name,
        url=url,
        transport=transport,
        is_echo=False,
        roles=roles,
        caller_cores=caller_cores,
    )


def port_of(url: str) -> int:
    """Returns the port that an address leads to."""
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme in ("wss", "https") else 80)


def cores_to_use() -> tuple[int | None, list[int]]:
    """Returns the core of what is measured, and the others; None where that cannot be said."""
    if sys.platform != "linux":
        return None, []
    first, *others = sorted(os.sched_getaffinity(0))
    return first, others
