"""`omnilive eval`: quality of a checkpoint, as a table and, with `--json`, one object on the last
line.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from model.omni import OmniModel, load_checkpoint
from model.recipes.omni_mini.evaluate import recordings, speech_in, speech_out
from model.recipes.omni_mini.evaluate.people import recordings_by_people
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
CountOption = Annotated[int | None, typer.Option(help="only so many questions")]
VectorsOption = Annotated[
    bool, typer.Option("--vectors", help="read sounds as vectors instead of taking dictation")
]
CacheOption = Annotated[Path, typer.Option(help="where the recogniser's weights are joined")]
DEFAULT_CACHE = Path("runs/omni_mini")


@app.command("speech-out")
def measure_speech_out(
    *,
    model: ModelOption = None,
    count: CountOption = 50,
    cache: CacheOption = DEFAULT_CACHE,
    as_json: JsonOption = False,
) -> None:
    """Word error rate of whisper-base on spoken replies, beside the teacher voice's."""
    checkpoint = load_checkpoint(model)
    _, questions = split_questions()
    entries = speech_out.speak_replies(
        checkpoint,
        questions[:count],
        Recogniser(cache),
        progress=lambda i, e: typer.echo(
            f"{i + 1:3} {e.text}\n  ours    {e.heard}\n  teacher {e.teacher_heard}"
        ),
    )
    ours, teacher = speech_out.error_rates(entries)
    typer.echo(f"\nword error rate of {len(entries)}: ours {ours:.1%}, teacher {teacher:.1%}")
    result = {
        "name": "speech-out",
        "ours": round(ours, 4),
        "reference": round(teacher, 4),
        "ratio": round(ours / teacher, 3) if teacher else None,
        "difference": round(ours - teacher, 4),
        "unit": "word error rate",
        "runs": len(entries),
    }
    _finish(result, as_json=as_json)


@app.command("speech-in")
def measure_speech_in(
    *,
    model: ModelOption = None,
    count: CountOption = None,
    vectors: VectorsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Share of spoken questions answered with the key word of the typed one's answer."""
    checkpoint = _loaded(model, vectors=vectors)
    entries = speech_in.ask_aloud(
        checkpoint,
        recordings.held_out()[:count],
        progress=lambda i, e: typer.echo(
            f"{i + 1:3} {'yes' if e.agrees else 'no '} [{e.key_word}] {e.question}\n"
            f"  heard  {e.transcript}\n  typed  {e.typed_reply}\n  spoken {e.spoken_reply}"
        ),
    )
    share = sum(entry.agrees for entry in entries) / max(1, len(entries))
    transcript = word_error_rate([(entry.question, entry.transcript) for entry in entries])
    typer.echo(f"\n{share:.0%} of {len(entries)} agree; transcripts' WER {transcript:.1%}")
    result = {
        "name": "speech-in",
        "ours": round(share, 4),
        "reference": 1.0,
        "ratio": round(share, 4),
        "unit": "share of agreeing answers",
        "transcript_word_error_rate": round(transcript, 4),
        "runs": len(entries),
    }
    _finish(result, as_json=as_json)


@app.command("human")
def measure_human(
    *,
    model: ModelOption = None,
    most_s: Annotated[float, typer.Option(help="seconds of each recording")] = 10.0,
    vectors: VectorsOption = False,
    as_json: JsonOption = False,
) -> None:
    """What the checkpoint hears in readings by people, and what it answers."""
    paths = recordings_by_people()
    rows = speech_in.hear_recordings(_loaded(model, vectors=vectors), paths, most_s=most_s)
    for name, transcript, answer in rows:
        typer.echo(f"{name}\n  heard  {transcript}\n  answer {answer}")
    result = {"name": "human", "unit": "transcript", "runs": len(rows), "rows": rows}
    _finish(result, as_json=as_json)


@app.command("all")
def measure_all(*, model: ModelOption = None, as_json: JsonOption = False) -> None:
    """Everything above."""
    measure_speech_out(model=model, as_json=as_json)
    measure_speech_in(model=model, as_json=as_json)
    measure_human(model=model, as_json=as_json)


def _loaded(model: str | None, *, vectors: bool) -> OmniModel:
    checkpoint = load_checkpoint(model)
    return speech_in.by_vectors(checkpoint) if vectors else checkpoint


def _finish(result: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result))
