"""The account of a caller: whatever happens, as many counted turns as it owes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.bench.load.script import Script, Tally

OUTCOMES = ("answered", "refused", "lost", "unanswered")


def tally(owed=3, kind="plain"):
    script = Script(
        utterances=(), turns=owed, stays=True, barge_ins=0.0, started_s=100.0, counts_from_s=110.0
    )
    return Tally(7, kind, owed, script)


def live(one, turns):
    now_s = 100.0
    for length_s, outcome in turns:
        one.begin_turn(now_s)
        now_s += length_s
        one.end_turn(outcome, now_s)
    return now_s


@given(st.lists(st.tuples(st.floats(0.1, 10), st.sampled_from(OUTCOMES)), max_size=12))
def test_it_pays_exactly_what_it_owes(turns):
    one = tally()
    one.close(live(one, turns))
    counted = [record for record in one.records if record.counted]
    assert len(counted) == 3
    assert all(record.caller == 7 for record in counted)
    assert len(one.records) >= len(turns)


def test_turns_that_began_before_the_measurement_do_not_count():
    one = tally(owed=1)
    live(one, [(9.9, "answered"), (0.2, "answered"), (1.0, "answered"), (1.0, "answered")])
    assert [record.counted for record in one.records] == [False, False, True, False]
    assert one.records[2].at_s == pytest.approx(11.1)
    assert one.paid.is_set()


def test_a_turn_that_was_not_to_be_had_in_time_is_a_failure():
    one = tally(owed=2)
    one.close(120.0)
    assert [record.outcome for record in one.records] == ["unfinished"] * 2


def test_of_callers_that_only_disturb_nothing_is_missed():
    one = tally(owed=2, kind="slow")
    one.close(120.0)
    assert one.records == []
