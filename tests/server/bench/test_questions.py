"""The two questions: their lengths, their common end, and both rates."""

import numpy as np
import pytest

from server.bench.questions import LONG_S, SHORT_S, for_engine, question


@pytest.mark.parametrize("duration_s", [SHORT_S, LONG_S])
def test_lengths(duration_s):
    asked = question(duration_s)
    assert asked.duration_s == duration_s
    assert asked.speech_end_samples == len(asked.samples)
    assert len(for_engine(asked)) == duration_s * 16_000


def test_the_long_one_ends_with_the_short_one():
    short, long = question(SHORT_S).samples, question(LONG_S).samples
    assert np.array_equal(long[-len(short) :], short)


def test_it_is_speech_to_its_end():
    wave = for_engine(question(SHORT_S))
    assert np.abs(wave).max() > 0.3
    assert np.abs(wave[-1600:]).max() > 0.005


def test_pauses_are_shorter_than_the_silence_that_ends_a_turn():
    """server_vad's default is 500 ms of silence: a turn must not end inside the question."""
    wave = for_engine(question(LONG_S))
    loud = np.flatnonzero(np.abs(wave) > 0.01 * np.abs(wave).max())
    assert np.diff(loud).max() / 16_000 < 0.5
