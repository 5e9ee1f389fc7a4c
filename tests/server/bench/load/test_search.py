"""The largest number that holds, whatever it is, in few trials."""

from hypothesis import given
from hypothesis import strategies as st

from server.bench.load.search import largest


async def search(truth, **bounds):
    tried = []

    async def holds(number):
        tried.append(number)
        return number <= truth

    return await largest(holds, **bounds), tried


@given(truth=st.integers(0, 200), start=st.integers(1, 100), most=st.integers(100, 150))
async def test_it_is_found_within_a_twentieth(truth, start, most):
    found, tried = await search(truth, start=start, most=most, trials=30)
    best = min(truth, most)
    assert found <= best <= found + max(1, found * 0.05)
    assert (found == best) or best > 20
    assert max(tried) <= most
    assert len(set(tried)) == len(tried) <= 16


@given(truth=st.integers(0, 200), trials=st.integers(1, 5))
async def test_it_never_tries_more_often_than_it_may(truth, trials):
    found, tried = await search(truth, start=4, most=200, trials=trials)
    assert len(tried) <= trials
    assert found == max((number for number in tried if number <= truth), default=0)


async def test_when_its_time_is_over_it_says_what_it_knows():
    asked = []

    def goes_on():
        asked.append(1)
        return len(asked) < 2

    found, tried = await search(100, start=4, most=200, trials=30, goes_on=goes_on)
    assert (found, tried) == (8, [4, 8])
