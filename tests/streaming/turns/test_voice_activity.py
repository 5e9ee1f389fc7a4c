"""Silero itself, on a sound that is like a voice and on some that are not."""

import numpy as np
import pytest

from streaming.media.codecs import encode
from streaming.media.formats import PCM_16K
from streaming.turns.ear import Ear
from streaming.turns.events import SpeechStarted, SpeechStopped, VadSettings
from streaming.turns.voice_activity import FRAME_SAMPLES, RATE_HZ, SileroVoiceActivity

RNG = np.random.default_rng(0)


def vowel(seconds):
    """A glottal pulse train through three formants, in syllables: enough of a voice for a VAD."""
    count = int(seconds * RATE_HZ)
    time_s = np.arange(count) / RATE_HZ
    pitch_hz = 120 * (1 + 0.05 * np.sin(2 * np.pi * 4 * time_s))
    wave = (np.cumsum(pitch_hz) / RATE_HZ % 1 < 0.1) - 0.1 + 0.01 * RNG.standard_normal(count)
    spectrum = np.fft.rfft(wave)
    freqs_hz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    for centre_hz, width_hz in ((700, 80), (1200, 90), (2600, 120)):
        s, pole = 2j * np.pi * freqs_hz, np.pi * width_hz
        middle = 2 * np.pi * centre_hz
        spectrum = spectrum * middle**2 / (s**2 + 2 * pole * s + middle**2)
    voice = np.fft.irfft(spectrum, count)
    syllables = np.clip(0.5 * np.sin(2 * np.pi * 3 * time_s) + 0.6, 0, 1)
    return (0.5 * voice / np.abs(voice).max() * syllables).astype(np.float32)


def silence(seconds):
    return np.zeros(int(seconds * RATE_HZ), np.float32)


def heard(samples):
    ear = Ear()
    ear.set_turn_detection(VadSettings())
    return ear.hear(encode(samples, PCM_16K), PCM_16K)


def test_a_voice_is_a_turn():
    events = heard(np.concatenate([silence(1), vowel(1.5), silence(1)]))
    (start,) = (event.audio_start_ms for event in events if isinstance(event, SpeechStarted))
    (stop,) = (event.audio_end_ms for event in events if isinstance(event, SpeechStopped))
    assert 600 <= start <= 900
    assert 2000 <= stop <= 3300


@pytest.mark.parametrize(
    "samples",
    [
        silence(3),
        (0.02 * RNG.standard_normal(3 * RATE_HZ)).astype(np.float32),
        (0.3 * np.sin(2 * np.pi * 50 * np.arange(3 * RATE_HZ) / RATE_HZ)).astype(np.float32),
    ],
    ids=["silence", "hiss", "hum"],
)
def test_what_is_no_voice_is_no_turn(samples):
    assert heard(samples) == []


def test_two_sessions_do_not_hear_each_other():
    one, other, alone = SileroVoiceActivity(), SileroVoiceActivity(), SileroVoiceActivity()
    frames = vowel(1.024).reshape(-1, FRAME_SAMPLES)
    noise = RNG.standard_normal(FRAME_SAMPLES).astype(np.float32)
    for frame in frames:
        other.probability(noise)
        assert one.probability(frame) == alone.probability(frame)


def test_reset_forgets():
    activity = SileroVoiceActivity()
    frames = vowel(1.024).reshape(-1, FRAME_SAMPLES)
    first = [activity.probability(frame) for frame in frames]
    activity.reset()
    assert [activity.probability(frame) for frame in frames] == first
