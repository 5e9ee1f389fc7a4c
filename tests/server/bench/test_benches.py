"""One short run of each bench: a real server, a real engine process, the real reference."""

import json

import pytest

from server.bench.first_audio import first_audio
from server.bench.growth import growth
from server.bench.steady import steady
from server.bench.vocoder import vocoder


def check(result, runs=1):
    figures = json.loads(json.dumps(result.figures()))
    assert figures["runs"] == runs
    assert min(figures["ours"], figures["reference"], figures["ratio"]) > 0
    assert result.table()
    return figures


def test_vocoder(options, machine):
    figures = check(vocoder(options, machine))
    assert figures["largest_difference"] < 1e-4
    assert figures["floor_s"] > 0


@pytest.mark.slow
def test_first_audio(options, machine):
    figures = check(first_audio(options, machine))
    assert figures["text_tokens"] == [4]
    assert figures["speech_s"] == pytest.approx(figures["reference_speech_s"])
    assert figures["server_vad_s"] > 0
    assert figures["reference_published_solver_s"] > 0


@pytest.mark.slow
def test_growth(options, machine):
    check(growth(options, machine))


@pytest.mark.slow
def test_steady(options, machine):
    figures = check(steady(options, machine))
    # How many there are is the machine's; what is made of them is not.
    assert (figures["underruns"] > 0) == (figures["underrun_s"] > 0)
    assert figures["met"] == (figures["ours"] <= 0.5 and figures["underruns"] == 0)
    assert set(figures["stages"]) == {
        "encode", "prefill", "thinker", "talker", "token2wav", "vocoder"
    }  # fmt: skip
    assert figures["stages"]["talker"]["busy"] > figures["stages"]["talker"]["floor"] > 0
