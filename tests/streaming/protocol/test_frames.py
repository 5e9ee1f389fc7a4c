"""Frames that are no event: each gets one error, and the session lives."""

import pytest

from streaming.protocol.client_events import CLIENT_EVENTS
from streaming.protocol.limits import Limits
from tests.streaming.protocol.rig import Rig, error_of, kinds


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "nonsense",
        b"\xff\xfe",
        b"",
        '"\ud800"',
        '{"type": NaN}',
        "[" * 100_000,
        '{"type":"response.cancel"}{}',
    ],
)
def test_not_json(frame):
    error = error_of(Rig().raw(frame))
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_json")
    assert error["event_id"] is None


@pytest.mark.parametrize("frame", ["[]", "1", "null", '"text"', "true"])
def test_json_that_is_no_object(frame):
    assert error_of(Rig().raw(frame))["code"] == "invalid_json"


def test_bytes_are_as_good_as_text():
    assert kinds(Rig().raw(b'{"type":"input_audio_buffer.clear"}')) == [
        "input_audio_buffer.cleared"
    ]


def test_type_missing():
    error = error_of(Rig().raw('{"event_id":"mine"}'))
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_event", "type", "mine")


@pytest.mark.parametrize("kind", ['"nonsense"', "7", "[]", "{}", '"session.created"'])
def test_an_unknown_type_is_told_the_known_ones(kind):
    error = error_of(Rig().raw(f'{{"type":{kind},"event_id":"mine"}}'))
    assert (error["code"], error["event_id"]) == ("invalid_value", "mine")
    for known in CLIENT_EVENTS:
        assert f"'{known}'" in error["message"]


@pytest.mark.parametrize("event_id", ["7", "[]", "true"])
def test_an_event_id_that_is_no_text(event_id):
    error = error_of(Rig().raw(f'{{"type":"input_audio_buffer.clear","event_id":{event_id}}}'))
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_type", "event_id", None)


def test_an_event_id_has_a_limit():
    error = error_of(Rig().send("input_audio_buffer.clear", event_id="x" * 513))
    assert error["param"] == "event_id"
    assert "512 (max_id_chars)" in error["message"]


@pytest.mark.parametrize("kind", sorted(CLIENT_EVENTS))
def test_an_unknown_field_is_named(kind):
    error = error_of(Rig().send(kind, event_id="mine", nonsense=1))
    assert (error["code"], error["param"]) == ("unknown_parameter", "nonsense")
    assert error["event_id"] == "mine"


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("session.update", "session"),
        ("input_audio_buffer.append", "audio"),
        ("conversation.item.create", "item"),
        ("conversation.item.retrieve", "item_id"),
        ("conversation.item.delete", "item_id"),
    ],
)
def test_a_missing_field_is_named(kind, field):
    error = error_of(Rig().send(kind))
    assert (error["code"], error["param"]) == ("missing_required_parameter", field)


def test_a_message_has_a_limit():
    rig = Rig(limits=Limits(max_event_bytes=100))
    error = error_of(rig.send("input_audio_buffer.append", audio="A" * 100))
    assert error["code"] == "message_too_large"
    assert "100 (max_event_bytes)" in error["message"]


def test_options_have_a_smaller_limit_than_audio():
    rig = Rig(limits=Limits(max_options_bytes=100), manual=True)
    assert rig.send("input_audio_buffer.append", audio="A" * 400) == []
    error = error_of(rig.send("response.create", response={"instructions": "x" * 100}))
    assert error["code"] == "message_too_large"
    assert "100 (max_options_bytes)" in error["message"]


def test_an_error_does_not_grow_with_what_caused_it():
    rig = Rig()
    for frame in (
        {"type": "x" * 10_000},
        {"type": "session.update", "session": {"type": "realtime", "y" * 10_000: 1}},
        {"type": "conversation.item.retrieve", "item_id": "z" * 10_000},
        {
            "type": "session.update",
            "session": {"type": "realtime", "output_modalities": ["w" * 10_000]},
        },
    ):
        error = error_of(rig.send(**{"kind": frame.pop("type"), **frame}))
        assert sum(len(str(value)) for value in error.values()) < 2_000


def test_a_server_side_playout_buffer_is_for_webrtc():
    assert error_of(Rig().send("output_audio_buffer.clear"))["code"] == "unsupported_value"


def test_events_and_commands_are_handed_out_once():
    rig = Rig()
    rig.session.receive_event('{"type":"response.create"}')
    assert len(rig.session.events_to_send()) == 2
    assert rig.session.events_to_send() == []
    assert len(list(rig.session.commands())) == 1
    assert list(rig.session.commands()) == []


def test_every_event_has_its_own_id():
    rig = Rig()
    events = rig.opening + rig.send("response.create") + rig.send("input_audio_buffer.clear")
    assert len({event["event_id"] for event in events}) == len(events)
