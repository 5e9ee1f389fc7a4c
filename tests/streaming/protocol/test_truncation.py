"""conversation.item.truncate: history keeps what was heard."""

import pytest

from streaming.protocol.commands import TruncateItem
from streaming.protocol.engine_events import EngineFault, Failure, ItemTruncated
from tests.streaming.protocol.rig import Rig, error_of, kinds


def truncate(rig, item_id, audio_end_ms, **fields):
    fields = {"content_index": 0, **fields}
    return rig.send(
        "conversation.item.truncate", item_id=item_id, audio_end_ms=audio_end_ms, **fields
    )


def transcript(rig, item_id):
    (event,) = rig.send("conversation.item.retrieve", item_id=item_id)
    return event["item"]["content"][0]["transcript"]


def test_the_transcript_is_cut_to_what_the_engine_says_was_heard():
    rig = Rig()
    item_id = rig.spoken_reply("One two three.", ms=3000)
    assert truncate(rig, item_id, 1000) == [], "told when it is done: agents retrieve at once"
    assert rig.take_commands() == [TruncateItem(item_id=item_id, audio_end_ms=1000)]
    (event,) = rig.engine(ItemTruncated(item_id=item_id, text="One"))
    assert event["type"] == "conversation.item.truncated"
    assert (event["item_id"], event["content_index"], event["audio_end_ms"]) == (item_id, 0, 1000)
    assert transcript(rig, item_id) == "One"


@pytest.mark.parametrize("end_ms", [0, 3000])
def test_both_ends_are_allowed(end_ms):
    rig = Rig()
    item_id = rig.spoken_reply(ms=3000)
    assert truncate(rig, item_id, end_ms) == []


def test_more_than_there_is():
    rig = Rig()
    item_id = rig.spoken_reply(ms=1000)
    error = error_of(truncate(rig, item_id, 1001, event_id="mine"))
    assert (error["code"], error["param"]) == ("invalid_value", "audio_end_ms")
    assert error["message"] == "Audio content of 1000ms is already shorter than 1001ms."
    assert error["event_id"] == "mine"


def test_what_was_cut_does_not_come_back():
    rig = Rig()
    item_id = rig.spoken_reply(ms=1000)
    truncate(rig, item_id, 500)
    assert error_of(truncate(rig, item_id, 600))["code"] == "invalid_value"
    assert truncate(rig, item_id, 400) == []
    assert kinds(rig.engine(ItemTruncated(item_id=item_id, text="a"))) == [
        "conversation.item.truncated"
    ]
    (event,) = rig.engine(ItemTruncated(item_id=item_id, text=""))
    assert event["audio_end_ms"] == 400


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"content_index": 1}, "invalid_value", "content_index"),
        ({"content_index": -1}, "integer_below_min_value", "content_index"),
        ({"content_index": "0"}, "invalid_type", "content_index"),
        ({"audio_end_ms": 1.5}, "invalid_type", "audio_end_ms"),
        ({"audio_end_ms": -1}, "integer_below_min_value", "audio_end_ms"),
        ({"audio_end_ms": None}, "invalid_type", "audio_end_ms"),
    ],
)
def test_wrong_fields(fields, code, param):
    rig = Rig()
    item_id = rig.spoken_reply()
    fields = {"content_index": 0, "audio_end_ms": 0, **fields}
    error = error_of(rig.send("conversation.item.truncate", item_id=item_id, **fields))
    assert (error["code"], error["param"]) == (code, param)
    assert rig.take_commands() == []


def test_only_speech_can_be_cut():
    rig = Rig()
    item_id = rig.add(role="assistant")["id"]
    error = error_of(truncate(rig, item_id, 0))
    assert (error["code"], error["param"]) == ("invalid_value", "item_id")


def test_a_running_reply_is_cut_when_it_has_ended():
    # Agents-Python truncates first and cancels then; the engine only ever cuts finished items.
    rig = Rig()
    response_id, item_id = rig.respond()
    rig.speak(response_id, ms=2000)
    assert truncate(rig, item_id, 500) == []
    assert rig.take_commands() == []
    rig.send("response.cancel")
    rig.take_commands()
    rig.done(response_id, "cancelled")
    # First to what was sent, as after every cancel, and then to what was played of it.
    assert rig.take_commands() == [
        TruncateItem(item_id=item_id, audio_end_ms=2000),
        TruncateItem(item_id=item_id, audio_end_ms=500),
    ]
    assert rig.engine(ItemTruncated(item_id=item_id, text="One two")) == []
    (event,) = rig.engine(ItemTruncated(item_id=item_id, text="One"))
    assert event["audio_end_ms"] == 500


def test_two_cuts_of_a_running_reply_may_not_grow_it():
    rig = Rig()
    response_id, item_id = rig.respond()
    rig.speak(response_id, ms=2000)
    truncate(rig, item_id, 500, event_id="one")
    truncate(rig, item_id, 1000, event_id="two")
    events = rig.done(response_id)
    assert [e["error"]["event_id"] for e in events if e["type"] == "error"] == ["two"]
    assert TruncateItem(item_id=item_id, audio_end_ms=500) in rig.take_commands()


def test_the_cut_of_a_late_cancel_is_ours_and_is_not_told():
    rig = Rig()
    response_id, item_id = rig.respond()
    rig.speak(response_id, "Sent and", ms=1000)
    rig.send("response.cancel")
    rig.speak(response_id, " withheld.", ms=1000)
    rig.done(response_id, "cancelled")
    assert TruncateItem(item_id=item_id, audio_end_ms=1000) in rig.take_commands()
    assert rig.engine(ItemTruncated(item_id=item_id, text="Sent")) == []
    assert transcript(rig, item_id) == "Sent"


def test_a_cut_that_fails_is_told_to_who_asked():
    rig = Rig()
    item_id = rig.spoken_reply()
    truncate(rig, item_id, 10, event_id="mine")
    failure = Failure(code="invalid_state", message="no")
    error = error_of(rig.engine(EngineFault(failure=failure, item_id=item_id, fatal=False)))
    assert (error["event_id"], error["code"]) == ("mine", "invalid_state")
    assert rig.engine(ItemTruncated(item_id=item_id, text="x")) == [], "nobody waits for it now"


def test_an_item_that_was_deleted_meanwhile():
    rig = Rig()
    item_id = rig.spoken_reply()
    truncate(rig, item_id, 10)
    rig.send("conversation.item.delete", item_id=item_id)
    assert kinds(rig.engine(ItemTruncated(item_id=item_id, text=""))) == [
        "conversation.item.truncated"
    ]


def test_at_another_speed_the_client_counts_what_it_hears_and_the_engine_what_it_speaks():
    rig = Rig(session={"audio": {"output": {"speed": 1.25}}})
    item_id = rig.spoken_reply(ms=2000)
    error = error_of(truncate(rig, item_id, 1700))
    assert "1600ms" in error["message"]
    assert truncate(rig, item_id, 800) == []
    assert rig.take_commands() == [TruncateItem(item_id=item_id, audio_end_ms=1000)]
