"""Turns out of frames that are speech or not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.turns.detector import TurnDetector
from streaming.turns.errors import TurnSettingsError
from streaming.turns.events import (
    IdleTimeout,
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
    assert started == SpeechStarted(audio_start_ms=0, speech_start_ms=FRAME * 1000 // 16_000)


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


def test_where_speech_began_and_ended_is_told_without_padding_and_silence():
    settings = VadSettings(silence_duration_ms=500)
    samples = frames((SILENCE, 20), (SPEECH, 10), (SILENCE, 5), (SPEECH, 3), (SILENCE, 30))
    events = detector(settings).push(samples)
    (start,) = (event for event in events if isinstance(event, SpeechStarted))
    (stop,) = (event for event in events if isinstance(event, SpeechStopped))
    frame_ms = FRAME * 1000 // 16_000
    assert start.speech_start_ms == 20 * frame_ms
    assert start.audio_start_ms == 20 * frame_ms - settings.prefix_padding_ms
    assert stop.speech_end_ms == 38 * frame_ms
    assert stop.audio_end_ms == 38 * frame_ms + 512  # 500 ms, up to a whole frame


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
    start_ms = (5 * FRAME + 100) * 1000 // 16_000
    assert events[0] == SpeechStarted(audio_start_ms=start_ms, speech_start_ms=start_ms)
    assert len(audio_of(events)) == 5 * FRAME


def test_clear_forgets_half_an_onset():
    machine = detector()
    machine.push(frames((SPEECH, 1)))
    machine.clear()
    assert machine.push(frames((SPEECH, 1))) == []


def test_time_may_begin_anywhere():
    events = detector(position_samples=16_000).push(frames((SPEECH, 5)))
    assert events[0] == SpeechStarted(audio_start_ms=1000, speech_start_ms=1000)


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


# --- a judge ----------------------------------------------------------------------------------


class ScriptedJudge:
    """Says what it is told, in order; keeps what it heard."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.heard = []

    def probability(self, samples):
        self.heard.append(samples)
        return self.answers.pop(0)


# Judged after 10 frames of silence, and over after 20 whatever was judged.
JUDGED = VadSettings(
    prefix_padding_ms=96, silence_duration_ms=320, pause_ms=128, onset_ms=64, max_wait_ms=640
)


def test_a_turn_that_is_judged_whole_ends_at_once():
    judge = ScriptedJudge(0.9)
    events = detector(JUDGED, judge=judge).push(frames((SPEECH, 5), (SILENCE, 10)))
    assert kinds(events)[-1] is SpeechStopped
    assert len(judge.heard[0]) == 15 * FRAME


def test_a_turn_that_goes_on_is_waited_for_and_judged_once_in_each_pause():
    judge = ScriptedJudge(0.1, 0.2, 0.9)
    one = detector(JUDGED, judge=judge)
    events = one.push(frames((SPEECH, 5), (SILENCE, 19), (SPEECH, 3), (SILENCE, 12), (SPEECH, 1)))
    assert SpeechStopped not in kinds(events)
    assert kinds(events).count(SpeechResumed) == 2
    assert kinds(one.push(frames((SILENCE, 10))))[-1] is SpeechStopped
    assert judge.answers == []


def test_silence_that_lasts_too_long_ends_a_turn_against_the_judge():
    judge = ScriptedJudge(0.1)
    events = detector(JUDGED, judge=judge).push(frames((SPEECH, 5), (SILENCE, 20)))
    assert kinds(events)[-1] is SpeechStopped


def test_the_judge_hears_no_more_than_the_last_eight_seconds():
    judge = ScriptedJudge(0.9)
    detector(JUDGED, judge=judge).push(frames((SPEECH, 400), (SILENCE, 10)))
    assert len(judge.heard[0]) == 250 * FRAME


def test_each_turn_is_judged_by_its_own_sound():
    judge = ScriptedJudge(0.9, 0.9)
    one = detector(JUDGED, judge=judge)
    one.push(frames((SPEECH, 20), (SILENCE, 10)))
    one.push(frames((SPEECH, 5), (SILENCE, 10)))
    assert len(judge.heard[1]) <= (3 + 5 + 10) * FRAME


# --- silence after a reply --------------------------------------------------------------------

WAITING = VadSettings(prefix_padding_ms=96, silence_duration_ms=320, idle_timeout_ms=320)


def test_silence_after_a_reply_is_said_once_with_its_sound():
    one = detector(WAITING)
    assert one.push(frames((SILENCE, 30))) == []
    one.expect_speech(5 * FRAME)
    assert one.push(frames((SILENCE, 14))) == []
    (idle,) = one.push(frames((SILENCE, 1)))
    assert isinstance(idle, IdleTimeout)
    assert (idle.audio_start_ms, idle.audio_end_ms) == (35 * 32, 45 * 32)
    assert len(idle.pcm) == 10 * FRAME * 4
    assert one.push(frames((SILENCE, 100))) == []


def test_speech_ends_the_waiting():
    one = detector(WAITING)
    one.expect_speech(0)
    events = one.push(frames((SILENCE, 5), (SPEECH, 3), (SILENCE, 100)))
    assert IdleTimeout not in kinds(events)


def test_a_click_does_not():
    one = detector(WAITING)
    one.expect_speech(0)
    events = one.push(frames((SILENCE, 5), (SPEECH, 1), (SILENCE, 4)))
    assert kinds(events) == [IdleTimeout]


def test_nothing_is_waited_for_without_a_timeout():
    one = detector(SETTINGS)
    one.expect_speech(0)
    assert one.push(frames((SILENCE, 1000))) == []
