"""What the engine says of a conversation beside another, as the end of the response that has it."""

import asyncio

from server.asides import Asides
from streaming.engine.messages.events import (
    ConversationOpened,
    ConversationRefused,
    EngineFault,
    ResponseDone,
    TextDelta,
)
from streaming.protocol.engine_events import ReplyDone, ReplyText


class FakeEngine:
    def __init__(self):
        self.subscribed = set()

    def subscribe(self, name, queue):
        self.subscribed.add(name)

    def unsubscribe(self, name):
        self.subscribed.remove(name)


def opened():
    engine = FakeEngine()
    asides = Asides("c", engine, asyncio.Queue())
    asides.open("r")
    assert engine.subscribed == {"c/r"}
    return asides, engine


def test_it_concerns_only_what_stands_beside():
    asides, _ = opened()
    assert asides.concern(ConversationOpened(conversation_id="c/r"))
    assert not asides.concern(ConversationOpened(conversation_id="c"))
    assert not asides.concern(EngineFault(conversation_id=None, code="x", message="y"))


def test_a_reply_passes_and_its_end_gives_the_slot_back():
    asides, engine = opened()
    delta = TextDelta(conversation_id="c/r", response_id="r", text="hi")
    assert asides.take(delta) == ReplyText(response_id="r", text="hi")
    assert asides.take(ConversationOpened(conversation_id="c/r")) is None
    done = ResponseDone(conversation_id="c/r", response_id="r", status="completed")
    assert asides.take(done).status == "completed"
    assert engine.subscribed == set()
    assert asides.take(delta) is None


def test_whatever_cannot_be_done_ends_the_response_once():
    for failure in (
        ConversationRefused(conversation_id="c/r", code="capacity", message="full"),
        EngineFault(conversation_id="c/r", code="capacity", message="full", item_id="i"),
    ):
        asides, engine = opened()
        end = asides.take(failure)
        assert isinstance(end, ReplyDone)
        assert (end.status, end.failure.code, end.failure.message) == ("failed", "capacity", "full")
        assert asides.take(failure) is None
        assert engine.subscribed == set()


def test_all_slots_are_given_back_at_the_end():
    asides, engine = opened()
    asides.close()
    assert engine.subscribed == set()
