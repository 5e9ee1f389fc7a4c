"""The command `omnilive`: where each of its words leads.

Knows names. What a word does is imported when it is used, so that `serve` never loads what only
training needs, nor `talk` what only the server does.
"""

from __future__ import annotations

import importlib

import typer

from clients.python.talk import talk
from server.demo import demo
from server.serve import serve

# Words whose code is heavy, or whose packages may be absent: the module whose `app` each leads to.
LAZY = {
    "train": ("model.recipes.omni_mini.cli", "Train omni-mini: its data, each stage, the export."),
    "eval": (
        "model.recipes.omni_mini.evaluate.cli",
        "Measure how well omni-mini speaks and hears.",
    ),
    "bench": ("server.bench.cli", "Measure how fast it is, beside the reference."),
}
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app = typer.Typer(
    name="omnilive",
    help="A real-time voice server for the Qwen2.5-Omni architecture.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # the help of a setting names its variable in square brackets
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(talk)
app.command()(demo)


def _mount(word: str, module: str, summary: str) -> None:
    @app.command(word, help=summary, context_settings=PASS_ON, add_help_option=False)
    def forward(context: typer.Context) -> None:
        try:
            sub_app: typer.Typer = importlib.import_module(module).app
        except ModuleNotFoundError as error:
            typer.echo(f"omnilive {word}: {error}; `make .venv` installs what it needs", err=True)
            raise typer.Exit(1) from None
        sub_app(args=context.args, prog_name=f"omnilive {word}")


for _word, (_module, _summary) in LAZY.items():
    _mount(_word, _module, _summary)


def main() -> None:
    """Runs the command line."""
    app()
