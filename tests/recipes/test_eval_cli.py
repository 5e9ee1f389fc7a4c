"""`omnilive eval` as people use it: a table, one object at the end, and complaints in a line.

What is measured is replaced by answers that are known.
"""

import json

import pytest
from typer.testing import CliRunner

from model.recipes.omni_mini.evaluate import cli, people, speech_in, speech_out
from model.recipes.omni_mini.evaluate.result import Reading
from model.recipes.omni_mini.evaluate.speech_in import Heard
from model.recipes.omni_mini.evaluate.speech_out import Spoken

MODEL = object()
HEARD = [
    Heard(
        question="what is hot",
        typed_reply="Fire.",
        spoken_reply=reply,
        transcript=transcript,
        key_word="fire",
        agrees=reply == "Fire.",
    )
    for reply, transcript in [("Fire.", "what is hot"), ("Snow.", "what is not")]
]
SPOKEN = [Spoken(text="a b c d", heard="a b c x", teacher_heard="a b c d", duration_s=1.0)]
READINGS = [Reading(recording="cities.wav", transcript="It was", answer="Yes.")]


def answering(entries, asked=None):
    """Measures nothing; tells its progress as what it stands for does."""

    def answer(model, questions, *_, progress=None, **options):
        assert model is MODEL
        if asked is not None:
            asked.append((len(questions), options))
        for number, entry in enumerate(entries if progress else []):
            progress(number, entry)
        return entries

    return answer


@pytest.fixture
def loads(monkeypatch):
    """Which checkpoints were loaded, while every evaluation has its answer."""
    loads = []
    monkeypatch.setattr(cli, "load_checkpoint", lambda name: loads.append(name) or MODEL)
    monkeypatch.setattr(cli, "Recogniser", lambda cache: None)
    monkeypatch.setattr(people, "PACKAGE", "json")  # there, whatever is installed
    monkeypatch.setattr(speech_out, "speak_replies", answering(SPOKEN))
    monkeypatch.setattr(speech_in, "ask_aloud", answering(HEARD))
    monkeypatch.setattr(speech_in, "hear_recordings", answering(READINGS))
    return loads


def evaluate(*arguments):
    return CliRunner().invoke(cli.app, arguments)


def told(*arguments):
    """What stands on the last line, and all before it."""
    ended = evaluate(*arguments, "--json")
    assert ended.exit_code == 0, ended.output
    *lines, last = ended.stdout.splitlines()
    return json.loads(last), "\n".join(lines)


def test_speech_in_is_a_table_and_an_object(loads):
    figures, lines = told("speech-in", "--model", "mine")
    assert loads == ["mine"]
    assert figures == {
        "name": "speech-in",
        "ours": 0.5,
        "reference": 1.0,
        "ratio": 0.5,
        "unit": "share of agreeing answers",
        "runs": 2,
        "transcript_word_error_rate": 0.1667,
    }
    listing, table = lines.strip().split("\n\n")
    assert listing.startswith("1 yes [fire] what is hot")
    assert table.splitlines() == [
        "speech-in: a spoken question is answered as the typed one is (n = 2)",
        "                            ours   reference  ours ÷ reference",
        "share of agreeing answers   50.0%  100.0%     0.5",
        "transcript word error rate  16.7%  –          –",
    ]


def test_speech_out_has_no_ratio_to_a_reference_without_errors(loads):
    figures, lines = told("speech-out")
    assert (figures["ours"], figures["reference"], figures["ratio"]) == (0.25, 0.0, None)
    assert figures["difference"] == 0.25
    assert "word error rate  25.0%" in lines


def test_replies_without_a_word_are_told_beside_those_with(loads):
    figures, lines = told("speech-out", "--count", "3")
    assert (figures["runs"], figures["silent"]) == (1, 2)
    assert "(n = 1, 2 without a word)" in lines


def test_where_no_reply_had_a_word_there_is_no_error_rate(loads, monkeypatch):
    monkeypatch.setattr(speech_out, "speak_replies", answering([]))
    figures, lines = told("speech-out", "--count", "3")
    assert (figures["runs"], figures["silent"]) == (0, 3)
    assert (figures["ours"], figures["reference"], figures["ratio"]) == (None, None, None)
    assert figures["difference"] is None
    assert lines.strip().splitlines() == [
        "speech-out: whisper-base writes down spoken replies; the reference is the teacher voice "
        "(n = 0, 3 without a word)",
        "                 ours  reference  ours ÷ reference",
        "word error rate  –     –          –",
        "difference       –     –          –",
    ]


def test_readings_by_people_are_a_table_of_what_was_heard(loads):
    figures, lines = told("human")
    row = {"recording": "cities.wav", "transcript": "It was", "answer": "Yes."}
    assert figures == {"name": "human", "unit": "transcript", "runs": 1, "rows": [row]}
    assert "recording   heard   answer\ncities.wav  It was  Yes." in lines


def test_all_of_them_load_once_and_end_in_one_object(loads):
    figures, lines = told("all")
    assert loads == [None]
    assert figures["name"] == "all"
    assert [one["name"] for one in figures["evaluations"]] == ["speech-out", "speech-in", "human"]
    assert all(f"\n{one}: " in lines for one in ("speech-out", "speech-in", "human"))
    assert '{"name"' not in lines


def test_all_of_them_without_the_readings_say_so_and_tell_the_rest(loads, monkeypatch):
    monkeypatch.setattr(people, "PACKAGE", "no_such_package")
    ended = evaluate("all", "--json")
    assert ended.exit_code == 0, ended.output
    told = json.loads(ended.stdout.splitlines()[-1])
    assert [one["name"] for one in told["evaluations"]] == ["speech-out", "speech-in"]
    assert (
        ended.stderr
        == "omnilive eval all: without human: package no_such_package is not installed\n"
    )
    assert loads == [None]


def test_without_json_there_is_none(loads):
    assert "{" not in evaluate("all").stdout


@pytest.mark.parametrize("word", ["speech-out", "speech-in", "human", "all"])
def test_a_checkpoint_that_is_not_there_is_named_in_a_line(word, tmp_path):
    missing = str(tmp_path / "nothing")
    ended = evaluate(word, "--model", missing)
    assert ended.exit_code == 1
    assert isinstance(ended.exception, SystemExit)
    assert ended.stderr.startswith(f"omnilive eval {word}: ")
    assert missing in ended.stderr


def test_recordings_that_are_not_installed_are_named_in_a_line(loads, monkeypatch):
    monkeypatch.setattr(people, "PACKAGE", "no_such_package")
    ended = evaluate("human")
    assert ended.exit_code == 1
    assert "package no_such_package is not installed" in ended.stderr


@pytest.mark.parametrize(("word", "flag"), [("speech-in", "--count"), ("human", "--most-s")])
def test_nothing_cannot_be_measured(loads, word, flag):
    ended = evaluate(word, flag, "0")
    assert ended.exit_code == 2
    assert flag in ended.stderr
