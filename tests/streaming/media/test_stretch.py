"""Speech at another pace: its length, its pitch, and no difference in how it is cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.media.stretch import Stretcher

RATE_HZ = 24_000
SPEEDS = [0.25, 0.5, 0.8, 1.0, 1.2, 1.5]


def voice(seconds=1.0, pitch_hz=140.0):
    """A buzz with a swell: many harmonics of one pitch."""
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    wave = sum(np.sin(2 * np.pi * pitch_hz * k * t) / k for k in range(1, 12))
    return (0.2 * wave * (1.2 + np.sin(2 * np.pi * 3 * t))).astype(np.float32)


def stretched(samples, speed, cuts=()):
    one = Stretcher(speed)
    pieces = [one.push(piece) for piece in np.split(samples, cuts)]
    return np.concatenate([*pieces, one.finish()])


def pitch_of(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.argmax(spectrum) * RATE_HZ / len(samples)


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("seconds", [0.01, 1.0])
def test_its_length_is_divided_by_the_speed(speed, seconds):
    samples = voice(seconds)
    assert len(stretched(samples, speed)) == round(len(samples) / speed)


@pytest.mark.parametrize("speed", SPEEDS)
def test_its_pitch_and_loudness_stay(speed):
    samples = voice()
    made = stretched(samples, speed)
    assert pitch_of(made) == pytest.approx(140.0, abs=4.0)
    assert np.sqrt((made**2).mean()) == pytest.approx(np.sqrt((samples**2).mean()), rel=0.1)


def test_speed_one_is_untouched():
    samples = voice(0.2)
    np.testing.assert_array_equal(stretched(samples, 1.0), samples)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([0.25, 0.7, 1.3, 1.5]),
    st.lists(st.integers(0, RATE_HZ // 2), max_size=6).map(sorted),
)
def test_any_cut_gives_the_same_samples(speed, cuts):
    samples = voice(0.5)
    np.testing.assert_array_equal(stretched(samples, speed, cuts), stretched(samples, speed))


def test_it_holds_back_little():
    one = Stretcher(1.25)
    given_out = len(one.push(voice(1.0)))
    assert given_out > 0.94 * RATE_HZ / 1.25


def test_nothing_in_nothing_out():
    assert len(stretched(np.zeros(0, dtype=np.float32), 0.5)) == 0
