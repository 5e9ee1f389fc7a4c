"""Figures of many turns: failures stay in the denominator, and only plain callers are measured."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.bench.load.record import Lateness, TurnRecord, percentile, summarise


def turn(wait_s=0.5, outcome="answered", **more):
    fields = {"caller": 0, "kind": "plain", "counted": True, "at_s": 1.0}
    return TurnRecord(**{**fields, "outcome": outcome, "first_sound_s": wait_s, **more})


def failure(outcome="refused", reason="server_full"):
    return turn(None, outcome, reason=reason)


@given(st.lists(st.floats(0, 10), min_size=1), st.integers(1, 100))
def test_a_percentile_is_a_value_that_enough_others_do_not_exceed(values, percent):
    found = percentile(values, percent)
    assert found in values
    assert 100 * sum(value <= found for value in values) >= percent * len(values)
    assert 100 * sum(value < found for value in values) < percent * len(values)


def test_a_failure_waits_for_ever():
    summary = summarise([turn(0.1)] * 18 + [failure()] * 2)
    assert (summary.p(50), summary.p(90), summary.p(95)) == (0.1, 0.1, math.inf)
    assert not summary.holds(1000.0)
    figures = json.loads(json.dumps(summary.figures(), allow_nan=False))
    assert (figures["turns"], figures["failures"], figures["refusals"]) == (20, 2, 2)
    assert figures["first_sound"] == {"p50_s": 0.1, "p90_s": 0.1, "p95_s": None}
    assert figures["reasons"] == {"server_full": 2}


def test_one_failure_in_twenty_is_within_the_95th_percentile():
    summary = summarise([turn(0.1)] * 19 + [failure("lost")])
    assert summary.holds(0.1)
    assert summary.figures()["refusals"] == 0


def test_nothing_at_all_holds_nothing():
    assert not summarise([]).holds(1000.0)
    assert summarise([]).figures()["first_sound"]["p50_s"] is None


def test_who_is_not_plain_or_not_counted_changes_no_percentile():
    summary = summarise(
        [
            turn(0.1),
            turn(9.0, counted=False),
            turn(9.0, kind="slow"),
            turn(None, "vanished", kind="vanishing"),
        ]
    )
    assert summary.waits_s == [0.1]
    assert summary.figures()["others"] == {"slow": {"answered": 1}, "vanishing": {"vanished": 1}}


def test_an_interrupted_reply_was_an_answer_and_its_figures_count():
    summary = summarise(
        [turn(0.2, "interrupted", barge_in_s=0.3, underruns=2, underrun_s=0.5, speech_rtf=0.4)]
    )
    figures = summary.figures()
    assert figures["failures"] == 0
    assert (figures["barge_ins"], figures["barge_in_p50_s"]) == (1, 0.3)
    assert (figures["underruns"], figures["turns_with_underruns"]) == (2, 1)
    assert figures["speech_rtf_p50"] == 0.4


@pytest.mark.parametrize(("count", "told"), [(99, False), (100, True)])
def test_one_in_a_hundred_is_told_only_of_a_hundred(count, told):
    assert ("p99_s" in summarise([turn()] * count).figures()["first_sound"]) is told


def test_nobody_late_among_nobody():
    assert Lateness().late_share == 0
    assert Lateness(frames=8, late_frames=2).late_share == 0.25
