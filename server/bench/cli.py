"""`omnilive bench`: its words.

Knows the command line. What is measured, and how, is in a module of its own for each bench.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from clients.python.errors import ClientError
from model.errors import ModelError
from server.bench.errors import BenchError
from server.bench.first_audio import first_audio
from server.bench.flags import takes
from server.bench.growth import growth
from server.bench.load.cli import SUMMARY, load_command
from server.bench.machine import Machine, take_cores
from server.bench.options import BenchOptions
from server.bench.result import Result
from server.bench.steady import steady
from server.bench.vocoder import vocoder
from server.errors import ServerError
from streaming.errors import StreamingError

Bench = Callable[[BenchOptions, Machine], Result]
BENCHES: Mapping[str, tuple[Bench, str]] = {
    "first-audio": (first_audio, "Wait for the first sound, beside transformers' generate()."),
    "growth": (growth, "The same wait after a long question, beside a short one."),
    "steady": (steady, "Speech real-time factor and underruns; stages beside their floors."),
    "vocoder": (vocoder, "BigVGAN beside the transformers module."),
}

app = typer.Typer(
    help="Measure how fast omnilive is, beside the reference and the machine's own limits.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def run_benches(
    names: list[str],
    options: BenchOptions,
    *,
    as_json: bool,
) -> None:
    """Runs benches one after the other; with `as_json` the last line holds what they say."""
    logging.basicConfig(level=logging.WARNING)
    machine = take_cores(options.cores, options.threads)
    results = []
    for name in names:
        results.append(_run(name, options, machine))
        typer.echo(results[-1].table() + "\n")
    if as_json:
        typer.echo(json.dumps(_summary(results)))


def _run(name: str, options: BenchOptions, machine: Machine) -> Result:
    bench, _ = BENCHES[name]
    try:
        return bench(options, machine)
    except (BenchError, ClientError, ModelError, ServerError, StreamingError) as error:
        typer.echo(f"omnilive bench {name}: {error}", err=True)
        raise typer.Exit(1) from None


def _summary(results: list[Result]) -> dict[str, Any]:
    """One bench is its own object; several are the list of theirs under the name `all`."""
    objects = [result.figures() for result in results]
    if len(objects) == 1:
        return objects[0]
    return {"name": "all", "met": all(o["met"] for o in objects), "benches": objects}


def _mount(word: str, names: list[str], summary: str) -> None:
    """Adds a command that runs these benches."""

    @app.command(word, help=summary)
    @takes(word, BenchOptions)
    def command(
        options: BenchOptions,
        *,
        as_json: Annotated[bool, typer.Option("--json", help="end with one JSON object")] = False,
    ) -> None:
        run_benches(names, options, as_json=as_json)


for _name, (_, _help) in BENCHES.items():
    _mount(_name, [_name], _help)
_mount("all", list(BENCHES), "All of the above, one after the other.")
app.command("load", help=SUMMARY)(load_command)
