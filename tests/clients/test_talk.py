"""What `talk` does with an answer."""

import json

import numpy as np
import pytest
import soundfile

from clients.python.errors import SourceError
from clients.python.report import TurnReport
from clients.python.talk import hand_over

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
