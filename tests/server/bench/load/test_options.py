"""What may be asked for, and who comes when."""

from itertools import pairwise
from random import Random

import pytest

from model.recipes.omni_mini.evaluate import people
from server.bench.errors import OptionError
from server.bench.load.options import LoadOptions
from server.bench.load.step import arrivals


@pytest.mark.parametrize(
    "url", ["ws://127.0.0.1:8000/v1/realtime", "wss://localhost/v1/realtime", "ws://[::1]:9/x"]
)
def test_load_stays_on_this_machine(url):
    assert LoadOptions(url=url).url == url


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"url": "ws://192.0.2.1/v1/realtime"}, "--url ws://192.0.2.1"),
        ({"url": "ws://example.org/v1/realtime"}, "--url ws://example.org"),
        ({"url": "nonsense"}, "--url nonsense"),
        ({"url": "ws://127.0.0.1:99999/v1/realtime"}, "--url ws://127.0.0.1:99999"),
        ({"url": "ws://[::1/"}, "--url ws://"),
        ({"url": "ws://localhost", "is_scripted": True}, "--scripted-engine"),
        ({"slow": 0.5, "transport": "webrtc"}, "--slow 0.5"),
        ({"slow": 0.5, "vanishing": 0.5}, "leave no caller"),
        ({"callers": 9, "most": 8}, "--callers 9"),
        ({"url": "ws://localhost", "model": "m"}, "--model"),
        ({"url": "ws://localhost", "dtype": "float32"}, "--dtype"),
        ({"url": "ws://localhost", "slack_s": 0.2}, "--slack-s"),
        ({"url": "ws://localhost", "model": "m", "dtype": "auto"}, "--model, --dtype"),
        ({"key": "k"}, "--key"),
        ({"is_scripted": True, "model": "m"}, "--model"),
        ({"is_scripted": True, "dtype": "auto"}, "--dtype"),
        ({"is_scripted": True, "target_s": 1.0}, "--target-s"),
        ({"slack_s": 0.1}, "--slack-s"),
        ({"rate": 1.0, "most": 64}, "--most"),
        ({"rate": 1.0, "steps": 3}, "--steps"),
        ({"rate": 1.0, "minutes": 15.0}, "--minutes"),
    ],
)
def test_what_cannot_be_is_named(options, named):
    with pytest.raises(OptionError, match=named):
        LoadOptions(**options)


def test_what_is_not_told_has_its_default():
    options = LoadOptions()
    assert (options.limit_s, options.above_one_s) == (1.0, 0.1)
    assert (options.trials, options.search_s, options.most_callers) == (10, 900.0, 64)
    assert options.settings(None)["dtype"] == "auto"
    told = LoadOptions(target_s=2.0, steps=3, minutes=2.0, most=5, dtype="float32")
    assert (told.limit_s, told.trials, told.search_s, told.most_callers) == (2.0, 3, 120.0, 5)
    assert told.settings(None)["dtype"] == "float32"
    scripted = LoadOptions(is_scripted=True, slack_s=0.5, rate=1.0, steps=3)
    assert (scripted.above_one_s, scripted.trials, scripted.most_callers) == (0.5, 3, 512)


def test_at_a_rate_there_is_room_for_all_who_come():
    options = LoadOptions(rate=5.0, callers=200)
    assert options.most_callers == 200
    assert options.settings(None)["max_conversations"] > 200


def test_people_speak_where_their_readings_are(monkeypatch):
    monkeypatch.setattr(people, "PACKAGE", "json")  # there, whatever is installed
    assert LoadOptions().spoken_by == "people"
    assert LoadOptions(voices="synthetic").spoken_by == "synthetic"
    monkeypatch.setattr(people, "PACKAGE", "no_such_package")
    assert LoadOptions().spoken_by == "synthetic"
    with pytest.raises(OptionError, match="--voices people: package no_such_package"):
        LoadOptions(voices="people")


def test_disturbers_come_only_where_there_is_something_to_disturb():
    assert (LoadOptions().slow_share, LoadOptions().vanishing_share) == (0.1, 0.1)
    assert LoadOptions(transport="webrtc").slow_share == 0
    scripted = LoadOptions(is_scripted=True)
    assert (scripted.slow_share, scripted.vanishing_share) == (0, 0)
    assert LoadOptions(is_scripted=True, slow=0.2).slow_share == 0.2


def test_transports_and_processes():
    assert LoadOptions(transport="both").transports == ("websocket", "webrtc")
    assert LoadOptions(transport="webrtc").transports == ("webrtc",)
    assert LoadOptions().caller_processes(7) == 1
    assert LoadOptions(is_scripted=True).caller_processes(7) == 7
    assert LoadOptions(is_scripted=True).caller_processes(0) == 1
    assert LoadOptions(processes=3).caller_processes(7) == 3


@pytest.mark.parametrize("callers", [1, 2, 3, 10, 40])
def test_every_kind_has_its_share_and_somebody_is_plain(callers):
    options = LoadOptions(slow=0.3, vanishing=0.4)
    coming = arrivals(options, callers, Random(0))
    kinds = [caller.kind for caller in coming]
    assert len(kinds) == callers
    assert kinds[0] == "plain"
    if callers >= 10:
        assert kinds.count("slow") == 0.3 * callers
        assert kinds.count("vanishing") == 0.4 * callers
    assert [caller.number for caller in coming] == list(range(callers))


def test_chance_is_fixed_by_the_seed():
    options = LoadOptions(callers=20, slow=0.3)
    assert arrivals(options, 20, Random("5 20")) == arrivals(options, 20, Random("5 20"))
    assert arrivals(options, 20, Random("5 20")) != arrivals(options, 20, Random("6 20"))


def test_arrivals_at_a_rate():
    moments = [c.arrives_s for c in arrivals(LoadOptions(rate=4.0), 2000, Random(1))]
    assert moments == sorted(moments)
    assert moments[0] == 0.0
    assert 2000 / moments[-1] == pytest.approx(4.0, rel=0.1)
    gaps = [b - a for a, b in pairwise(moments)]
    assert max(gaps) > 4 * (sum(gaps) / len(gaps))  # by chance, not by the clock
