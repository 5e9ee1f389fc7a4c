"""One step: so many callers at the same time, from their arrival to their figures.

Knows who arrives when, and the processes that callers live in. Does not know what they call.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from server.bench.load import crowd
from server.bench.load.line import running
from server.bench.load.options import LoadOptions
from server.bench.load.orders import CallerOrder, CrowdOrder, CrowdReport, Transport
from server.bench.load.processes import Started, all_read, started
from server.bench.load.record import (
    MOST_LATE_SHARE,
    Kind,
    Lateness,
    Summary,
    TurnRecord,
    finite,
    summarise,
)
from server.bench.load.usage import Cost, Meter

READY_LIMIT_S = 60.0
REPORT_LIMIT_S = 60.0
# Callers that stay arrive one by one, and what they say first does not count.
RAMP_A_CALLER_S, LEAST_RAMP_S, MOST_RAMP_S = 0.05, 1.0, 10.0
SETTLE_S = 1.0
LEAD_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is called.

    Attributes:
        name: For people.
        url: Of the Realtime WebSocket, or of an echo.
        transport: Over which it is called.
        is_echo: Whether it only says everything back.
        roles: Process ids by what they are.
        caller_cores: Those that callers keep to, so that none of them is the target's; none means
            any.
    """

    name: str
    url: str
    transport: Transport
    is_echo: bool
    roles: Mapping[str, Sequence[int]]
    caller_cores: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True)
class Step:
    """What came of it.

    Attributes:
        callers: How many there were, of every kind.
        summary: Their turns.
        records: All turns, those before and after the measurement too.
        lateness: Of the callers' own microphones.
        costs: Processor time and memory by role, while turns counted.
        took_s: From the first arrival.
    """

    callers: int
    summary: Summary
    records: Sequence[TurnRecord]
    lateness: Lateness
    costs: Mapping[str, Cost]
    took_s: float

    @property
    def callers_were_late(self) -> bool:
        """Whether the callers' own process was too slow for the figures to be the server's."""
        return self.lateness.late_share > MOST_LATE_SHARE

    def figures(self) -> dict[str, Any]:
        """Everything as JSON but the single turns."""
        return {
            "callers": self.callers,
            **self.summary.figures(),
            "costs": {role: asdict(cost) for role, cost in self.costs.items()},
            "callers_late_share": self.lateness.late_share,
            "callers_worst_late_s": finite(self.lateness.worst_s),
            "took_s": self.took_s,
        }


def arrivals(options: LoadOptions, callers: int, random: Random) -> list[CallerOrder]:
    """Says who comes when, and how each behaves; the first to come is a plain one."""
    slow, vanishing = (
        round(share * callers) for share in (options.slow_share, options.vanishing_share)
    )
    shares: tuple[tuple[Kind, int], ...] = (
        ("slow", slow),
        ("vanishing", vanishing),
        ("plain", callers - slow - vanishing - 1),
    )
    rest = [kind for kind, count in shares for _ in range(count)][: callers - 1]
    random.shuffle(rest)
    kinds: list[Kind] = ["plain", *rest]
    moments = _moments(options.rate, callers, random)
    return [
        CallerOrder(number=number, kind=kind, arrives_s=moment)
        for number, (kind, moment) in enumerate(zip(kinds, moments, strict=True))
    ]


def _moments(rate: float | None, callers: int, random: Random) -> list[float]:
    """Arrivals: by chance at a rate, or spread over the ramp."""
    if rate is None:
        ramp_s = min(MOST_RAMP_S, max(LEAST_RAMP_S, RAMP_A_CALLER_S * callers))
        return sorted(random.uniform(0, ramp_s) for _ in range(callers))
    moments, now_s = [], 0.0
    for _ in range(callers):
        moments.append(now_s)
        now_s += random.expovariate(rate)
    return moments


async def run_step(
    target: Target, options: LoadOptions, callers: int, *, warms_up: bool = False
) -> Step:
    """Lets so many callers call a target and gathers what they saw.

    Raises:
        ProcessError: A process of callers ended too soon.
    """
    coming = arrivals(options, callers, Random(f"{options.seed} {callers}"))
    orders = _orders(target, options, coming, warms_up=warms_up)
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        cores = list(map(str, target.caller_cores))
        crowds = [await stack.enter_async_context(started(crowd.__name__, *cores)) for _ in orders]
        for one, order in zip(crowds, orders, strict=True):
            await one.write(json.dumps(asdict(order)))
        await all_read(crowds, READY_LIMIT_S)
        began_s = loop.time() + LEAD_S
        stays = orders[0].stays
        counts_from_s = began_s + (coming[-1].arrives_s + SETTLE_S if stays else 0.0)
        for one in crowds:
            await one.write(json.dumps({"started_s": began_s, "counts_from_s": counts_from_s}))
        costs = await _until_counted(target, crowds, counts_from_s, options.step_limit_s)
        reports = [CrowdReport.read(line) for line in await _reports(crowds)]
    return _step(reports, callers, costs, loop.time() - began_s)


def _orders(
    target: Target, options: LoadOptions, coming: Sequence[CallerOrder], *, warms_up: bool
) -> list[CrowdOrder]:
    """Deals those who come out to processes, and says to each what its callers do."""
    count = min(options.caller_processes(len(target.caller_cores)), len(coming))
    return [
        CrowdOrder(
            url=target.url,
            transport=target.transport,
            is_echo=target.is_echo,
            key=options.key,
            session=options.session,
            speech=options.files,
            voices=options.spoken_by,
            warms_up=warms_up,
            callers=coming[part::count],
            turns=1 if warms_up else options.turns,
            stays=options.rate is None and not warms_up,
            barge_ins=0.0 if warms_up else options.barge_ins,
            seed=options.seed,
        )
        for part in range(count)
    ]


def _step(
    reports: Sequence[CrowdReport], callers: int, costs: Mapping[str, Cost], took_s: float
) -> Step:
    """Puts together what every process saw."""
    records = [record for report in reports for record in report.records]
    return Step(
        callers=callers,
        summary=summarise(records),
        records=records,
        lateness=_together([report.lateness for report in reports]),
        costs=costs,
        took_s=took_s,
    )


async def _until_counted(
    target: Target, crowds: Sequence[Started], counts_from_s: float, limit_s: float
) -> dict[str, Cost]:
    """Waits until every crowd has been counted, or time is over; measures what that costs."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(counts_from_s - loop.time())
    meter = Meter({**target.roles, "callers": [one.pid for one in crowds]})
    async with running(meter.run(), "meter"):
        try:
            async with asyncio.timeout(limit_s):
                await all_read(crowds)
        except TimeoutError:
            pass  # whoever still owes turns reports them as failures
    return meter.read()


async def _reports(crowds: Sequence[Started]) -> list[str]:
    """Ends the crowds and returns their last lines."""
    for one in crowds:
        one.end()

    async def report(one: Started) -> str:
        while not (line := await one.read(REPORT_LIMIT_S)).startswith("{"):
            pass
        return line

    return list(await asyncio.gather(*map(report, crowds)))


def _together(parts: Sequence[Lateness]) -> Lateness:
    return Lateness(
        frames=sum(part.frames for part in parts),
        late_frames=sum(part.late_frames for part in parts),
        worst_s=max(part.worst_s for part in parts),
    )
