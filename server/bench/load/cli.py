"""`omnilive bench load`: the command, and where its words go.

Knows the terminal. What is measured is in `bench.py`.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from clients.python.errors import ClientError
from server.bench.errors import BenchError, OptionError
from server.bench.flags import takes
from server.bench.load.bench import load
from server.bench.load.options import LoadOptions
from server.bench.load.page import html
from server.bench.load.report import result_of
from server.bench.machine import take_cores
from server.bench.result import Result
from server.errors import ServerError

ALL_CORES = 2**16
SUMMARY = "Many callers at once: how long they wait, and how many the server holds."


@takes("load", LoadOptions)
def load_command(
    options: LoadOptions,
    *,
    cores: Annotated[int | None, typer.Option(min=1, help="cores to use; none: all")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="torch threads; none: one a core")
    ] = None,
    out: Annotated[Path | None, typer.Option("--html", help="write a report with plots")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="end with one JSON object")] = False,
) -> None:
    """Lets scripted callers talk to a server; with `--json` the last line holds what it took."""
    logging.basicConfig(level=logging.ERROR)
    try:
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
    if threads is not None and (options.url is not None or options.is_scripted):
        raise OptionError("--threads: no effect without a model that the bench starts itself")
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
