"""The queue before a peer: in order, and bounded by count and by bytes."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import SlowReaderError
from server.outbox import Outbox


def event(number):
    return {"n": number}


@given(st.lists(st.integers(0, 5), max_size=20))
def test_frames_come_out_once_and_in_order(batches):
    outbox = Outbox(max_events=1000, max_bytes=10_000)
    total = 0
    for size in batches:
        outbox.put(event(n) for n in range(total, total + size))
        total += size

    async def drain():
        taken = []
        while len(outbox):
            taken.append(await outbox.peek())
            outbox.pop()
        return taken

    assert asyncio.run(drain()) == [f'{{"n":{n}}}' for n in range(total)]


async def test_a_reader_waits_for_the_first_frame():
    outbox = Outbox(max_events=4, max_bytes=100)
    reading = asyncio.create_task(outbox.peek())
    await asyncio.sleep(0)
    assert not reading.done()
    outbox.put([event(1)])
    assert await reading == '{"n":1}'
    assert len(outbox) == 1


def test_each_limit_is_named():
    with pytest.raises(SlowReaderError, match=r"3 events wait unread \(send_queue_events\)"):
        Outbox(max_events=3, max_bytes=1000).put(event(n) for n in range(4))
    with pytest.raises(SlowReaderError, match=r"20 bytes wait unread \(send_queue_bytes\)"):
        Outbox(max_events=1000, max_bytes=20).put(event(n) for n in range(4))


async def test_what_was_sent_makes_room():
    outbox = Outbox(max_events=2, max_bytes=14)
    outbox.put([event(1), event(2)])
    await outbox.peek()
    outbox.pop()
    outbox.put([event(3)])
    with pytest.raises(SlowReaderError):
        outbox.put([event(4)])
