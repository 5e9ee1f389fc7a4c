"""Resampling piece by piece gives what it gives in one go."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.media.resample import Resampler, resample

SIGNAL = np.random.default_rng(0).standard_normal(12_000).astype(np.float32) * 0.1


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, len(SIGNAL)), max_size=20).map(sorted),
    from_hz=st.sampled_from([8_000, 16_000, 24_000, 44_100, 48_000]),
)
def test_streamed_equals_offline(cuts, from_hz):
    stream = Resampler(from_hz, 16_000)
    pieces = [stream.push(piece) for piece in np.split(SIGNAL, cuts)]
    streamed = np.concatenate([*pieces, stream.finish()])
    np.testing.assert_array_equal(streamed, resample(SIGNAL, from_hz, 16_000))


@pytest.mark.parametrize(("from_hz", "to_hz"), [(24_000, 16_000), (8_000, 16_000), (24_000, 8_000)])
def test_a_tone_stays_what_it_is(from_hz, to_hz):
    def tone(rate_hz):
        return np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz).astype(np.float32)

    got = resample(tone(from_hz), from_hz, to_hz)
    assert len(got) == to_hz
    inner = slice(to_hz // 10, -to_hz // 10)
    np.testing.assert_allclose(got[inner], tone(to_hz)[inner], atol=1e-3)


def test_what_it_holds_back_is_short():
    stream = Resampler(24_000, 16_000)
    for _ in range(50):
        stream.push(SIGNAL[:480])
    assert len(stream.finish()) <= 0.04 * 16_000


def test_it_can_be_used_again_after_its_end():
    stream = Resampler(24_000, 16_000)
    once = np.concatenate([stream.push(SIGNAL), stream.finish()])
    again = np.concatenate([stream.push(SIGNAL), stream.finish()])
    np.testing.assert_array_equal(once, again)


def test_equal_rates_pass_through():
    stream = Resampler(16_000, 16_000)
    assert stream.push(SIGNAL) is SIGNAL
    assert len(stream.finish()) == 0


def test_nothing_gives_nothing():
    assert len(resample(SIGNAL[:0], 24_000, 16_000)) == 0
