"""`omnilive train`: the stages of the recipe by name, or all of them in order."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from model.recipes.omni_mini import finish, hearing_stages, stages
from model.recipes.omni_mini.stages import Work

_log = logging.getLogger("omnilive.recipes")

# In the order in which each finds what it needs.
STAGES: dict[str, Callable[[Work], None]] = {
    "texts": stages.texts,
    "speech": stages.speech,
    "codec": stages.codec,
    "vocoder": stages.train_vocoder,
    "dit": stages.train_dit,
    "talker": stages.talker,
    "hearing-data": hearing_stages.recordings,
    "letters": hearing_stages.letters,
    "hearing": hearing_stages.hearing,
    "adapt": hearing_stages.adapt,
    "joint": stages.joint,
    "export": finish.export_checkpoint,
}

app = typer.Typer(
    help="Train omni-mini: its data, each stage, the export. Stages: all, " + ", ".join(STAGES),
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def train(
    stage: Annotated[str, typer.Argument(help="all, or one of: " + ", ".join(STAGES))],
    *,
    directory: Annotated[
        Path, typer.Option("--dir", help="where the run is kept; run again to go on")
    ] = Path("runs/omni_mini"),
    steps: Annotated[int | None, typer.Option(help="optimiser steps in all", min=1)] = None,
    start: Annotated[
        Path | None,
        typer.Option(help="checkpoint that dit, hearing and adapt begin with"),
    ] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="everything tiny, to see it run")] = False,
    threads: Annotated[int | None, typer.Option(help="torch threads", min=1)] = None,
) -> None:
    """Run a stage of the recipe; one that was cut off goes on where it was."""
    if stage != "all" and stage not in STAGES:
        typer.echo(f"omnilive train: stage {stage!r} is unknown; choices: all, {', '.join(STAGES)}")
        raise typer.Exit(2)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    work = Work(directory=directory, smoke=smoke, steps=steps, start=start)
    for name in STAGES if stage == "all" else [stage]:
        _log.info("stage %s", name)
        STAGES[name](work)
