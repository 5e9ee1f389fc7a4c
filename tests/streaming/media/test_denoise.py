"""Noise suppression: how much, what is left of speech, and where in time."""

import itertools

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.python.sources import SAMPLE_RATE_HZ, read_recording
from server.demo import QUESTION
from streaming.media.codecs import decode
from streaming.media.denoise import Denoiser, is_available
from streaming.media.formats import PCM_24K

RATE_HZ = 16_000
SECOND = np.zeros(RATE_HZ, np.float32)


def speech():
    samples = decode(read_recording(QUESTION).samples.tobytes(), PCM_24K)
    return soxr.resample(samples, SAMPLE_RATE_HZ, RATE_HZ).astype(np.float32)


def hiss(count, level=0.01):
    return np.random.default_rng(0).normal(0, level, count).astype(np.float32)


def denoised(samples, level):
    one = Denoiser(level)
    return np.concatenate([one.push(samples), one.finish()])


def level_db(samples):
    return 10 * np.log10(np.mean(np.square(samples.astype(np.float64))) + 1e-12)


def test_the_package_is_here():
    assert is_available()


@pytest.mark.parametrize(("level", "least_db"), [(1, 5), (2, 9), (3, 12), (4, 15)])
def test_steady_noise_is_taken_off_and_speech_stays(level, least_db):
    said = speech()
    clean = np.concatenate([SECOND, said, SECOND, SECOND])
    noisy = clean + hiss(len(clean))
    heard = denoised(noisy, level)
    quiet = slice(len(SECOND) + len(said) + RATE_HZ, None)
    loud = slice(len(SECOND), len(SECOND) + len(said))
    assert level_db(noisy[quiet]) - level_db(heard[quiet]) >= least_db
    assert level_db(heard[loud]) == pytest.approx(level_db(clean[loud]), abs=3)


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_what_is_heard_is_in_its_place_in_time(level):
    clean = np.concatenate([SECOND, speech(), SECOND])
    heard = denoised(clean, level)
    assert len(heard) == len(clean)
    shifts = range(-320, 321)
    inner = clean[400:-400]
    likeness = [np.dot(heard[400 + n : len(heard) - 400 + n], inner) for n in shifts]
    assert abs(shifts[int(np.argmax(likeness))]) <= 4, "a quarter of a millisecond"


def test_no_level_is_no_change():
    said = speech()
    assert denoised(said, 0) is not None
    np.testing.assert_array_equal(denoised(said, 0), said)


SAID = np.concatenate([speech()[:8000], SECOND[:777]])


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, len(SAID)), max_size=12).map(sorted))
def test_any_chunking_gives_the_same(cuts):
    one = Denoiser(2)
    bounds = [0, *cuts, len(SAID)]
    pieces = [one.push(SAID[a:b]) for a, b in itertools.pairwise(bounds)]
    heard = np.concatenate([*pieces, one.finish()])
    np.testing.assert_array_equal(heard, denoised(SAID, 2))


@settings(max_examples=50, deadline=None)
@given(counts=st.lists(st.integers(0, 700), max_size=6))
def test_every_stream_gives_as_much_as_it_takes(counts):
    one = Denoiser(3)
    for count in counts:
        given_out = len(one.push(hiss(count))) + len(one.finish())
        assert given_out == count
