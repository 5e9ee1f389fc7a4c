"""The command line: its words, its last line, its errors."""

import json

import pytest
from typer.testing import CliRunner

from server.bench import cli
from server.bench.errors import ReferenceMissingError
from server.bench.result import Bar, Result

pytestmark = pytest.mark.usefixtures("restored")
WORDS = ("first-audio", "growth", "steady", "vocoder", "all")


def invoke(*arguments):
    return CliRunner().invoke(cli.app, [*arguments, "--cores", "1000000"])


@pytest.fixture
def quick(monkeypatch):
    """Benches that are over at once and tell what they were told."""

    def bench(name):
        def run(options, machine):
            return Result(
                name=name,
                title="nothing",
                unit="s",
                ours=[1.0] * options.runs,
                reference=[2.0],
                ours_over_reference=False,
                bars=(Bar(figure="ratio", relation="at least", limit=2),),
                extra={"told": str(options.model)},
                machine=machine.figures(),
            )

        return run, "help"

    monkeypatch.setattr(cli, "BENCHES", {name: bench(name) for name in WORDS[:-1]})


@pytest.mark.parametrize("word", WORDS)
def test_help_names_every_option(word):
    shown = CliRunner().invoke(cli.app, [word, "--help"]).stdout
    for option in ("--model", "--runs", "--json", "--cores", "--threads", "--dtype"):
        assert option in shown


@pytest.mark.usefixtures("quick")
def test_last_line_is_one_object():
    done = invoke("growth", "--json", "--runs", "3", "--model", "a/b")
    assert done.exit_code == 0
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["name"], said["runs"], said["ratio"], said["told"]) == ("growth", 3, 2.0, "a/b")
    assert said["machine"]["cpu"]
    assert "growth: nothing" in done.stdout


@pytest.mark.usefixtures("quick")
def test_without_json_there_is_only_the_table():
    assert "{" not in invoke("vocoder").stdout


@pytest.mark.usefixtures("quick")
def test_all_is_one_object_of_all():
    said = json.loads(invoke("all", "--json").stdout.splitlines()[-1])
    assert [bench["name"] for bench in said["benches"]] == list(WORDS[:-1])
    assert (said["name"], said["met"]) == ("all", True)


def test_no_runs_is_no_median():
    refused = invoke("growth", "--runs", "0")
    assert refused.exit_code == 2


def test_what_is_lacking_is_said(monkeypatch):
    def bench(options, machine):
        raise ReferenceMissingError("no transformers here")

    monkeypatch.setattr(cli, "BENCHES", {"vocoder": (bench, "")})
    refused = invoke("vocoder")
    assert refused.exit_code == 1
    assert refused.stderr == "omnilive bench vocoder: no transformers here\n"
