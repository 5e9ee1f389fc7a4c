"""What `talk` does with an answer."""

import asyncio
import json
from contextlib import asynccontextmanager

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from clients.python import talk as module
from clients.python.errors import ServerSaidError, SourceError
from clients.python.report import TurnReport
from clients.python.talk import hand_over, talk

REPORT = TurnReport(
    question_transcript="What is it?",
    answer_transcript="It is.",
    first_text_s=0.1,
    first_audio_s=0.2,
    speech_s=0.01,
    speech_rtf=0.5,
    underruns=0,
    underrun_s=0.0,
    status="completed",
    usage={},
    samples=np.zeros(240, np.int16),
    sample_rate_hz=24_000,
)


@pytest.mark.parametrize("as_json", [True, False])
def test_an_answer_that_cannot_be_written_is_shown_all_the_same(tmp_path, capsys, as_json):
    with pytest.raises(SourceError, match="cannot be written"):
        hand_over(REPORT, tmp_path / "none" / "answer.wav", as_json=as_json)
    told = capsys.readouterr().out
    assert "It is." in told
    assert "answer.wav" not in told  # nothing is there
    if as_json:
        assert json.loads(told)["out"] is None


def test_one_that_can_be_is_written_and_named(tmp_path, capsys):
    out = tmp_path / "answer.wav"
    hand_over(REPORT, out, as_json=False)
    assert soundfile.info(out).frames == 240
    assert str(out) in capsys.readouterr().out


def test_one_that_nobody_wants_is_only_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    hand_over(REPORT, None, as_json=True)
    assert json.loads(capsys.readouterr().out)["out"] is None
    assert not list(tmp_path.iterdir())


class Client:
    """Notes how the session is set up."""

    def __init__(self):
        self.sessions = []

    async def configure(self, **session):
        self.sessions.append(session)
        return {"type": "realtime", **session}


@pytest.fixture
def client(monkeypatch):
    """An open conversation, and devices that are there."""
    client = Client()

    @asynccontextmanager
    async def open_conversation(*_, **__):
        yield client

    monkeypatch.setattr(module, "open_conversation", open_conversation)
    monkeypatch.setattr(module, "sound_devices", lambda: "devices")
    return client


def say(*arguments):
    app = typer.Typer()
    app.command()(talk)
    return CliRunner().invoke(app, arguments)


def test_by_microphone_the_words_of_the_user_are_asked_for(client, monkeypatch):
    order = []

    async def converse(by, devices, say):
        assert (by, devices) == (client, "devices")
        order.extend(client.sessions)
        await asyncio.sleep(0)
        raise ExceptionGroup("ended", [ServerSaidError("over", "enough")])

    monkeypatch.setattr(module, "converse", converse)
    done = say()
    assert order == [
        {"audio": {"input": {"turn_detection": {"type": "server_vad"}, "transcription": {}}}}
    ]
    assert done.exit_code == 1
    assert done.stderr == "omnilive talk: the server says: enough (over)\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--out", "answer.wav"], "--out"),
        (["--json"], "--json"),
        (["--push-to-talk"], "--push-to-talk"),
        (["--json", "--push-to-talk"], "--push-to-talk, --json"),
        (["--text", "Why?", "--push-to-talk"], "--push-to-talk"),
    ],
)
def test_what_would_have_no_effect_is_refused(client, tmp_path, monkeypatch, arguments, named):
    monkeypatch.chdir(tmp_path)
    done = say(*arguments)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"omnilive talk: {named}: ")
    assert not client.sessions
