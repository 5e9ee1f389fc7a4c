"""How much one client may have, on a clock that the test turns."""

import pytest

from server.errors import TooFastError, TooManyOpenError
from server.limits import RateLimit, Seats
from streaming.protocol.limits import RateLeft


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def test_a_minutes_allowance_is_spent_and_comes_back_evenly():
    clock = Clock()
    limit = RateLimit(6, "max_openings_per_address", clock)
    for _ in range(6):
        limit.spend("a")
    with pytest.raises(TooFastError, match=r"6 openings a minute \(max_openings_per_address\)"):
        limit.spend("a")
    limit.spend("b")
    clock.now_s = 9.9
    with pytest.raises(TooFastError, match=r"0\.1 s"):
        limit.spend("a")
    clock.now_s = 10.0
    limit.spend("a")


def test_what_is_left_is_told_without_being_spent():
    clock = Clock()
    limit = RateLimit(6, "x", clock)
    assert limit.left("a") == RateLeft(name="requests", limit=6, remaining=6, reset_seconds=0.0)
    for _ in range(4):
        limit.spend("a")
    for _ in range(9):
        assert limit.left("a").remaining == 2
    assert limit.left("a").reset_seconds == 40.0
    clock.now_s = 25.0
    assert limit.left("a") == RateLeft(name="requests", limit=6, remaining=4, reset_seconds=15.0)
    assert len(limit) == 1, "asking leaves nothing behind"


def test_no_limit_counts_nothing():
    limit = RateLimit(None, "x", Clock())
    assert limit.left("a") is None
    for _ in range(10_000):
        limit.spend("a")
    assert len(limit) == 0


def test_names_are_forgotten_after_their_minute():
    clock = Clock()
    limit = RateLimit(6, "x", clock)
    for number in range(1000):
        clock.now_s = float(number)
        limit.spend(f"address {number}")
    assert len(limit) <= 61


def test_a_client_that_stays_does_not_keep_the_others_remembered():
    clock = Clock()
    limit = RateLimit(6, "x", clock)
    for number in range(2000):
        clock.now_s = float(number)
        limit.spend(f"address {number}")
        if number % 30 == 0:
            limit.spend("stays")
    assert len(limit) <= 62


def test_a_client_that_is_refused_is_remembered_until_its_minute_is_over():
    clock = Clock()
    limit = RateLimit(1, "x", clock)
    limit.spend("a")
    for clock.now_s in (30.0, 59.0):
        with pytest.raises(TooFastError):
            limit.spend("a")
    clock.now_s = 60.0
    limit.spend("a")


def test_seats_are_counted_by_name_and_given_back():
    seats = Seats(1, "max_conversations_per_key")
    with seats.taken("a"):
        with pytest.raises(TooManyOpenError, match=r"1 conversations .*max_conversations_per_key"):
            seats.check("a")
        seats.check("b")
    seats.check("a")
    assert len(seats) == 0
