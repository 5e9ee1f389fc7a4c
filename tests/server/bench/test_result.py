"""Medians, ratios, bars, the JSON object and the table."""

import json

import pytest

from server.bench.result import Bar, Result, columns, rounded


def result(**changes):
    given = {
        "name": "first-audio",
        "title": "a wait",
        "unit": "s",
        "ours": [0.5, 0.25, 4.0],
        "reference": [4.0, 5.0, 30.0],
        "ours_over_reference": False,
        "bars": (Bar(figure="ratio", relation="at least", limit=8),),
        "extra": {"speech_s": 4.25, "stages": {"talker": 1.0}},
        "machine": {"cpu": "X", "description": "X; 2 cores"},
    }
    return Result(**{**given, **changes})


def test_the_median_counts_and_no_outlier_does():
    figures = result().figures()
    assert (figures["ours"], figures["reference"], figures["ratio"]) == (0.5, 5.0, 10.0)


def test_ratio_the_other_way():
    assert result(ours_over_reference=True).ratio == pytest.approx(0.1)


def test_object_has_what_the_issue_asks_for_and_is_json():
    figures = json.loads(json.dumps(result().figures()))
    assert list(figures)[:6] == ["name", "ours", "reference", "ratio", "unit", "runs"]
    assert figures["runs"] == 3
    assert figures["ours_runs"] == [0.5, 0.25, 4.0]
    assert figures["speech_s"] == 4.25
    assert figures["machine"]["cpu"] == "X"


@pytest.mark.parametrize(
    ("relation", "limit", "met"),
    [
        ("at least", 10, True),
        ("at least", 10.1, False),
        ("at most", 10, True),
        ("at most", 9, False),
    ],
)
def test_bars_hold_at_the_limit_itself(relation, limit, met):
    figures = result(bars=(Bar(figure="ratio", relation=relation, limit=limit),)).figures()
    assert figures["met"] is met


def test_one_missed_bar_is_a_miss():
    bars = (
        Bar(figure="ratio", relation="at least", limit=8),
        Bar(figure="speech_s", relation="at least", limit=5),
    )
    figures = result(bars=bars).figures()
    assert figures["met"] is False
    assert figures["bars"] == ["ratio at least 8", "speech_s at least 5"]


def test_table_names_both_sides_bars_and_hardware():
    table = result().table()
    assert "reference ÷ ours: 10.0" in table
    assert "bar: ratio at least 8: met" in table
    assert "X; 2 cores" in table
    assert "speech_s  4.25" in table
    assert "talker" not in table  # what is nested is for machines


def test_table_says_a_bar_was_missed():
    missed = result(bars=(Bar(figure="ours", relation="at most", limit=0.1),))
    assert "bar: ours at most 0.1: MISSED" in missed.table()


def test_columns_line_up():
    assert columns([("a", "10"), ("long", "1")]) == ["a     10", "long   1"]


def test_rounding_keeps_digits_that_mean_something():
    assert rounded({"a": [0.000123456, 12345.678], "b": 3, "c": None, "d": (True,)}) == {
        "a": [0.0001235, 12350.0],
        "b": 3,
        "c": None,
        "d": [True],
    }
