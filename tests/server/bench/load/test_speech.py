"""What callers say, and a microphone that never stops."""

import numpy as np
import pytest

from clients.python.sources import SAMPLE_RATE_HZ
from model.recipes.omni_mini.evaluate import people
from server.bench.load.people import pieces, said_by_people
from server.bench.load.speech import (
    SILENT_PEAK,
    Voice,
    call_utterance,
    held_out_questions,
    socket_utterance,
    spoken,
)
from streaming.media.opus import OpusDecoder


def tone_between(begin_s, end_s, length_s, faint_s=None):
    """A square wave of 300 Hz in silence, and maybe one sample that can hardly be heard."""
    at = np.arange(int(length_s * SAMPLE_RATE_HZ))
    samples = np.where(at // 40 % 2, -8_000, 8_000).astype(np.int16)
    samples[(at < begin_s * SAMPLE_RATE_HZ) | (at >= end_s * SAMPLE_RATE_HZ)] = 0
    if faint_s is not None:
        samples[int(faint_s * SAMPLE_RATE_HZ)] = SILENT_PEAK + 1
    return spoken(samples)


@pytest.fixture
def voice():
    return Voice(socket_utterance(tone_between(0.0, 0.0, 0.1)))


def test_held_out_questions_are_speech_with_an_end():
    questions = held_out_questions(3)
    assert len(questions) == 3
    for asked in questions:
        assert 1.0 < asked.duration_s < 4.0
        assert 0.5 < asked.speech_end_samples / SAMPLE_RATE_HZ <= asked.duration_s
        assert np.abs(asked.samples).max() > 3_000


def test_moments_in_an_utterance():
    said = socket_utterance(tone_between(0.1, 0.25, 0.41, faint_s=0.05))
    assert len(said.frames) == 11  # the last is filled up
    assert {len(frame) for frame in said.frames} == {1920}
    assert (said.sound_s, said.onset_s) == (pytest.approx(0.05), pytest.approx(0.1))
    assert said.end_s == pytest.approx(0.25)


def test_a_call_says_the_same_in_packets():
    said = call_utterance(tone_between(0.1, 0.3, 0.4))
    decoder = OpusDecoder()
    peaks = [
        int(np.abs(np.frombuffer(decoder.decode(p), "<i2").astype(int)).max()) for p in said.frames
    ]
    assert len(peaks) == 20
    assert max(peaks[:4]) <= SILENT_PEAK < 1_000 < max(peaks[6:14])


def test_silence_then_an_utterance_then_silence(voice):
    assert voice.next_frame(1.0) == voice.silence
    saying = voice.say(socket_utterance(tone_between(0.05, 0.09, 0.12)))
    frames = [voice.next_frame(2.0 + 0.04 * number) for number in range(1, 4)]
    assert frames == list(saying.utterance.frames)
    assert voice.next_frame(3.0) == voice.silence
    assert saying.finished.is_set()
    # Each frame leaves when its last sample was heard: what is in it was heard that much sooner.
    assert saying.onset_at_s == pytest.approx(2.05)
    assert saying.ended_at_s == pytest.approx(2.09)
    assert saying.sound_at_s == pytest.approx(2.08)


def test_what_is_said_in_between_breaks_off_the_rest(voice):
    first = voice.say(socket_utterance(tone_between(0.0, 1.0, 1.0)))
    voice.next_frame(1.0)
    second = voice.say(socket_utterance(tone_between(0.0, 0.04, 0.04)))
    assert first.finished.is_set()
    assert first.ended_at_s is None
    voice.next_frame(2.0)
    assert second.ended_at_s == pytest.approx(2.0)


def test_a_reading_is_cut_at_its_pauses():
    def tone(seconds, peak):
        return (peak * np.sin(np.arange(int(SAMPLE_RATE_HZ * seconds)) * 0.05)).astype(np.int16)

    reading = np.concatenate(
        [
            tone(0.5, 100),  # the room
            tone(1.0, 20_000),
            tone(0.2, 100),  # within a sentence
            tone(1.0, 20_000),
            tone(0.6, 100),
            tone(0.3, 20_000),  # too short to be a question
            tone(0.6, 100),
            tone(6.0, 20_000),  # and too long
            tone(0.6, 100),
            tone(2.0, 9_000),
        ]
    )
    first, second = pieces(reading)
    assert first.speech_end_samples / SAMPLE_RATE_HZ == pytest.approx(2.2 + 0.06, abs=0.03)
    assert len(first.samples) / SAMPLE_RATE_HZ == pytest.approx(2.2 + 0.12, abs=0.03)
    assert second.speech_end_samples / SAMPLE_RATE_HZ == pytest.approx(2.0 + 0.06, abs=0.03)
    assert not list(pieces(np.zeros(SAMPLE_RATE_HZ, np.int16)))


@pytest.mark.skipif(not people.are_there(), reason="no moonshine-voice here")
def test_people_say_enough_for_a_load():
    said = said_by_people(people.recordings_by_people())
    assert len(said) == 26
    for piece in said:
        assert 0.8 <= piece.speech_end_samples / SAMPLE_RATE_HZ <= 5.1
