"""The report: a table, one object, and a page that stands alone."""

import json
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.bench.errors import BenchError
from server.bench.load.bench import Load, Series
from server.bench.load.options import LoadOptions
from server.bench.load.page import html, plots_of
from server.bench.load.record import Lateness, TurnRecord, summarise
from server.bench.load.report import conditions, result_of
from server.bench.load.step import Step
from server.bench.load.svg import Curve, Plot, ticks
from server.bench.load.usage import Cost


def step(callers, wait_s=0.5, failed=0, late=0):
    fields = {"kind": "plain", "counted": True, "at_s": 3.0}
    records = [
        TurnRecord(caller=n, outcome="answered", first_sound_s=wait_s, **fields)
        if n >= failed
        else TurnRecord(caller=n, outcome="refused", reason="<full>", **fields)
        for n in range(callers)
    ]
    return Step(
        callers=callers,
        summary=summarise(records),
        records=records,
        lateness=Lateness(frames=100, late_frames=late, worst_s=0.1),
        costs={"gateway": Cost(cores=0.5, memory_mib=100.0)},
        took_s=9.0,
    )


def series(name="server", held=4, alone=None):
    steps = [step(4), step(8, 2.0, failed=8, late=50)]
    return Series(target=name, limit_s=1.0, alone=alone, steps=steps, held=held)


def real():
    return Load(transport="websocket", model="m", gateway=series(), wanted=step(4))


def alone():
    echo = series("bare <echo>", held=6, alone=step(1))
    return Load(transport="webrtc", model="s", gateway=series("gateway alone"), echo=echo)


def test_conditions_hold_all_that_two_runs_must_share():
    real_ones = conditions(LoadOptions(dtype="float32", target_s=2.0, step_limit_s=60.0))
    assert (real_ones["dtype"], real_ones["target_s"]) == ("float32", 2.0)
    assert (real_ones["slack_s"], real_ones["step_limit_s"]) == (None, 60.0)
    scripted = conditions(LoadOptions(is_scripted=True, slack_s=0.2))
    assert (scripted["dtype"], scripted["target_s"], scripted["slack_s"]) == (None, None, 0.2)
    elsewhere = conditions(LoadOptions(url="ws://localhost"))
    assert (elsewhere["dtype"], elsewhere["target_s"]) == (None, 1.0)


def test_a_real_server_is_judged_by_the_callers_that_are_wanted(machine):
    result = result_of(real(), LoadOptions(callers=8), machine)
    figures = json.loads(json.dumps(result.figures(), allow_nan=False))
    assert (figures["ours"], figures["reference"], figures["ratio"]) == (4, 8, 0.5)
    assert (figures["unit"], figures["engine"], figures["met"]) == ("callers", "real", False)
    assert [s["callers"] for s in figures["gateway"]["steps"]] == [4, 8]
    assert figures["gateway"]["steps"][1]["first_sound"]["p50_s"] is None
    assert figures["gateway"]["callers_were_late"]
    assert figures["conditions"]["seed"] == 0
    assert "echo" not in figures
    table = result.table()
    assert "MISSED" in table
    assert re.search(r"^8 +8 +8 +8 +failed +failed .*callers late$", table, re.MULTILINE)


def test_a_gateway_alone_is_set_beside_its_echo(machine):
    result = result_of(alone(), LoadOptions(is_scripted=True, transport="webrtc"), machine)
    figures = result.figures()
    assert (figures["ours"], figures["reference"]) == (4, 6)
    assert (figures["name"], figures["engine"]) == ("load-webrtc", "scripted")
    assert figures["conditions"]["timetable"]["rtf"] > 0
    assert "bare <echo>: 6 callers" in result.table()


def test_an_echo_that_holds_nobody_is_no_measure(machine):
    load = Load(transport="webrtc", model="s", gateway=series(), echo=series("bare echo", held=0))
    with pytest.raises(BenchError, match="bare echo held no caller"):
        result_of(load, LoadOptions(is_scripted=True), machine)


def test_the_page_needs_nothing_else(machine):
    loads = [real(), alone()]
    results = [result_of(load, LoadOptions(), machine) for load in loads]
    page = html(loads, results)
    assert not re.search(r"https?:|<script|<link|@import|url\(|src=", page)
    assert "bare &lt;echo&gt;" in page
    assert "<echo>" not in page
    assert page.count("<svg") == sum(len(plots_of(load)) for load in loads) == 18


@given(st.floats(1e-3, 1e6))
def test_ticks_are_few_and_reach_the_end(most):
    found = ticks(most)
    assert found[0] == 0
    assert most <= found[-1] * (1 + 1e-6)
    assert 2 <= len(found) <= 12


def test_ticks_of_nothing():
    assert ticks(0.0) == [0.0, 1.0]


def test_a_plot_is_a_picture_even_of_nothing():
    curves = [Curve(name="a < b", points=[(0.0, 0.0), (2.0, 4.0)]), Curve(name="c", points=[])]
    for plot in (
        Plot(title="t & u", x="x", y="y", curves=curves, limit=8.0),
        Plot(title="empty", x="x", y="y", curves=[]),
        Plot(title="dots", x="x", y="y", curves=[Curve(name="d", points=[(1, 1)], style="dots")]),
    ):
        ElementTree.fromstring(plot.svg())
    drawn = ElementTree.fromstring(Plot(title="t", x="x", y="y", curves=curves, limit=8.0).svg())
    (line,) = drawn.iter("polyline")
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in line.get("points").split())
    assert x1 > x0
    assert y1 < y0
    limits = [one for one in drawn.iter("line") if one.get("class") == "limit"]
    assert float(limits[0].get("y1")) < y1
