"""PCM and G.711, against the standard's own values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.media.codecs import decode, encode
from streaming.media.errors import CodecError
from streaming.media.formats import PCM_24K, PCMA, PCMU

LEVELS = np.arange(-32768, 32768)


def test_pcm_comes_back_bit_for_bit():
    audio = LEVELS.astype("<i2").tobytes()
    assert encode(decode(audio, PCM_24K), PCM_24K) == audio


def test_pcm_is_little_endian_and_full_scale_is_one():
    samples = decode(b"\x00\x80\xff\x7f\x01\x00", PCM_24K)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples * 32768, [-32768, 32767, 1])


def test_what_is_too_loud_is_clipped():
    assert encode(np.array([2.0, -2.0], np.float32), PCM_24K) == b"\xff\x7f\x00\x80"


def test_half_a_sample_is_refused():
    with pytest.raises(CodecError, match="3 bytes"):
        decode(b"abc", PCM_24K)


@pytest.mark.parametrize(
    ("audio_format", "code", "level"),
    [
        # The ends, the middle and a segment border of G.711 tables 2a/2b and 1a/1b, in 16 bits.
        (PCMU, 0x00, -32124),
        (PCMU, 0x80, 32124),
        (PCMU, 0xFF, 0),
        (PCMU, 0xFE, 8),
        (PCMU, 0xEF, 132),
        (PCMA, 0x2A, -32256),
        (PCMA, 0xAA, 32256),
        (PCMA, 0xD5, 8),
        (PCMA, 0x55, -8),
        (PCMA, 0xC5, 264),
    ],
)
def test_g711_decodes_as_the_standard_says(audio_format, code, level):
    assert decode(bytes([code]), audio_format)[0] * 32768 == level


@pytest.mark.parametrize("audio_format", [PCMU, PCMA])
def test_g711_encodes_to_the_nearest_level(audio_format):
    codes = np.arange(256, dtype=np.uint8).tobytes()
    table = np.sort(decode(codes, audio_format) * 32768)
    got = decode(encode((LEVELS / 32768).astype(np.float32), audio_format), audio_format) * 32768
    nearest = np.abs(table[None, :] - LEVELS[::97, None]).min(axis=1)
    np.testing.assert_array_equal(np.abs(got[::97] - LEVELS[::97]), nearest)


@pytest.mark.parametrize("audio_format", [PCMU, PCMA])
def test_g711_levels_survive_a_second_coding(audio_format):
    levels = decode(np.arange(256, dtype=np.uint8).tobytes(), audio_format)
    np.testing.assert_array_equal(decode(encode(levels, audio_format), audio_format), levels)


@given(st.binary(max_size=64), st.sampled_from([PCMU, PCMA]))
def test_g711_takes_any_bytes(audio, audio_format):
    samples = decode(audio, audio_format)
    assert len(samples) == len(audio)
    assert np.all(np.abs(samples) < 1)


@pytest.mark.parametrize(
    ("audio_format", "size", "ms"), [(PCM_24K, 4800, 100), (PCM_24K, 47, 0), (PCMU, 800, 100)]
)
def test_duration(audio_format, size, ms):
    assert audio_format.duration_ms(size) == ms
