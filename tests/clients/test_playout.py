"""The counting loudspeaker: dry exactly when what was received has been played."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.python.playout import Playout


def play(*chunks):
    playout = Playout()
    for duration_s, now_s in chunks:
        playout.receive(duration_s, now_s)
    return playout


def test_sound_in_time_plays_without_a_gap():
    playout = play((1.0, 5.0), (1.0, 5.9), (1.0, 7.0))
    assert (playout.underruns, playout.underrun_s, playout.received_s) == (0, 0.0, 3.0)
    assert (playout.first_s, playout.last_s) == (5.0, 7.0)


def test_a_late_chunk_is_one_underrun_as_long_as_the_silence():
    playout = play((1.0, 0.0), (1.0, 1.5), (1.0, 3.0))
    assert playout.underruns == 2
    assert playout.underrun_s == pytest.approx(1.0)


CHUNKS = st.lists(st.tuples(st.floats(0.01, 1), st.floats(0, 2)), min_size=1, max_size=20)


@given(CHUNKS)
def test_played_and_silent_time_add_up(chunks):
    now_s = 0.0
    playout = Playout()
    for duration_s, wait_s in chunks:
        now_s += wait_s
        playout.receive(duration_s, now_s)
    end_s = now_s + playout.remaining_s(now_s)
    assert end_s - playout.first_s == pytest.approx(playout.received_s + playout.underrun_s)


def test_no_sound_is_no_arrival():
    assert play((0.0, 1.0)).first_s is None


def test_what_is_still_to_be_played():
    playout = Playout()
    assert playout.remaining_s(5.0) == 0.0
    playout.receive(2.0, 10.0)
    assert playout.remaining_s(10.5) == pytest.approx(1.5)
    assert playout.remaining_s(20.0) == 0.0
