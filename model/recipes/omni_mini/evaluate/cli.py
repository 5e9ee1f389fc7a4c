"""`omnilive eval`: quality of a checkpoint, as a table and, with `--json`, one object on the last
line.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from model.errors import ModelError
from model.omni import OmniModel, load_checkpoint
from model.recipes.omni_mini.evaluate import people, recordings, speech_in, speech_out
from model.recipes.omni_mini.evaluate.result import Readings, Result, Shares, summary
from model.recipes.omni_mini.questions import split_questions
from model.recipes.omni_mini.recogniser import Recogniser, word_error_rate

app = typer.Typer(
    help="Measure how well omni-mini speaks and hears.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ModelOption = Annotated[str | None, typer.Option("--model", help="checkpoint; none: omni-mini")]
JsonOption = Annotated[bool, typer.Option("--json", help="end with one JSON object")]
CountOption = Annotated[int | None, typer.Option(help="only so many questions", min=1)]
VectorsOption = Annotated[
    bool, typer.Option("--vectors", help="read sounds as vectors instead of taking dictation")
]
CacheOption = Annotated[Path, typer.Option(help="where the recogniser's weights are joined")]
LengthOption = Annotated[float, typer.Option(help="seconds of each recording", min=0.1)]
DEFAULT_CACHE = Path("runs/omni_mini")
DEFAULT_REPLIES = 50
DEFAULT_LENGTH_S = 10.0

Evaluation = Callable[[OmniModel], Result]


@app.command("speech-out")
def measure_speech_out(
    *,
    model: ModelOption = None,
    count: CountOption = DEFAULT_REPLIES,
    cache: CacheOption = DEFAULT_CACHE,
    as_json: JsonOption = False,
) -> None:
    """Word error rate of whisper-base on spoken replies, beside the teacher voice's."""
    _evaluate("speech-out", model, [lambda loaded: _speech_out(loaded, count, cache)], as_json)


@app.command("speech-in")
def measure_speech_in(
    *,
    model: ModelOption = None,
    count: CountOption = None,
    vectors: VectorsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Share of spoken questions answered with the key word of the typed one's answer."""
    _evaluate("speech-in", model, [lambda m: _speech_in(_ear(m, vectors), count)], as_json)


@app.command("human")
def measure_human(
    *,
    model: ModelOption = None,
    most_s: LengthOption = DEFAULT_LENGTH_S,
    vectors: VectorsOption = False,
    as_json: JsonOption = False,
) -> None:
    """What the checkpoint hears in readings by people, and what it answers."""
    _evaluate("human", model, [lambda loaded: _human(_ear(loaded, vectors), most_s)], as_json)


@app.command("all")
def measure_all(
    *, model: ModelOption = None, cache: CacheOption = DEFAULT_CACHE, as_json: JsonOption = False
) -> None:
    """Everything above; without `human` where the readings are not installed."""
    evaluations: list[Evaluation] = [
        lambda loaded: _speech_out(loaded, DEFAULT_REPLIES, cache),
        lambda loaded: _speech_in(loaded, None),
    ]
    if people.are_there():
        evaluations.append(lambda loaded: _human(loaded, DEFAULT_LENGTH_S))
    else:
        missing = f"without human: package {people.PACKAGE} is not installed"
        typer.echo(f"omnilive eval all: {missing}", err=True)
    _evaluate("all", model, evaluations, as_json)


def _evaluate(word: str, model: str | None, evaluations: list[Evaluation], as_json: bool) -> None:
    """Does one after the other; with `as_json` the last line holds what they say."""
    results = []
    try:
        loaded = load_checkpoint(model)
        for evaluation in evaluations:
            results.append(evaluation(loaded))
            typer.echo(f"\n{results[-1].table()}\n")
    except (ModelError, OSError, ImportError) as error:  # a package or a file that is not there
        typer.echo(f"omnilive eval {word}: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(summary(results)))


def _speech_out(model: OmniModel, count: int | None, cache: Path) -> Shares:
    _, held_out = split_questions()
    questions = held_out[:count]
    entries = speech_out.speak_replies(
        model,
        questions,
        Recogniser(cache),
        progress=lambda i, e: typer.echo(
            f"{i + 1:3} {e.text}\n  ours    {e.heard}\n  teacher {e.teacher_heard}"
        ),
    )
    rates = speech_out.error_rates(entries)
    ours, teacher = rates or (None, None)
    return Shares(
        name="speech-out",
        title="whisper-base writes down spoken replies; the reference is the teacher voice",
        unit="word error rate",
        ours=ours,
        reference=teacher,
        runs=len(entries),
        silent=len(questions) - len(entries),
        extra={"difference": None if rates is None else rates[0] - rates[1]},
    )


def _speech_in(model: OmniModel, count: int | None) -> Shares:
    entries = speech_in.ask_aloud(
        model,
        recordings.held_out()[:count],
        progress=lambda i, e: typer.echo(
            f"{i + 1:3} {'yes' if e.agrees else 'no '} [{e.key_word}] {e.question}\n"
            f"  heard  {e.transcript}\n  typed  {e.typed_reply}\n  spoken {e.spoken_reply}"
        ),
    )
    transcripts = [(entry.question, entry.transcript) for entry in entries]
    return Shares(
        name="speech-in",
        title="a spoken question is answered as the typed one is",
        unit="share of agreeing answers",
        ours=sum(entry.agrees for entry in entries) / max(1, len(entries)),
        reference=1.0,
        runs=len(entries),
        extra={"transcript_word_error_rate": word_error_rate(transcripts)},
    )


def _human(model: OmniModel, most_s: float) -> Readings:
    return Readings(
        name="human",
        title="what is heard in readings by people, and the answer",
        readings=speech_in.hear_recordings(model, people.recordings_by_people(), most_s=most_s),
    )


def _ear(model: OmniModel, vectors: bool) -> OmniModel:
    return speech_in.by_vectors(model) if vectors else model
