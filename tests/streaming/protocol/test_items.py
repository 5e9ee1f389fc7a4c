"""Conversation items: create, retrieve, delete, and their order."""

import pytest

from streaming.protocol.commands import (
    AudioPart,
    CreateItem,
    DeleteItem,
    StartResponse,
    TextPart,
    TruncateItem,
)
from streaming.protocol.engine_events import EngineFault, Failure
from streaming.protocol.limits import Limits, ModelProfile
from tests.streaming.protocol.rig import (
    LOUD,
    MANUAL,
    Rig,
    b64,
    error_of,
    kinds,
    text_item,
    tone,
)


def create(rig, item, **fields):
    return rig.send("conversation.item.create", item=item, **fields)


def user(*content, **fields):
    return {"type": "message", "role": "user", "content": list(content), **fields}


@pytest.mark.parametrize("role", ["user", "system", "assistant"])
def test_a_text_item(role):
    rig = Rig()
    item = rig.add(text="Good day", role=role, id="mine")
    kind = "output_text" if role == "assistant" else "input_text"
    assert item == {
        "id": "mine",
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": role,
        "content": [{"type": kind, "text": "Good day"}],
    }
    (command,) = rig.take_commands()
    assert command == CreateItem(
        item_id="mine", previous_item_id=None, role=role, parts=(TextPart(text="Good day"),)
    )


def test_a_spoken_item():
    rig = Rig()
    part = {"type": "input_audio", "audio": b64(tone(LOUD, 500)), "transcript": "la"}
    added, _ = create(rig, user(part, {"type": "input_text", "text": "what was that?"}))
    assert added["item"]["content"] == [
        {"type": "input_audio", "transcript": "la"},
        {"type": "input_text", "text": "what was that?"},
    ]
    (command,) = rig.take_commands()
    audio, text = command.parts
    assert isinstance(audio, AudioPart)
    assert len(audio.pcm) == 8000 * 4
    assert text == TextPart(text="what was that?")


SPOKEN = [("user", "input_audio"), ("assistant", "output_audio")]


@pytest.mark.parametrize("sound", [{}, {"audio": None}])
@pytest.mark.parametrize(("role", "kind"), SPOKEN)
def test_spoken_words_come_back_without_their_sound(role, kind, sound):
    rig = Rig()
    part = {"type": kind, "transcript": "Good day.", **sound}
    added, _ = create(rig, {"type": "message", "role": role, "content": [part]})
    assert added["item"]["content"] == [{"type": kind, "transcript": "Good day."}]
    (command,) = rig.take_commands()
    assert (command.role, command.parts) == (role, (TextPart(text="Good day."),))


def test_words_alone_need_no_ears():
    profile = ModelProfile(model_id="t", inputs=("text",), voices=(), instructions="")
    words = user({"type": "input_audio", "transcript": "Good day."})
    assert len(create(Rig(profile=profile), words)) == 2


def test_words_without_their_sound_have_nothing_to_truncate():
    rig = Rig()
    part = {"type": "output_audio", "transcript": "Good day."}
    create(rig, {"type": "message", "role": "assistant", "content": [part], "id": "mine"})
    rig.take_commands()
    cut = {"item_id": "mine", "content_index": 0, "audio_end_ms": 0}
    error = error_of(rig.send("conversation.item.truncate", **cut))
    assert "no output audio" in error["message"]
    assert rig.take_commands() == []


def test_items_append_and_say_what_is_before_them():
    rig = Rig()
    first = rig.add()["id"]
    added, done = create(rig, text_item())
    assert added["previous_item_id"] == done["previous_item_id"] == first
    assert rig.take_commands()[-1].previous_item_id == first


def test_root_is_the_front():
    rig = Rig()
    rig.add(id="a")
    added, _ = create(rig, text_item(id="b"), previous_item_id="root")
    assert added["previous_item_id"] is None
    assert rig.take_commands()[-1].previous_item_id is None


def test_in_the_middle():
    rig = Rig()
    for item_id in ("a", "b"):
        rig.add(id=item_id)
    added, _ = create(rig, text_item(id="c"), previous_item_id="a")
    assert added["previous_item_id"] == "a"
    assert rig.take_commands()[-1].previous_item_id == "a"
    added, _ = create(rig, text_item(id="d"), previous_item_id="c")
    assert added["previous_item_id"] == "c"


def test_an_item_in_mid_turn_goes_behind_the_turn():
    # The engine has the turn's audio in its cache already; the client cannot know its id.
    rig = Rig(manual=True)
    rig.add(id="a")
    rig.take_commands()
    rig.hear(LOUD, 500)
    turn = rig.take_commands()[0].item_id
    added, _ = create(rig, text_item(id="b"), previous_item_id="a")
    assert added["previous_item_id"] == "a"
    assert rig.take_commands()[-1].previous_item_id == turn
    committed = rig.send("input_audio_buffer.commit")[0]
    assert committed["previous_item_id"] == "a"
    assert create(rig, text_item(id="c"))[0]["previous_item_id"] == "b"


def test_retrieve_shows_an_item():
    rig = Rig()
    item = rig.add()
    (event,) = rig.send("conversation.item.retrieve", item_id=item["id"])
    assert (event["type"], event["item"]) == ("conversation.item.retrieved", item)


def test_delete_takes_an_item_out():
    rig = Rig()
    for item_id in ("a", "b"):
        rig.add(id=item_id)
    (event,) = rig.send("conversation.item.delete", item_id="a")
    assert (event["type"], event["item_id"]) == ("conversation.item.deleted", "a")
    assert rig.take_commands()[-1] == DeleteItem(item_id="a")
    assert kinds(rig.send("conversation.item.retrieve", item_id="a")) == ["error"]
    assert rig.add(id="a")["id"] == "a", "its id is free again"


@pytest.mark.parametrize("verb", ["retrieve", "delete", "truncate"])
def test_an_unknown_item(verb):
    rig = Rig()
    more = {"content_index": 0, "audio_end_ms": 0} if verb == "truncate" else {}
    error = error_of(rig.send(f"conversation.item.{verb}", item_id="nope", event_id="mine", **more))
    assert error["code"] == f"item_{verb}_invalid_item_id"
    assert error["event_id"] == "mine"
    assert "'nope'" in error["message"]


@pytest.mark.parametrize("verb", ["retrieve", "delete"])
def test_the_open_turn_is_no_item_yet(verb):
    rig = Rig(manual=True)
    rig.hear(LOUD, 500)
    turn = rig.take_commands()[0].item_id
    assert kinds(rig.send(f"conversation.item.{verb}", item_id=turn)) == ["error"]


def test_the_item_of_a_running_response_cannot_be_deleted():
    rig = Rig()
    response_id, item_id = rig.respond()
    rig.speak(response_id)
    error = error_of(rig.send("conversation.item.delete", item_id=item_id))
    assert item_id in error["message"]
    rig.done(response_id)
    assert kinds(rig.send("conversation.item.delete", item_id=item_id)) == [
        "conversation.item.deleted"
    ]


def cancelled(rig):
    """A response that was cancelled and has not ended; its id and its item's."""
    response_id, item_id = rig.respond()
    rig.speak(response_id)
    rig.send("response.cancel")
    rig.take_commands()
    return response_id, item_id


def test_the_item_of_a_cancelled_response_is_deleted_at_its_end():
    # The engine's end of a cancelled reply may take a while, and the client cannot hurry it.
    rig = Rig()
    response_id, item_id = cancelled(rig)
    assert rig.send("conversation.item.delete", item_id=item_id) == []
    assert rig.take_commands() == []
    ended = kinds(rig.done(response_id, "cancelled"))
    assert ended[-2:] == ["response.done", "conversation.item.deleted"]
    assert rig.take_commands()[-1] == DeleteItem(item_id=item_id)
    assert kinds(rig.send("conversation.item.retrieve", item_id=item_id)) == ["error"]


def test_what_was_deleted_is_no_part_of_what_the_next_response_answers():
    rig = Rig()
    response_id, item_id = cancelled(rig)
    rig.send("conversation.item.delete", item_id=item_id)
    assert rig.send("response.create") == []
    rig.done(response_id, "cancelled")
    delete, start = rig.take_commands()[-2:]
    assert delete == DeleteItem(item_id=item_id)
    assert isinstance(start, StartResponse)


def test_an_item_that_will_be_deleted_can_be_cut_before():
    rig = Rig()
    response_id, item_id = cancelled(rig)
    cut = {"item_id": item_id, "content_index": 0, "audio_end_ms": 300}
    rig.send("conversation.item.truncate", **cut)
    rig.send("conversation.item.delete", item_id=item_id)
    rig.done(response_id, "cancelled")
    assert rig.take_commands()[-2:] == [
        TruncateItem(item_id=item_id, audio_end_ms=300),
        DeleteItem(item_id=item_id),
    ]


def test_an_item_that_will_be_deleted_cannot_be_deleted_again():
    rig = Rig()
    response_id, item_id = cancelled(rig)
    rig.send("conversation.item.delete", item_id=item_id)
    error = error_of(rig.send("conversation.item.delete", item_id=item_id, event_id="again"))
    assert (error["code"], error["event_id"]) == ("item_delete_invalid_item_id", "again")
    assert kinds(rig.done(response_id, "cancelled")).count("conversation.item.deleted") == 1


def test_an_item_is_deleted_though_the_engine_is_lost():
    rig = Rig()
    _, item_id = cancelled(rig)
    rig.send("conversation.item.delete", item_id=item_id)
    failure = Failure(code="internal_error", message="gone")
    events = rig.engine(EngineFault(failure=failure, item_id=None, fatal=True))
    assert "conversation.item.deleted" in kinds(events)
    assert rig.take_commands() == []


AUDIO = {"type": "input_audio", "audio": b64(tone(LOUD, 200))}
WRONG = [
    ({}, "missing_required_parameter", "item.type"),
    ({"type": "thing"}, "invalid_value", "item.type"),
    ({"type": ["message"]}, "invalid_value", "item.type"),
    ({"type": "message"}, "missing_required_parameter", "item.role"),
    ({"type": "message", "role": "tool"}, "invalid_value", "item.role"),
    ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
    (user(), "array_below_min_length", "item.content"),
    (user({"type": "text", "text": "x"}), "invalid_value", "item.content[0].type"),
    (user({"type": "input_text"}), "missing_required_parameter", "item.content[0].text"),
    (user({"type": "input_text", "text": 1}), "invalid_type", "item.content[0].text"),
    (user({"text": "x"}), "missing_required_parameter", "item.content[0].type"),
    (user(AUDIO, {**AUDIO, "audio": "!"}), "invalid_value", "item.content[1].audio"),
    (user({**AUDIO, "audio": ""}), "invalid_value", "item.content[0].audio"),
    (user({**AUDIO, "extra": 1}), "unknown_parameter", "item.content[0].extra"),
    ({**text_item(), "name": "x"}, "unknown_parameter", "item.name"),
    (text_item(id=""), "string_below_min_length", "item.id"),
    (text_item(id="root"), "invalid_value", "item.id"),
    (text_item(id="x" * 513), "string_above_max_length", "item.id"),
    (text_item(status="done"), "invalid_value", "item.status"),
    (
        {"type": "function_call_output", "call_id": "c", "output": "o"},
        "invalid_tool_call_id",
        "item.call_id",
    ),
    (
        {"type": "message", "role": "assistant", "content": [{"type": "output_audio"}]},
        "missing_required_parameter",
        "item.content[0].transcript",
    ),
    (
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_audio", "audio": "AAAA", "transcript": "x"}],
        },
        "unsupported_value",
        "item.content[0].audio",
    ),
    (
        user({"type": "input_audio", "transcript": None}),
        "missing_required_parameter",
        "item.content[0].audio",
    ),
]


@pytest.mark.parametrize(("item", "code", "param"), WRONG)
def test_a_wrong_item_is_named_and_nothing_is_added(item, code, param):
    rig = Rig()
    error = error_of(create(rig, item, event_id="mine"))
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
    assert rig.take_commands() == []
    assert create(rig, text_item())[0]["previous_item_id"] is None


def test_an_image_gets_the_capability_error():
    rig = Rig()
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
    error = error_of(create(rig, user(image)))
    assert error["code"] == "unsupported_value"
    assert "omni-mini takes text and audio" in error["message"]


def test_audio_for_a_text_model_gets_the_capability_error():
    profile = ModelProfile(model_id="t", inputs=("text",), voices=(), instructions="")
    error = error_of(create(Rig(profile=profile), user(AUDIO)))
    assert error["code"] == "unsupported_value"
    assert "t takes text" in error["message"]


def test_a_duplicate_id():
    rig = Rig()
    rig.add(id="mine")
    error = error_of(create(rig, text_item(id="mine"), event_id="e"))
    assert (error["code"], error["event_id"]) == ("item_create_duplicate_item_id", "e")


def test_an_unknown_predecessor():
    error = error_of(create(Rig(), text_item(), previous_item_id="nope"))
    assert error["param"] == "previous_item_id"
    assert "'nope'" in error["message"]


def test_items_are_bounded():
    rig = Rig(limits=Limits(max_items=2))
    rig.add()
    rig.add()
    error = error_of(create(rig, text_item()))
    assert error["code"] == "conversation_full"
    assert "2 items (max_items)" in error["message"]
    assert kinds(rig.send("response.create")) == ["error"]


def test_text_is_bounded_over_all_parts():
    rig = Rig(limits=Limits(max_text_chars=10))
    half = {"type": "input_text", "text": "x" * 6}
    error = error_of(create(rig, user(half, half)))
    assert "12 characters" in error["message"]
    assert "10 (max_text_chars)" in error["message"]


@pytest.mark.parametrize(
    ("role", "part"),
    [
        ("user", {"type": "input_audio", "audio": b64(tone(LOUD, 200)), "transcript": "x" * 11}),
        ("user", {"type": "input_audio", "transcript": "x" * 11}),
        ("assistant", {"type": "output_audio", "transcript": "x" * 11}),
    ],
)
def test_a_transcript_is_text_of_its_item(role, part):
    rig = Rig(limits=Limits(max_text_chars=10))
    error = error_of(create(rig, {"type": "message", "role": role, "content": [part]}))
    assert (error["code"], error["param"]) == ("string_above_max_length", "item.content")
    assert "10 (max_text_chars)" in error["message"]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "function_call", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "output": "o"},
    ],
)
def test_the_id_of_a_call_is_bounded(item):
    rig = Rig(limits=Limits(max_id_chars=10))
    own = {"conversation": "none", "output_modalities": ["text"]}
    item = {**item, "call_id": "x" * 11}
    error = error_of(rig.send("response.create", response={**own, "input": [item]}))
    assert (error["code"], error["param"]) == (
        "string_above_max_length",
        "response.input[0].call_id",
    )
    assert "10 (max_id_chars)" in error["message"]
    assert kinds(create(rig, item)) == ["error"]


def test_audio_of_an_item_is_bounded():
    rig = Rig(limits=Limits(max_turn_ms=1000))
    part = {"type": "input_audio", "audio": b64(tone(LOUD, 1001))}
    error = error_of(create(rig, user(part)))
    assert "1001ms" in error["message"]
    assert "1000ms (max_turn_ms)" in error["message"]


def test_manual_is_the_rigs_word_for_no_turn_detection():
    assert Rig().update(MANUAL)["audio"]["input"]["turn_detection"] is None


def test_a_spoken_item_follows_the_input_format_of_the_session():
    from streaming.media.formats import PCMU

    rig = Rig(session={"audio": {"input": {"format": {"type": "audio/pcmu"}}}})
    part = {"type": "input_audio", "audio": b64(tone(LOUD, 500, PCMU))}
    create(rig, user(part))
    (command,) = rig.take_commands()
    assert len(command.parts[0].pcm) == 8000 * 4
