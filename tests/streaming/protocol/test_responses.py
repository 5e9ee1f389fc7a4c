"""Responses: the life cycle in order, options, cancelling, failing."""

import base64

import pytest

from streaming.protocol.commands import CancelResponse, DeleteItem, StartResponse, TruncateItem
from streaming.protocol.engine_events import EngineFault, Failure, ReplyAudio, ReplyText
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.response_phases import TRANSITIONS, Phase, Signal
from tests.streaming.protocol.rig import LOUD, Rig, error_of, kinds, tone

OPENED = [
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
SPOKEN_CLOSED = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]
TRANSCRIPT, AUDIO = "response.output_audio_transcript.delta", "response.output_audio.delta"
WRITTEN = {"output_modalities": ["text"]}


# --- the life cycle -------------------------------------------------------------------------


def test_a_spoken_response_in_the_order_that_clients_rely_on():
    rig = Rig()
    response_id, item_id = rig.respond()
    events = rig.speak(response_id, "Hello ")
    events += rig.speak(response_id, "there.")
    events += rig.done(response_id)
    assert kinds(events) == [*OPENED, TRANSCRIPT, AUDIO, TRANSCRIPT, AUDIO, *SPOKEN_CLOSED]
    for event in events:
        inside = event.get("response", {"id": event.get("response_id", response_id)})
        assert inside["id"] == response_id
        assert event.get("item_id", item_id) == item_id


def test_what_the_events_of_a_spoken_response_say():
    rig = Rig()
    response_id, item_id = rig.respond()
    opened = rig.speak(response_id, "Hello.")
    assert opened[0]["item"]["content"] == []
    assert opened[0]["item"]["status"] == "in_progress"
    assert opened[2]["part"] == {"type": "audio", "transcript": ""}
    closed = {event["type"]: event for event in rig.done(response_id)}
    assert closed["response.output_audio_transcript.done"]["transcript"] == "Hello."
    assert closed["response.content_part.done"]["part"]["transcript"] == "Hello."
    item = {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_audio", "transcript": "Hello."}],
    }
    assert closed["response.output_item.done"]["item"] == item
    assert closed["conversation.item.done"]["item"] == item
    assert closed["response.done"]["response"]["output"] == [item]


def test_a_written_response():
    rig = Rig()
    response_id, _ = rig.respond(**WRITTEN)
    events = rig.engine(ReplyText(response_id=response_id, text="Hello."))
    assert events[2]["part"] == {"type": "text", "text": ""}
    events += rig.done(response_id)
    assert kinds(events) == [
        *OPENED,
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    (item,) = events[-1]["response"]["output"]
    assert item["content"] == [{"type": "output_text", "text": "Hello."}]


def test_sound_may_come_before_words():
    rig = Rig()
    response_id, _ = rig.respond()
    events = rig.engine(ReplyAudio(response_id=response_id, pcm=tone(LOUD, 20)))
    events += rig.engine(ReplyText(response_id=response_id, text="Ah"))
    assert kinds(events) == [*OPENED, AUDIO, TRANSCRIPT]


def test_sound_is_passed_on_byte_for_byte():
    rig = Rig()
    response_id, _ = rig.respond()
    audio = tone(LOUD, 300)
    sent = b""
    for at in range(0, len(audio), 1000):
        events = rig.engine(ReplyAudio(response_id=response_id, pcm=audio[at : at + 1000]))
        sent += b"".join(base64.b64decode(e["delta"]) for e in events if e["type"] == AUDIO)
    assert sent == audio


@pytest.mark.parametrize("wire", ["audio/pcmu", "audio/pcma"])
def test_telephone_sound_is_as_long_as_it_was(wire):
    rig = Rig(session={"audio": {"output": {"format": {"type": wire}}}})
    response_id, _ = rig.respond()
    events = rig.speak(response_id, ms=990) + rig.done(response_id)
    assert kinds(events)[-7:] == [AUDIO, *SPOKEN_CLOSED], "the tail comes before the end"
    sent = sum(len(base64.b64decode(e["delta"])) for e in events if e["type"] == AUDIO)
    assert sent == 990 * 8
    assert events[-1]["response"]["audio"]["output"]["format"] == {"type": wire}


def test_nothing_of_nothing():
    rig = Rig()
    response_id, _ = rig.respond()
    assert rig.engine(ReplyText(response_id=response_id, text="")) == []
    assert rig.engine(ReplyAudio(response_id=response_id, pcm=b"")) == []
    events = rig.done(response_id)
    assert kinds(events) == ["response.done"]
    assert events[0]["response"]["output"] == []
    assert rig.add()["id"], "and its place in the history is free"
    assert rig.take_commands()[-1].previous_item_id is None


def test_usage_adds_up():
    rig = Rig()
    response_id, _ = rig.respond()
    usage = rig.done(response_id)[-1]["response"]["usage"]
    assert usage == {
        "total_tokens": 85,
        "input_tokens": 57,
        "output_tokens": 28,
        "input_token_details": {
            "text_tokens": 7,
            "audio_tokens": 50,
            "image_tokens": 0,
            "cached_tokens": 5,
            "cached_tokens_details": {"text_tokens": 5, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": 3, "audio_tokens": 25},
    }


def test_a_reply_can_be_retrieved_while_it_is_made():
    rig = Rig()
    response_id, item_id = rig.respond()
    rig.speak(response_id, "So far")
    (event,) = rig.send("conversation.item.retrieve", item_id=item_id)
    assert event["item"]["status"] == "in_progress"
    assert event["item"]["content"][0]["transcript"] == "So far"


def test_a_reply_follows_what_it_answers():
    rig = Rig()
    question = rig.add()["id"]
    response_id, item_id = rig.respond()
    events = rig.speak(response_id)
    assert events[1]["previous_item_id"] == question
    added = rig.add(text="meanwhile")
    assert rig.take_commands()[-1].previous_item_id == item_id
    assert added["id"] != item_id


# --- options --------------------------------------------------------------------------------


def test_options_come_from_the_session():
    rig = Rig(session={"max_output_tokens": 99, "output_modalities": ["text"]})
    (created,) = rig.send("response.create")
    assert created["response"]["max_output_tokens"] == 99
    assert created["response"]["output_modalities"] == ["text"]
    (start,) = rig.take_commands()
    assert (start.modality, start.max_output_tokens, start.instructions) == ("text", 99, None)


def test_a_response_has_its_own_options():
    rig = Rig(session={"max_output_tokens": 99})
    (created,) = rig.send(
        "response.create",
        response={
            "conversation": "auto",
            "instructions": "Sing.",
            "max_output_tokens": "inf",
            "metadata": {"client_event_id": "x"},
            "output_modalities": ["audio"],
            "audio": {"output": {"voice": "other"}},
            "tools": [],
            "tool_choice": "auto",
        },
    )
    response = created["response"]
    assert response["metadata"] == {"client_event_id": "x"}
    assert response["max_output_tokens"] == "inf"
    assert response["audio"]["output"]["voice"] == "other"
    (start,) = rig.take_commands()
    assert (start.instructions, start.max_output_tokens, start.voice) == ("Sing.", None, "other")
    assert rig.done(start.response_id)[-1]["response"]["metadata"] == {"client_event_id": "x"}


WRONG = [
    ({"modalities": ["text"]}, "unknown_parameter", "response.modalities"),
    (
        {"output_modalities": ["text", "audio"]},
        "array_above_max_length",
        "response.output_modalities",
    ),
    ({"max_output_tokens": 5000}, "integer_above_max_value", "response.max_output_tokens"),
    ({"metadata": {"k": 1}}, "invalid_type", "response.metadata.k"),
    ({"metadata": {str(n): "" for n in range(17)}}, "array_above_max_length", "response.metadata"),
    ({"audio": {"output": {"voice": "nobody"}}}, "invalid_value", "response.audio.output.voice"),
    ({"conversation": "other"}, "invalid_value", "response.conversation"),
    ({"input": []}, "unsupported_value", "response.input"),
    ({"prompt": {"id": "p"}}, "unsupported_value", "response.prompt"),
    ({"tools": [{"type": "function"}]}, "missing_required_parameter", "response.tools[0].name"),
    ({"tool_choice": "required"}, "invalid_value", "response.tool_choice"),
]


@pytest.mark.parametrize(("response", "code", "param"), WRONG)
def test_a_wrong_option_is_named_and_nothing_starts(response, code, param):
    rig = Rig()
    error = error_of(rig.send("response.create", event_id="mine", response=response))
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
    assert rig.take_commands() == []


def test_a_model_without_a_voice_writes():
    profile = ModelProfile(model_id="t", inputs=("text",), voices=(), instructions="")
    rig = Rig(profile=profile)
    response = {"output_modalities": ["audio"]}
    error = error_of(rig.send("response.create", response=response))
    assert error["param"] == "response.output_modalities"
    rig.respond()


# --- one at a time --------------------------------------------------------------------------


def test_what_a_response_cannot_do_is_said_in_it():
    rig = Rig()
    format_ = {"type": "audio/pcmu"}
    (created,) = rig.send(
        "response.create",
        response={"reasoning": {"effort": "low"}, "audio": {"output": {"format": format_}}},
    )
    assert created["response"]["x_not_applied"] == ["reasoning"]
    done = rig.done(created["response"]["id"])[-1]
    assert done["response"]["x_not_applied"] == ["reasoning"]
    (created,) = rig.send("response.create")
    assert created["response"]["x_not_applied"] == []


def test_instructions_of_one_response_are_bounded_as_the_sessions_are():
    rig = Rig(limits=Limits(max_text_chars=10))
    error = error_of(rig.send("response.create", response={"instructions": "x" * 11}))
    assert (error["code"], error["param"]) == ("string_above_max_length", "response.instructions")
    assert "10 (max_text_chars)" in error["message"]


def test_a_second_response_is_refused():
    rig = Rig()
    response_id, _ = rig.respond()
    error = error_of(rig.send("response.create", event_id="mine"))
    assert error["code"] == "conversation_already_has_active_response"
    assert response_id in error["message"]
    assert error["event_id"] == "mine"
    rig.done(response_id)
    rig.respond()


def test_cancel():
    rig = Rig()
    response_id, item_id = rig.respond()
    rig.speak(response_id, "Hello.")
    assert rig.send("response.cancel") == []
    assert rig.take_commands() == [CancelResponse(response_id=response_id, heard_ms=None)]
    events = rig.done(response_id, "cancelled")
    assert kinds(events) == SPOKEN_CLOSED
    response = events[-1]["response"]
    assert response["status"] == "cancelled"
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["output"][0]["id"] == item_id


def test_nothing_is_heard_after_a_cancel():
    rig = Rig()
    response_id, _ = rig.respond()
    rig.speak(response_id)
    rig.send("response.cancel", response_id=response_id)
    assert rig.speak(response_id) == []


def test_cancelling_twice_changes_nothing():
    rig = Rig()
    rig.respond()
    rig.send("response.cancel")
    rig.take_commands()
    assert rig.send("response.cancel") == []
    assert rig.take_commands() == []


@pytest.mark.parametrize("fields", [{}, {"response_id": "resp_nope"}])
def test_cancel_of_nothing(fields):
    error = error_of(Rig().send("response.cancel", event_id="mine", **fields))
    assert error["code"] == "response_cancel_not_active"
    assert error["message"].startswith("Cancellation failed")
    assert error["event_id"] == "mine"


def test_cancel_of_another_response_leaves_the_running_one():
    rig = Rig()
    response_id, _ = rig.respond()
    error = error_of(rig.send("response.cancel", response_id="resp_nope"))
    assert error["code"] == "response_cancel_not_active"
    assert rig.done(response_id)[-1]["response"]["status"] == "completed"


def test_a_response_may_be_asked_for_while_the_last_is_cancelled():
    rig = Rig()
    first, _ = rig.respond()
    rig.send("response.cancel")
    assert rig.send("response.create", event_id="two") == []
    error = error_of(rig.send("response.create", event_id="three"))
    assert error["code"] == "conversation_already_has_active_response"
    rig.take_commands()
    assert kinds(rig.done(first, "cancelled")) == ["response.done", "response.created"]
    assert isinstance(rig.take_commands()[-1], StartResponse)


def test_a_waiting_response_can_be_cancelled_too_and_both_are_told():
    rig = Rig()
    first, _ = rig.respond()
    rig.send("response.cancel")
    rig.send("response.create")
    rig.send("response.cancel")
    rig.take_commands()
    events = rig.done(first, "cancelled")
    assert kinds(events) == ["response.done", "response.created", "response.done"]
    done = events[-1]["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert done["id"] == events[1]["response"]["id"] != first
    assert not [c for c in rig.take_commands() if isinstance(c, StartResponse)]
    rig.respond()


def test_a_cancelled_reply_is_cut_to_what_was_sent():
    # The Thinker is ahead of the sound: the engine's history holds words that nobody heard.
    rig = Rig()
    response_id, item_id = rig.respond()
    rig.speak(response_id, "Heard and not yet heard", ms=1000)
    rig.send("response.cancel")
    rig.take_commands()
    rig.done(response_id, "cancelled")
    assert rig.take_commands() == [TruncateItem(item_id=item_id, audio_end_ms=1000)]


def test_a_reply_that_ended_before_the_engine_saw_the_cancel():
    # The client got one second of it, so history may hold no more than that.
    rig = Rig()
    response_id, item_id = rig.respond()
    rig.speak(response_id, ms=1000)
    rig.send("response.cancel")
    rig.take_commands()
    events = rig.speak(response_id, ms=5000) + rig.done(response_id, "completed")
    assert events[-1]["response"]["status"] == "cancelled"
    assert rig.take_commands() == [TruncateItem(item_id=item_id, audio_end_ms=1000)]


def test_a_reply_of_which_nothing_was_sent_leaves_nothing():
    rig = Rig()
    response_id, item_id = rig.respond()
    rig.send("response.cancel")
    rig.take_commands()
    events = rig.speak(response_id) + rig.done(response_id, "completed")
    assert kinds(events) == ["response.done"]
    assert events[0]["response"]["output"] == []
    assert rig.take_commands() == [DeleteItem(item_id=item_id)]


def test_written_words_that_were_under_way_still_arrive():
    # A cancel silences speech at once; text that the engine has written stays in both histories.
    rig = Rig()
    response_id, _ = rig.respond(**WRITTEN)
    rig.engine(ReplyText(response_id=response_id, text="One "))
    rig.send("response.cancel")
    events = rig.engine(ReplyText(response_id=response_id, text="two."))
    assert kinds(events) == ["response.output_text.delta"]
    response = rig.done(response_id, "completed")[-1]["response"]
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["text"] == "One two."


# --- other ends -----------------------------------------------------------------------------


def test_incomplete():
    rig = Rig()
    response_id, _ = rig.respond()
    rig.speak(response_id)
    response = rig.done(response_id, "incomplete", reason="max_output_tokens")[-1]["response"]
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"


def test_a_reason_that_clients_do_not_know_stands_beside_one_that_they_do():
    rig = Rig()
    response_id, _ = rig.respond()
    response = rig.done(response_id, "incomplete", reason="context_full")[-1]["response"]
    assert response["status_details"] == {
        "type": "incomplete",
        "reason": "max_output_tokens",
        "x_reason": "context_full",
    }


@pytest.mark.parametrize("failure", [Failure(code="context_full", message="8192 tokens"), None])
def test_failed(failure):
    rig = Rig()
    response_id, _ = rig.respond()
    response = rig.done(response_id, "failed", failure=failure)[-1]["response"]
    assert response["status"] == "failed"
    error = response["status_details"]["error"]
    assert error["code"] == (failure.code if failure else "server_error")


def test_what_comes_for_no_running_response_is_left_alone():
    rig = Rig()
    assert rig.speak("resp_nope") == []
    response_id, _ = rig.respond()
    rig.done(response_id)
    assert rig.speak(response_id) == []


def test_the_engine_is_lost():
    rig = Rig(session={"audio": {"input": {"transcription": {"model": "m"}}}})
    item_id = rig.spoken_reply()
    truncate = {"item_id": item_id, "content_index": 0, "audio_end_ms": 10}
    assert rig.send("conversation.item.truncate", event_id="cut", **truncate) == []
    response_id, _ = rig.respond()
    rig.speak(response_id)
    rig.send("response.cancel")
    rig.send("response.create")
    failure = Failure(code="engine_lost", message="The engine process ended.")
    events = rig.engine(EngineFault(failure=failure))
    ends = [e["response"]["status"] for e in events if e["type"] == "response.done"]
    assert ends == ["failed", "failed"]
    errors = [e["error"] for e in events if e["type"] == "error"]
    assert [error["event_id"] for error in errors] == ["cut", None]
    assert {error["type"] for error in errors} == {"server_error"}
    assert rig.take_commands() == [], "there is nobody to carry them out"
    error = error_of(rig.send("response.create", event_id="later"))
    assert (error["code"], error["event_id"]) == ("conversation_lost", "later")


def test_a_fault_that_is_not_fatal_is_told_and_the_session_lives():
    rig = Rig()
    fault = EngineFault(
        failure=Failure(code="invalid_content", message="no"), item_id="x", fatal=False
    )
    error = error_of(rig.engine(fault))
    assert (error["type"], error["code"]) == ("server_error", "invalid_content")
    rig.respond()


def test_an_item_that_the_engine_refuses_leaves_the_history():
    rig = Rig()
    for item_id in ("a", "b"):
        rig.add(id=item_id)
    fault = EngineFault(failure=Failure(code="capacity", message="full"), item_id="b", fatal=False)
    error, deleted = rig.engine(fault)
    assert error["error"]["code"] == "capacity"
    assert (deleted["type"], deleted["item_id"]) == ("conversation.item.deleted", "b")
    rig.take_commands()
    rig.add()
    assert rig.take_commands()[-1].previous_item_id == "a"


# --- the table ------------------------------------------------------------------------------


def test_the_table_lets_nothing_follow_the_end():
    assert not [pair for pair in TRANSITIONS if pair[0] is Phase.DONE]
    assert {pair[0] for pair in TRANSITIONS} == set(Phase) - {Phase.DONE}
    for phase in set(Phase) - {Phase.DONE}:
        assert TRANSITIONS[phase, Signal.END] is Phase.DONE
        assert TRANSITIONS[phase, Signal.CANCEL] is Phase.CANCELLING


@pytest.mark.parametrize(("speed", "ms"), [(0.5, 2000), (1.5, 667), (1.0, 1000)])
def test_speech_at_another_speed(speed, ms):
    rig = Rig(session={"audio": {"output": {"speed": speed}}})
    response_id, _ = rig.respond()
    events = rig.speak(response_id, ms=1000) + rig.done(response_id)
    sound = b"".join(
        base64.b64decode(e["delta"]) for e in events if e["type"] == "response.output_audio.delta"
    )
    assert len(sound) / 48 == pytest.approx(ms, abs=1)
