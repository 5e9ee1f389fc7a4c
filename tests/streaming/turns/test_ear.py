"""Wire audio to turns: formats, switching, ends."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.media.codecs import encode
from streaming.media.formats import PCM_16K, PCM_24K, PCMA, PCMU
from streaming.turns.ear import Ear
from streaming.turns.events import SpeechStarted, SpeechStopped, VadSettings
from tests.streaming.turns.scripted import audio_of, in_order

ON = VadSettings(prefix_padding_ms=100, silence_duration_ms=300)
FORMATS = [PCM_24K, PCM_16K, PCMU, PCMA]


class LoudnessActivity:
    def probability(self, frame):
        return 1.0 if float(np.abs(frame).mean()) > 0.1 else 0.0

    def reset(self):
        pass


def sound(level, ms, audio_format=PCM_24K):
    count = audio_format.rate_hz * ms // 1000
    wave = level * np.sin(2 * np.pi * 300 * np.arange(count) / audio_format.rate_hz)
    return encode(wave.astype(np.float32), audio_format)


SPOKEN = sound(0.0, 300) + sound(0.5, 400) + sound(0.0, 500) + sound(0.5, 200)


def ear(settings=ON):
    one = Ear(LoudnessActivity)
    one.set_turn_detection(settings)
    return one


@pytest.mark.parametrize("audio_format", FORMATS)
def test_without_detection_every_sample_is_the_turns(audio_format):
    one = ear(None)
    heard = one.hear(sound(0.0, 1000, audio_format), audio_format) + one.end()
    assert len(audio_of(heard)) == 16_000


@pytest.mark.parametrize("audio_format", FORMATS)
def test_turns_in_every_format(audio_format):
    one = ear()
    heard = one.hear(sound(0.0, 1000, audio_format), audio_format)
    heard += one.hear(sound(0.5, 1000, audio_format), audio_format)
    heard += one.hear(sound(0.0, 1000, audio_format), audio_format)
    (start,) = (event.audio_start_ms for event in heard if isinstance(event, SpeechStarted))
    (stop,) = (event.audio_end_ms for event in heard if isinstance(event, SpeechStopped))
    assert start == pytest.approx(900, abs=40)
    assert stop == pytest.approx(2300, abs=40)


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, len(SPOKEN) // 2), max_size=15).map(sorted), on=st.booleans())
def test_any_chunking_gives_the_same(cuts, on):
    whole, pieces = ear(ON if on else None), ear(ON if on else None)
    bounds = [0, *(2 * cut for cut in cuts), len(SPOKEN)]
    heard = []
    for start, stop in itertools.pairwise(bounds):
        heard += pieces.hear(SPOKEN[start:stop], PCM_24K)
    heard += pieces.end()
    assert in_order(heard) == in_order(whole.hear(SPOKEN, PCM_24K) + whole.end())


def test_turning_detection_off_keeps_what_was_held():
    one = ear()
    heard = one.hear(sound(0.5, 1000), PCM_24K) + one.hear(sound(0.0, 250), PCM_24K)
    one.set_turn_detection(None)
    heard += one.hear(sound(0.0, 750), PCM_24K) + one.end()
    assert len(audio_of(heard)) == 32_000


def test_time_goes_on_while_no_turns_are_detected():
    one = ear(None)
    one.hear(sound(0.0, 1000), PCM_24K)
    one.set_turn_detection(ON)
    heard = one.hear(sound(0.0, 500), PCM_24K) + one.hear(sound(0.5, 500), PCM_24K)
    assert heard[0].audio_start_ms == pytest.approx(1400, abs=40)


def test_clear_forgets_sound_and_keeps_time():
    one = ear()
    one.hear(sound(0.5, 1000), PCM_24K)
    one.clear()
    heard = one.hear(sound(0.5, 1000), PCM_24K)
    assert heard[0].audio_start_ms == pytest.approx(1000, abs=5)
    one.clear()
    assert one.end() == []


def test_end_begins_afresh():
    one = ear(None)
    one.hear(sound(0.5, 500), PCM_24K)
    one.end()
    heard = one.hear(sound(0.5, 500), PCM_24K) + one.end()
    assert len(audio_of(heard)) == 8_000


def test_a_change_of_format_loses_nothing():
    one = ear(None)
    heard = []
    for audio_format in FORMATS:
        heard += one.hear(sound(0.5, 250, audio_format), audio_format)
    heard += one.end()
    assert len(audio_of(heard)) == 16_000


@pytest.mark.parametrize("audio_format", FORMATS)
def test_a_whole_clip(audio_format):
    pcm = Ear(LoudnessActivity).convert(sound(0.5, 500, audio_format), audio_format)
    assert len(pcm) == 8_000 * 4
    samples = np.frombuffer(pcm, dtype="<f4")
    assert 0.45 < np.abs(samples[1000:-1000]).max() < 0.55
