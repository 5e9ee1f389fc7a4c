"""The player that only counts, on a clock that the test holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.media.player import Player


def test_sound_that_comes_in_time():
    player = Player()
    for arrival in (10.0, 10.5, 11.5):
        player.receive(1.0, arrival)
    assert (player.first_s, player.last_s, player.received_s) == (10.0, 11.5, 3.0)
    assert (player.underruns, player.underrun_s) == (0, 0.0)
    assert player.dry_at_s == 13.0


def test_sound_that_comes_just_in_time():
    player = Player()
    player.receive(1.0, 10.0)
    player.receive(1.0, 11.0)
    assert player.underruns == 0


def test_a_gap_is_counted_and_moves_the_rest():
    player = Player()
    player.receive(1.0, 10.0)
    player.receive(1.0, 11.25)
    player.receive(1.0, 12.0)
    assert player.underruns == 1
    assert player.underrun_s == pytest.approx(0.25)
    assert player.dry_at_s == pytest.approx(13.25)


def test_two_gaps():
    player = Player()
    for arrival in (0.0, 2.0, 4.0):
        player.receive(1.0, arrival)
    assert (player.underruns, player.underrun_s) == (2, 2.0)


def test_what_was_heard():
    player = Player()
    assert player.buffered_s(5.0) == 0.0
    assert player.played_s(5.0) == 0.0
    player.receive(2.0, 10.0)
    assert player.played_s(10.5) == pytest.approx(0.5)
    assert player.buffered_s(10.5) == pytest.approx(1.5)
    assert player.played_s(20.0) == 2.0


def test_no_sound_is_no_arrival():
    player = Player()
    player.receive(0.0, 1.0)
    assert player.first_s is None


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_playing_takes_as_long_as_the_sound_and_the_gaps(arrivals):
    player, now_s = Player(), 0.0
    for duration_s, wait_s in arrivals:
        now_s += wait_s
        player.receive(duration_s, now_s)
        assert player.buffered_s(now_s) >= duration_s - 1e-9
    assert player.dry_at_s - player.first_s == pytest.approx(player.received_s + player.underrun_s)
    assert (player.underruns == 0) == (player.underrun_s == 0.0)
