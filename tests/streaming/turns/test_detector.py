"""Turns out of frames that are speech or not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.turns.detector import TurnDetector
from streaming.turns.errors import TurnSettingsError
from streaming.turns.events import (
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    TurnAudio,
    VadSettings,
)
from tests.streaming.turns.scripted import (
    FRAME,
    SILENCE,
    SPEECH,
    ReadActivity,
    audio_of,
    frames,
    in_order,
)

# In frames of 32 ms: 3 of padding, 10 of silence to end, 4 to pause, 2 to begin.
SETTINGS = VadSettings(
    prefix_padding_ms=96, silence_duration_ms=320, pause_ms=128, onset_ms=64, max_turn_ms=32_000
)


def detector(settings=SETTINGS, **more):
    return TurnDetector(settings, ReadActivity(), **more)


def kinds(events):
    return [type(event) for event in events]


def test_a_turn():
    samples = frames((SILENCE, 10), (SPEECH, 5), (SILENCE, 20))
    events = in_order(detector().push(samples))
    assert kinds(events) == [SpeechStarted, TurnAudio, SpeechPaused, SpeechStopped]
    started, audio, paused, stopped = events
    assert started.audio_start_ms == (10 - 3) * 32
    assert paused.at_ms == (15 + 4) * 32
    assert stopped.audio_end_ms == (15 + 10) * 32
    np.testing.assert_array_equal(audio_of([audio]), samples[7 * FRAME : 19 * FRAME])


def test_silence_is_nothing():
    assert detector().push(frames((SILENCE, 100))) == []


def test_a_click_opens_no_turn():
    assert detector().push(frames((SILENCE, 5), (SPEECH, 1), (SILENCE, 5), (SPEECH, 1))) == []


def test_a_click_before_speech_does_not_count_towards_its_onset():
    events = detector().push(frames((SPEECH, 1), (SILENCE, 1), (SPEECH, 1), (SILENCE, 1)))
    assert events == []


def test_padding_is_as_much_as_there_was():
    (started, _) = detector().push(frames((SILENCE, 1), (SPEECH, 3)))
    assert started == SpeechStarted(audio_start_ms=0)


def test_padding_that_is_no_whole_frame():
    settings = VadSettings(prefix_padding_ms=50, onset_ms=0)
    started, audio = detector(settings).push(frames((SILENCE, 10), (SPEECH, 1)))
    assert started.audio_start_ms == 320 - 50
    assert len(audio_of([audio])) == 800 + FRAME


def test_no_padding():
    settings = VadSettings(prefix_padding_ms=0, onset_ms=0)
    started, audio = detector(settings).push(frames((SILENCE, 10), (SPEECH, 1)))
    assert started.audio_start_ms == 320
    assert len(audio_of([audio])) == FRAME


def test_a_short_silence_is_not_even_a_pause():
    samples = frames((SPEECH, 5), (SILENCE, 3), (SPEECH, 5))
    events = in_order(detector().push(samples))
    assert kinds(events) == [SpeechStarted, TurnAudio]
    np.testing.assert_array_equal(audio_of(events), samples)


def test_a_pause_holds_back_and_resuming_gives_it():
    machine = detector()
    samples = frames((SPEECH, 5), (SILENCE, 9), (SPEECH, 5))
    before = machine.push(samples[: 14 * FRAME])
    assert kinds(before)[-1] is SpeechPaused
    assert len(audio_of(before)) == 9 * FRAME
    after = machine.push(samples[14 * FRAME :])
    assert kinds(after) == [SpeechResumed, TurnAudio]
    assert after[0].at_ms == 14 * 32
    np.testing.assert_array_equal(audio_of(before + after), samples)


def test_the_silence_of_one_turn_is_the_padding_of_the_next():
    samples = frames((SPEECH, 5), (SILENCE, 10), (SPEECH, 5))
    events = detector().push(samples)
    starts = [event for event in events if isinstance(event, SpeechStarted)]
    assert [start.audio_start_ms for start in starts] == [0, (15 - 3) * 32]


def test_turns_never_share_audio():
    settings = VadSettings(
        prefix_padding_ms=3200, silence_duration_ms=64, pause_ms=1000, onset_ms=32
    )
    samples = frames((SPEECH, 2), (SILENCE, 2), (SPEECH, 2), (SILENCE, 2), (SPEECH, 2))
    events = detector(settings).push(samples)
    np.testing.assert_array_equal(audio_of(events), samples)
    assert kinds(events).count(SpeechStarted) == 3


def test_silence_that_ends_before_it_pauses():
    settings = VadSettings(silence_duration_ms=64, pause_ms=128)
    events = in_order(detector(settings).push(frames((SPEECH, 5), (SILENCE, 5))))
    assert kinds(events) == [SpeechStarted, TurnAudio, SpeechStopped]


def test_between_the_thresholds_speech_goes_on_and_silence_too():
    doubtful = 0.4  # threshold 0.5, less 0.15 of hysteresis
    machine = detector()
    assert machine.push(frames((doubtful, 20))) == []
    events = machine.push(frames((SPEECH, 3), (doubtful, 20)))
    assert kinds(in_order(events)) == [SpeechStarted, TurnAudio]
    events = machine.push(frames((SILENCE, 1), (doubtful, 9)))
    assert kinds(in_order(events)) == [TurnAudio, SpeechPaused, SpeechStopped]


def test_a_turn_without_end_is_ended():
    settings = VadSettings(prefix_padding_ms=0, max_turn_ms=320)
    samples = frames((SPEECH, 40))
    events = detector(settings).push(samples)
    stops = [event for event in events if isinstance(event, SpeechStopped)]
    assert [stop.audio_end_ms for stop in stops] == [320, 640, 960, 1280]
    np.testing.assert_array_equal(audio_of(events), samples)


def test_a_pause_counts_towards_the_longest_turn():
    settings = VadSettings(silence_duration_ms=10_000, max_turn_ms=640)
    events = detector(settings).push(frames((SPEECH, 5), (SILENCE, 30)))
    assert [e.audio_end_ms for e in events if isinstance(e, SpeechStopped)] == [640]


@pytest.mark.parametrize("silence", [0, 2, 7])
def test_end_gives_out_all_that_is_held(silence):
    machine = detector()
    samples = np.concatenate([frames((SPEECH, 5), (SILENCE, silence)), np.ones(100, np.float32)])
    tail = np.full(7, 2.0, np.float32)
    events = machine.push(samples) + machine.end(tail)
    assert not [event for event in events if isinstance(event, SpeechStopped)]
    np.testing.assert_array_equal(audio_of(events), np.concatenate([samples, tail]))
    assert not machine.is_open
    assert machine.position_samples == len(samples) + len(tail)


def test_end_without_a_turn_gives_nothing():
    machine = detector()
    assert machine.push(frames((SILENCE, 5), (SPEECH, 1))) == []
    assert machine.end(np.ones(3, np.float32)) == []


def test_clear_forgets_audio_but_not_time():
    machine = detector()
    machine.push(frames((SPEECH, 5)))
    machine.push(np.zeros(100, np.float32))
    machine.clear()
    events = machine.push(frames((SPEECH, 5)))
    assert events[0] == SpeechStarted(audio_start_ms=(5 * FRAME + 100) * 1000 // 16_000)
    assert len(audio_of(events)) == 5 * FRAME


def test_clear_forgets_half_an_onset():
    machine = detector()
    machine.push(frames((SPEECH, 1)))
    machine.clear()
    assert machine.push(frames((SPEECH, 1))) == []


def test_time_may_begin_anywhere():
    events = detector(position_samples=16_000).push(frames((SPEECH, 5)))
    assert events[0] == SpeechStarted(audio_start_ms=1000)


def test_settings_may_change_in_mid_turn():
    machine = detector()
    machine.push(frames((SPEECH, 5), (SILENCE, 5)))
    machine.settings = VadSettings(silence_duration_ms=192)
    assert kinds(machine.push(frames((SILENCE, 1)))) == [SpeechStopped]


RUNS = st.lists(
    st.tuples(st.sampled_from([SPEECH, 0.4, SILENCE]), st.integers(1, 15)), min_size=1, max_size=12
)


@given(runs=RUNS, data=st.data())
def test_any_chunking_gives_the_same(runs, data):
    samples = frames(*runs)
    cuts = data.draw(st.lists(st.integers(0, len(samples)), max_size=12).map(sorted))
    pieces = detector()
    events = [event for piece in np.split(samples, cuts) for event in pieces.push(piece)]
    assert in_order(events) == in_order(detector().push(samples))


@given(runs=RUNS)
def test_turns_are_whole_and_in_order(runs):
    samples = frames(*runs)
    machine = detector()
    events = machine.push(samples) + machine.end(np.zeros(0, np.float32))
    starts = [e.audio_start_ms for e in events if isinstance(e, SpeechStarted)]
    stops = [e.audio_end_ms for e in events if isinstance(e, SpeechStopped)]
    assert len(starts) - len(stops) in (0, 1)
    assert all(start < stop for start, stop in zip(starts, stops, strict=False))
    assert starts == sorted(starts)
    # Every sample but a frame's first tells its own place: none comes twice or out of order.
    places = audio_of(events)
    places = places[np.arange(len(places)) % FRAME != 0]
    assert np.all(np.diff(places) > 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 1.1},
        {"threshold": -0.1},
        {"prefix_padding_ms": -1},
        {"silence_duration_ms": -1},
        {"pause_ms": -1},
        {"onset_ms": -1},
        {"max_turn_ms": 0},
    ],
)
def test_settings_out_of_range_are_named(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(TurnSettingsError, match=f"{name} {value}"):
        VadSettings(**wrong)
