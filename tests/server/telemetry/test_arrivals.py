"""When a sample of the user's speech was due here."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.telemetry.arrivals import KEPT_MS, Arrivals
from server.telemetry.ear import WatchedEar
from streaming.media.formats import AudioFormat
from streaming.turns.ear import Ear
from streaming.turns.events import VadSettings
from tests.streaming.turns.scripted import FRAME, SILENCE, SPEECH, ReadActivity, frames

PCM_16K = AudioFormat(encoding="pcm16", rate_hz=16_000)


def test_before_any_sound_there_is_no_moment():
    assert Arrivals().moment_s(0) is None


def test_a_sample_inside_a_packet_came_before_the_packets_end():
    arrivals = Arrivals()
    arrivals.took(100, 10.0)
    arrivals.took(200, 10.1)
    assert arrivals.moment_s(200) == 10.1
    assert arrivals.moment_s(150) == pytest.approx(10.05)
    assert arrivals.moment_s(100) == 10.0


def test_sound_that_comes_faster_than_it_is_spoken_is_not_dated_back():
    arrivals = Arrivals()
    arrivals.took(100, 10.0)
    arrivals.took(9_100, 10.2)  # nine seconds of a file at once
    assert arrivals.moment_s(2_000) == 10.0
    assert arrivals.moment_s(9_050) == pytest.approx(10.15)


def live(*, stalls=(), until_ms=4_000, began_s=10.0):
    """Pieces of 20 ms at the pace of speech; in a stall (from, to) none is taken, then all are."""
    arrivals = Arrivals()
    for end_ms in range(20, until_ms + 1, 20):
        due_s = began_s + end_ms / 1000
        held = [to_s for from_s, to_s in stalls if from_s <= due_s < to_s]
        arrivals.took(end_ms, held[0] if held else due_s)
    return arrivals


def test_what_waited_to_be_taken_was_spoken_before():
    arrivals = live(stalls=[(12.0, 12.8)])
    assert arrivals.moment_s(1_900) == pytest.approx(11.9)
    assert arrivals.moment_s(2_300) == pytest.approx(12.3)  # and not 12.8, when it was taken
    assert arrivals.moment_s(3_900) == pytest.approx(13.9)


def test_sound_that_was_not_sent_for_a_while_is_no_sound_that_waited():
    arrivals = live(until_ms=2_000)
    for end_ms in range(2_020, 6_001, 20):  # ten seconds later, as after a mute button
        arrivals.took(end_ms, 20.0 + end_ms / 1000)
    assert arrivals.moment_s(5_000) == pytest.approx(25.0)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 500), st.floats(0.0, 1.0)), min_size=1, max_size=20),
    st.floats(0.0, 1.0),
)
def test_no_sample_was_due_after_its_piece_came(pieces, share):
    arrivals, until_ms, at_s = Arrivals(), 0, 0.0
    came = []
    for length_ms, pause_s in pieces:
        until_ms, at_s = until_ms + length_ms, at_s + pause_s
        arrivals.took(until_ms, at_s)
        came.append((until_ms, at_s))
    position_ms = max(until_ms - KEPT_MS, round(share * until_ms))
    at_s = next(at_s for until_ms, at_s in came if until_ms >= position_ms)
    assert arrivals.moment_s(position_ms) <= at_s


def test_what_is_kept_is_bounded():
    arrivals = Arrivals()
    for number in range(100_000):
        arrivals.took(number, number / 1000)
    assert len(arrivals._pieces) < 5_000


class Heard:
    arrived_s = 0.0

    def __init__(self):
        self.told = []

    def speech_started(self, onset_s):
        self.told.append(("started", round(onset_s, 3)))

    def speech_stopped(self, end_s, speech_ms):
        self.told.append(("stopped", round(end_s, 3), speech_ms))

    def speech_committed(self, end_s):
        self.told.append(("committed", round(end_s, 3)))

    def at_end(self, action):
        self.end = action


class LevelActivity(ReadActivity):
    """Loud is speech: survives the wire's 16 bits."""

    def probability(self, frame):
        return float(np.abs(frame).max() > 0.5)


def test_an_ear_tells_when_speech_arrived_and_not_when_its_silence_was_over():
    heard = Heard()
    ear = WatchedEar(Ear(LevelActivity), heard)
    ear.set_turn_detection(VadSettings(silence_duration_ms=512))
    samples = frames((SILENCE, 10), (SPEECH, 20), (SILENCE, 20))
    levels = np.repeat(samples[::FRAME], FRAME) * 32_000
    pcm = levels.astype("<i2")
    for start in range(0, len(pcm), 320):  # 20 ms each, at the pace of speech
        heard.arrived_s = (start + 320) / 16_000
        ear.hear(pcm[start : start + 320].tobytes(), PCM_16K)
    assert heard.told == [("started", 0.32), ("stopped", 0.96, 640)]
    heard.end()
    assert ear.position_ms == len(pcm) // 16
    assert ear._ear._detector is None


def test_a_client_that_ends_its_turn_itself_is_told_of_at_that_moment():
    heard = Heard()
    ear = WatchedEar(Ear(LevelActivity), heard)
    ear.set_turn_detection(None)
    ear.hear(bytes(6_400), PCM_16K)
    heard.arrived_s = 7.0
    ear.end()
    assert heard.told == [("committed", 7.0)]
