"""`omnilive bench load`: its options, and where its words go.

Knows the command line. What is measured is in `bench.py`.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from clients.python.errors import ClientError
from model.omni import DTypeName
from server.bench.errors import BenchError
from server.bench.load.bench import load
from server.bench.load.options import DEFAULT_SLACK_S, DEFAULT_TARGET_S, LoadOptions, Transports
from server.bench.load.orders import Voices
from server.bench.load.page import html
from server.bench.load.report import result_of
from server.bench.machine import take_cores
from server.bench.result import Result
from server.errors import ServerError

ALL_CORES = 2**16
# A server has 1024 seats at most, some of which are for callers that have just vanished.
MOST = 1000
SUMMARY = "Many callers at once: how long they wait, and how many the server holds."


def load_command(
    *,
    url: Annotated[
        str | None, typer.Option(help="a server on this machine that runs already; none: start one")
    ] = None,
    key: Annotated[str | None, typer.Option(help="bearer key for it")] = None,
    scripted_engine: Annotated[
        bool,
        typer.Option(
            "--scripted-engine",
            help="the gateway alone on one core, with an engine that only plays a tone, "
            "beside a bare echo",
        ),
    ] = False,
    transport: Annotated[Transports, typer.Option(help="how the callers come")] = "websocket",
    callers: Annotated[
        int, typer.Option(min=1, max=MOST, help="wanted at the same time; the search begins there")
    ] = 4,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=1000,
            help="callers a second that come, talk and leave; "
            "none: all stay, and their largest number is searched for",
        ),
    ] = None,
    turns: Annotated[int, typer.Option(min=1, max=1000, help="counted turns of a caller")] = 4,
    barge_ins: Annotated[
        float, typer.Option(min=0, max=1, help="share of the replies that are spoken into")
    ] = 0.2,
    slow: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="share of callers that read slowly; "
            "none: 0.1 over WebSocket, 0 with the scripted engine",
        ),
    ] = None,
    vanishing: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="share of callers that vanish; none: 0.1, 0 with the scripted engine"
        ),
    ] = None,
    target_s: Annotated[
        float, typer.Option(min=0.001, help="most that 95 of 100 may wait for the first sound")
    ] = DEFAULT_TARGET_S,
    slack_s: Annotated[
        float,
        typer.Option(min=0.001, help="with the scripted engine: most above one caller's median"),
    ] = DEFAULT_SLACK_S,
    most: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST, help="callers at most; none: 64, 512 with the scripted engine"
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, max=50, help="numbers that a search tries")] = 10,
    step_limit_s: Annotated[
        float, typer.Option(min=5, max=3600, help="longest that one of them takes")
    ] = 240.0,
    minutes: Annotated[
        float, typer.Option(min=0.1, max=600, help="after which a search tries nothing more")
    ] = 15.0,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            help="processes that callers live in; none: one, or one for "
            "each core beside the gateway's",
        ),
    ] = None,
    speech: Annotated[
        list[Path] | None, typer.Option(help="sound file to say; may be given again and again")
    ] = None,
    voices: Annotated[
        Voices | None,
        typer.Option(
            help="what is said without --speech: people's readings (package moonshine-voice), or "
            "synthetic questions; none: people's where they are installed"
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="checkpoint directory or hub id; none: omni-mini")
    ] = None,
    dtype: Annotated[DTypeName, typer.Option(help="type of the weights")] = "auto",
    cores: Annotated[int | None, typer.Option(min=1, help="cores to use; none: all")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="torch threads; none: one a core")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="of arrivals, questions and sampling")] = 0,
    max_reply_tokens: Annotated[
        int, typer.Option(min=1, max=4096, help="text tokens of a reply")
    ] = 64,
    out: Annotated[Path | None, typer.Option("--html", help="write a report with plots")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="end with one JSON object")] = False,
) -> None:
    """Lets scripted callers talk to a server; with `--json` the last line holds what it took."""
    logging.basicConfig(level=logging.ERROR)
    try:
        options = LoadOptions(
            url=url,
            key=key,
            is_scripted=scripted_engine,
            transport=transport,
            model=model,
            dtype=dtype,
            seed=seed,
            callers=callers,
            rate=rate,
            turns=turns,
            barge_ins=barge_ins,
            slow=slow,
            vanishing=vanishing,
            target_s=target_s,
            slack_s=slack_s,
            most=most,
            steps=steps,
            step_limit_s=step_limit_s,
            minutes=minutes,
            processes=processes,
            max_reply_tokens=max_reply_tokens,
            speech=[str(path) for path in speech or ()],
            voices=voices,
        )
        results = _measured(options, cores, threads, out)
    except (BenchError, ClientError, ServerError) as error:
        typer.echo(f"omnilive bench load: {error}", err=True)
        raise typer.Exit(1) from None
    for result in results:
        typer.echo(result.table() + "\n")
    if as_json:
        typer.echo(json.dumps(_summary(results)))


def _measured(
    options: LoadOptions, cores: int | None, threads: int | None, out: Path | None
) -> list[Result]:
    """Runs the bench and writes its page.

    Raises:
        BenchError: It cannot be run.
    """
    if out is not None and not out.parent.is_dir():
        raise BenchError(f"--html {out}: {out.parent} is no directory")
    machine = take_cores(cores or ALL_CORES, threads)
    loads = load(options, machine, typer.echo)
    results = [result_of(one, options, machine) for one in loads]
    if out is not None:
        out.write_text(html(loads, results), encoding="utf-8")
    return results


def _summary(results: list[Result]) -> dict[str, object]:
    """One transport is its own object; both are the list of theirs."""
    objects = [result.figures() for result in results]
    if len(objects) == 1:
        return objects[0]
    return {"name": "load", "met": all(one["met"] for one in objects), "benches": objects}
