"""The event channel by itself: sizes, slow readers, floods."""

import asyncio
import json

import pytest

from server.errors import SlowReaderError
from server.outbox import Outbox
from server.webrtc.channel import HIGH_WATER_BYTES, EventChannel
from server.webrtc.errors import FloodError, HungUpError


class Line:
    """A data channel that takes everything and gives nothing on until it is told to.

    It closes by itself once it has sent `sends` frames, if that is said.
    """

    sends = None
    drains = False

    label = "oai-events"
    readyState = "open"
    bufferedAmountLowThreshold = 0

    def __init__(self):
        self.sent = []
        self.bufferedAmount = 0
        self.is_closed = False
        self._acts = {}

    def on(self, name, act):
        self._acts[name] = act

    def emit(self, name, *values):
        self._acts[name](*values)

    def send(self, frame):
        assert self.readyState == "open"
        self.sent.append(json.loads(frame))
        if not self.drains:
            self.bufferedAmount += len(frame)
        if len(self.sent) == self.sends:
            self.readyState = "closed"
            self.bufferedAmount = 0

    def drain(self):
        self.bufferedAmount = 0
        self.emit("bufferedamountlow")

    def close(self):
        self.is_closed = True


def channel(**options):
    outbox = Outbox(max_events=100_000, max_bytes=2**30)
    limits = {"max_message_bytes": 65_536, "send_timeout_s": 0.2, **options}
    return outbox, EventChannel(outbox, **limits)


async def test_events_wait_for_the_channel_and_keep_their_order():
    outbox, events = channel()
    outbox.put([{"type": "a"}, {"type": "b"}])
    task = asyncio.create_task(events.send())
    await asyncio.sleep(0)
    line = Line()
    events.attach(line)
    while len(line.sent) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert [event["type"] for event in line.sent] == ["a", "b"]
    task.cancel()


async def test_a_reader_that_takes_nothing_is_cut_off_by_the_limit():
    outbox, events = channel()
    line = Line()
    events.attach(line)
    outbox.put([{"type": "a", "text": "x" * 60_000}] * 20)
    with pytest.raises(SlowReaderError, match="send_timeout_s"):
        await events.send()
    assert line.bufferedAmount <= HIGH_WATER_BYTES + 65_536


async def test_a_reader_that_is_only_slow_gets_everything():
    outbox, events = channel()
    line = Line()
    events.attach(line)
    outbox.put([{"type": "a", "text": "x" * 60_000}] * 20)
    task = asyncio.create_task(events.send())
    async with asyncio.timeout(5):
        while len(line.sent) < 20:
            await asyncio.sleep(0.01)
            line.drain()
    task.cancel()


async def test_an_event_that_does_not_fit_is_named_instead():
    outbox, events = channel(max_message_bytes=1000)
    line = Line()
    events.attach(line)
    outbox.put([{"type": "conversation.item.retrieved", "text": "é" * 600}])
    task = asyncio.create_task(events.send())
    while not line.sent:  # noqa: ASYNC110
        await asyncio.sleep(0)
    task.cancel()
    error = line.sent[0]["error"]
    assert error["code"] == "event_too_large"
    assert "conversation.item.retrieved" in error["message"]
    assert "1000" in error["message"]


async def test_the_last_word_is_not_said_to_a_channel_that_closes_meanwhile():
    outbox, events = channel()
    line = Line()
    events.attach(line)
    outbox.put([{"type": "a"}])
    line.sends = 1
    await events.say_last(HungUpError("the end"), 1.0)
    assert [event["type"] for event in line.sent] == ["a"]


async def test_a_last_word_that_does_not_fit_is_named_instead():
    _, events = channel(max_message_bytes=1000)
    line = Line()
    events.attach(line)
    line.drains = True
    await events.say_last(HungUpError("é" * 600), 1.0)
    assert line.sent[0]["error"]["code"] == "event_too_large"


async def test_more_events_than_can_be_taken_end_the_call():
    _, events = channel(max_waiting_events=50)
    line = Line()
    events.attach(line)
    for _ in range(100):
        line.emit("message", "{}")
    with pytest.raises(FloodError, match=r"50 events .*\(max_waiting_events\)"):
        await events.receive()


async def test_more_bytes_than_can_wait_end_the_call():
    _, events = channel(max_waiting_bytes=1000)
    line = Line()
    events.attach(line)
    for _ in range(100):
        line.emit("message", "x" * 100)
    with pytest.raises(FloodError, match=r"1000 bytes .*\(max_waiting_bytes\)"):
        await events.receive()
    assert events._received.qsize() == 11, "no more are kept than one too many"


async def test_other_channels_are_closed():
    _, events = channel()
    first, second, other = Line(), Line(), Line()
    other.label = "chat"
    for line in (other, first, second):
        events.attach(line)
    assert [line.is_closed for line in (other, first, second)] == [True, False, True]
