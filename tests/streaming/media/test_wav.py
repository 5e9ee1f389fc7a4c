"""Sound files: read as they are meant, refused by name."""

import numpy as np
import pytest
import soundfile

from streaming.media.errors import WavError
from streaming.media.wav import read_wav, write_wav


def tone(rate_hz, seconds=0.5):
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate_hz * seconds)) / rate_hz)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 44_100])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW"])
def test_any_rate_and_coding(tmp_path, rate_hz, subtype):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(rate_hz), rate_hz, subtype=subtype)
    samples = read_wav(path, rate_hz=16_000)
    assert samples.dtype == np.float32
    assert len(samples) == 8_000
    np.testing.assert_allclose(samples[2000:6000], tone(16_000)[2000:6000], atol=0.02)


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "a.wav"
    left = tone(16_000)
    soundfile.write(path, np.stack([left, np.zeros_like(left)], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(read_wav(path, rate_hz=16_000), left / 2, atol=1e-6)


def test_what_is_written_can_be_read(tmp_path):
    path = tmp_path / "a.wav"
    write_wav(path, tone(24_000).astype(np.float32), rate_hz=24_000)
    np.testing.assert_allclose(read_wav(path, rate_hz=24_000), tone(24_000), atol=1e-4)


def refused(path, **options):
    with pytest.raises(WavError) as caught:
        read_wav(path, rate_hz=16_000, **options)
    assert str(path) in str(caught.value), "which file?"
    return str(caught.value)


def test_missing(tmp_path):
    assert "no such file" in refused(tmp_path / "nope.wav")
    assert "no such file" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"this is no sound at all" * 10])
def test_not_sound(tmp_path, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert "not readable as sound" in refused(path)


def test_cut_short_within_its_header(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000), 16_000)
    path.write_bytes(path.read_bytes()[:30])
    refused(path)


def test_empty(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(0), 16_000)
    assert "no samples" in refused(path)


@pytest.mark.parametrize("rate_hz", [4_000, 400_000])
def test_a_rate_that_is_none_of_speech(tmp_path, rate_hz):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(100), rate_hz)
    assert f"{rate_hz} Hz is not between 8000 and 192000" in refused(path)


def test_too_long(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(8_000, 2.0), 8_000)
    message = refused(path, max_seconds=1.5)
    assert "2.0 s" in message
    assert "1.5 s (max_seconds)" in message


def test_samples_that_are_no_numbers(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([0.0, np.nan]), 16_000, subtype="FLOAT")
    assert "no numbers" in refused(path)


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(WavError, match="cannot be written"):
        write_wav(tmp_path / "no" / "a.wav", np.zeros(4, np.float32), rate_hz=16_000)
