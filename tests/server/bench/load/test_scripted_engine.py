"""The scripted engine: what it answers and when, on a clock of the test's own."""

import numpy as np
import pytest

from server.bench.load.scripted_engine import MODEL_ID, ScriptedEngine, Timetable
from streaming.engine.messages.commands import (
    CancelResponse,
    CloseConversation,
    OpenConversation,
    Ping,
    Respond,
    TruncateItem,
)
from streaming.engine.messages.events import Pong
from streaming.engine.settings import EngineSettings

TIMES = Timetable(first_text_s=0.05, first_sound_s=0.1, piece_s=0.2, speech_s=0.6, rtf=0.5)


class Bench:
    def __init__(self, seats=2):
        self.now_s = 0.0
        self.said = []
        settings = EngineSettings(max_conversations=seats)
        self.engine = ScriptedEngine(settings, TIMES, self.said.append, lambda: self.now_s)

    def take(self, *commands):
        for command in commands:
            self.engine.take(command)
        return self.heard()

    def at(self, now_s):
        self.now_s = now_s
        self.engine.send_due()
        return self.heard()

    def heard(self):
        said, self.said[:] = list(self.said), []
        return said


def kinds(events):
    return [type(event).__name__ for event in events]


def opened(name="a"):
    return OpenConversation(conversation_id=name)


def respond(name="a", reply="r"):
    return Respond(conversation_id=name, response_id=reply, item_id="i")


def test_a_reply_goes_by_its_timetable():
    bench = Bench()
    assert kinds(bench.take(opened(), respond())) == ["ConversationOpened"]
    assert bench.engine.wait_s() == pytest.approx(0.05)
    assert kinds(bench.at(0.06)) == ["TextDelta"]
    first = bench.at(0.1)
    assert kinds(first) == ["TextDelta", "AudioDelta"]
    assert len(first[1].pcm) == 2 * 24_000 * 0.2
    assert np.abs(np.frombuffer(first[1].pcm, "<i2").astype(int)).max() > 8_000
    assert bench.at(0.19) == []
    assert kinds(bench.at(0.31)) == ["TextDelta", "AudioDelta"] * 2
    (end,) = bench.at(0.5)
    assert (end.status, end.response_id) == ("completed", "r")
    assert bench.engine.wait_s() is None


def test_a_cancelled_reply_says_nothing_more():
    bench = Bench()
    bench.take(opened(), respond())
    bench.at(0.1)
    cancel = CancelResponse(conversation_id="a", response_id="r")
    (end,) = bench.take(cancel)
    assert (end.status, end.reason) == ("cancelled", "client_cancelled")
    assert bench.take(cancel) == []
    assert kinds(bench.take(respond(reply="next"))) == []
    assert {event.response_id for event in bench.at(9.0)} == {"next"}


def test_who_has_left_is_told_nothing_and_leaves_a_seat():
    bench = Bench(seats=1)
    bench.take(opened(), respond())
    (refused,) = bench.take(opened("b"))
    assert (refused.conversation_id, refused.code) == ("b", "capacity")
    bench.take(CloseConversation(conversation_id="a"))
    assert bench.at(9.0) == []
    assert kinds(bench.take(opened("b"))) == ["ConversationOpened"]


def test_it_answers_what_the_gateway_waits_for():
    bench = Bench()
    truncate = TruncateItem(conversation_id="a", item_id="i", audio_end_ms=10)
    answers = bench.take(Ping(nonce=3), truncate)
    assert answers[0] == Pong(nonce=3)
    assert answers[1].item_id == "i"


def test_it_cannot_be_taken_for_a_model():
    assert "scripted" in MODEL_ID
    assert Bench().engine.ready.model_id == MODEL_ID
