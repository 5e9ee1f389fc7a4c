"""The command line as people use it: its help, its refusals, and questions to a real server."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
import soundfile
from typer.testing import CliRunner

from server.cli import app
from server.demo import QUESTION
from server.settings import ENV_PREFIX, Settings
from server.throwaway import OWN
from tests.server.conftest import TINY


def flag_of(name):
    return "--" + name.replace("_", "-")


FLAGS = [part for name, value in TINY.items() for part in (flag_of(name), str(value))]


def omnilive(*arguments, **environment):
    """Runs the command line in this process."""
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "1000", **environment})


def test_help_lists_every_setting_with_its_flag_and_variable():
    told = " ".join(omnilive("serve", "--help").stdout.split())
    for name in Settings.model_fields:
        assert f"{flag_of(name)} " in told
        assert f"env: {ENV_PREFIX}{name.upper()};" in told


def test_the_demo_has_no_flag_for_what_it_decides_itself():
    told = omnilive("demo", "--help").stdout
    for name in OWN:
        assert f"{flag_of(name)} " not in told
        assert omnilive("demo", flag_of(name), "1").exit_code == 2
    assert {"drain_timeout_s", "end_without_engine", "metrics_host"} <= set(OWN)
    assert "--max-conversations " in told


def test_every_word_is_in_the_help():
    told = omnilive("--help").stdout
    for word in ("serve", "talk", "demo", "train", "eval", "bench"):
        assert f" {word} " in told


@pytest.mark.parametrize(
    ("arguments", "environment", "complaint"),
    [
        (["serve", "--port", "http"], {}, "--port / OMNILIVE_PORT: 'http'"),
        (["serve"], {"OMNILIVE_DEVICE": "tpu"}, "--device / OMNILIVE_DEVICE: 'tpu'"),
        (["demo", "--max-conversations", "none"], {}, "--max-conversations"),
    ],
)
def test_a_bad_setting_ends_the_program_with_its_name(arguments, environment, complaint):
    ended = omnilive(*arguments, **environment)
    assert ended.exit_code == 2
    assert complaint in ended.stderr
    assert isinstance(ended.exception, SystemExit)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["none.wav"], "none.wav: no such file"),
        (["pyproject.toml"], "not a sound file"),
        ([str(QUESTION), "--text", "both"], "not both"),
        ([str(QUESTION), "--url", "ws://127.0.0.1:9/v1/realtime"], "no Realtime server there"),
        ([str(QUESTION), "--url", "localhost"], "expected an address like"),
        ([str(QUESTION), "--url", "http://127.0.0.1:99999/v1/realtime"], "expected an address"),
        ([str(QUESTION), "--out", "none/answer.wav"], "none/answer.wav: cannot be written"),
    ],
)
def test_talk_says_what_is_wrong(arguments, complaint):
    ended = omnilive("talk", *arguments)
    assert ended.exit_code == 1
    assert complaint in ended.stderr
    assert isinstance(ended.exception, SystemExit)


@pytest.mark.parametrize("way", [[], ["--push-to-talk"], ["--text", "What is it?"]])
def test_talk_asks_a_real_server(tiny_server, tmp_path, way):
    question = [] if "--text" in way else [str(QUESTION)]
    out = tmp_path / "answer.wav"
    ended = omnilive("talk", *question, *way, "--url", tiny_server.url, "--out", str(out), "--json")
    assert ended.exit_code == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["out"] == str(out)
    assert told["first_audio_s"] >= told["first_text_s"] - 1
    assert told["status"] in ("completed", "incomplete")
    samples, rate_hz = soundfile.read(out)
    assert rate_hz == told["sample_rate_hz"] == 24_000
    assert len(samples) / rate_hz == pytest.approx(told["speech_s"], abs=1e-3)


def test_the_demo_knows_where_its_answer_can_be_written_before_it_begins():
    ended = omnilive("demo", "--model", "none", "--out", "none/answer.wav")
    assert ended.exit_code == 1
    assert "none/answer.wav: cannot be written" in ended.stderr
    assert not ended.stdout


def test_the_demo_does_it_all_and_ends_whatever_the_server_beside_it_is_told(
    talkative_checkpoint, tiny_server, tmp_path, monkeypatch
):
    # What is drawn for its key may begin as a client secret does.
    monkeypatch.setattr("server.demo.token_urlsafe", lambda: "ek_" + 40 * "k")
    out = tmp_path / "answer.wav"
    port = tiny_server.url.split(":")[2].split("/")[0]
    ended = omnilive(
        *("demo", "--model", str(talkative_checkpoint), *FLAGS, "--out", str(out), "--json"),
        OMNILIVE_API_KEYS="kkkkkkkkkkkk",
        OMNILIVE_PORT=port,
        OMNILIVE_METRICS_PORT=port,
    )
    assert ended.exit_code == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told["answer_transcript"]
    assert soundfile.info(out).duration == pytest.approx(told["speech_s"], abs=1e-3)


@contextmanager
def typed_serve(checkpoint):
    """`omnilive serve` as a terminal runs it: in a process group of its own."""
    command = [sys.executable, "-c", "from server.cli import main; main()", "serve", "--port", "0"]
    with subprocess.Popen(
        [*command, "--model", str(checkpoint), *FLAGS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as server:
        yield server


def read_until(server, word):
    """What it prints up to the line with this word."""
    told = ""
    while word not in told:
        line = server.stdout.readline()
        assert line, server.stderr.read()
        told += line
    return told


def ends_in_order(server):
    """Whether it says that it ends, and nothing else fails on the way."""
    rest, complaints = server.communicate(timeout=60)
    assert "stopped" in rest
    assert "Traceback" not in complaints
    assert "ERROR" not in complaints
    assert server.returncode == 0


def test_serve_says_where_to_go_and_ends_in_order_on_sigterm(talkative_checkpoint):
    with typed_serve(talkative_checkpoint) as server:
        told = read_until(server, "Ctrl-C")
        url = re.search(r"Realtime API +(\S+)", told).group(1)
        assert f"--url {url}" in told
        assert "loading: " in told
        server.send_signal(signal.SIGTERM)
        ends_in_order(server)


@pytest.mark.parametrize("moment", ["Ctrl-C", "loading: "], ids=["serving", "loading"])
def test_ctrl_c_goes_to_the_whole_group_and_ends_it_in_order(talkative_checkpoint, moment):
    with typed_serve(talkative_checkpoint) as server:
        read_until(server, moment)
        os.killpg(server.pid, signal.SIGINT)
        ends_in_order(server)
