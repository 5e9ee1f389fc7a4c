"""Function tools: what the engine is told, the order of a call's events, and its result."""

import json

import pytest

from streaming.protocol.commands import (
    CreateItem,
    DeleteItem,
    StartResponse,
    ToolCallPart,
    ToolResultPart,
    UpdateInstructions,
)
from streaming.protocol.engine_events import ReplyAudio, ReplyCall, ReplyCallDone, ReplyText
from streaming.protocol.limits import Limits
from streaming.protocol.outbox import ID_CHARS, random_id
from tests.streaming.protocol.rig import LOUD, Rig, error_of, kinds, tone

WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Says the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
TIME = {"type": "function", "name": "time"}
ARGUMENTS = '{"city": "Paris"}'


def with_tools(**session):
    return Rig(session={"tools": [WEATHER, TIME], **session})


def call(rig, response_id, item_id="c0", *, complete=True, pieces=('{"city": ', '"Paris"}')):
    fields = {"response_id": response_id, "item_id": item_id, "name": "weather"}
    events = rig.engine(ReplyCall(**fields, arguments=""))
    for piece in pieces:
        events += rig.engine(ReplyCall(**fields, arguments=piece))
    done = ReplyCallDone(**fields, arguments="".join(pieces), complete=complete)
    return events + rig.engine(done)


def test_the_engine_is_told_of_tools_in_the_form_of_the_template():
    rig = Rig()
    session = rig.update({"type": "realtime", "tools": [WEATHER, TIME]})
    assert session["tools"] == [WEATHER, TIME]
    (update,) = rig.take_commands()
    assert isinstance(update, UpdateInstructions)
    assert update.instructions == "Be brief."
    function = {key: WEATHER[key] for key in ("name", "description", "parameters")}
    assert json.loads(update.tools[0]) == {"type": "function", "function": function}
    assert json.loads(update.tools[1])["function"] == {"name": "time"}
    assert rig.session.tools == update.tools
    rig.update({"type": "realtime", "tools": []})
    (update,) = rig.take_commands()
    assert (update.instructions, update.tools) == ("Be brief.", ())


def test_a_tool_without_a_type_is_a_function():
    rig = Rig()
    session = rig.update({"type": "realtime", "tools": [{"name": "time"}]})
    assert session["tools"] == [TIME]
    (update,) = rig.take_commands()
    assert json.loads(update.tools[0]) == {"type": "function", "function": {"name": "time"}}


@pytest.mark.parametrize(
    ("choice", "expected", "function"),
    [
        ("auto", "auto", None),
        ("none", "none", None),
        ("required", "required", None),
        ({"type": "function", "name": "time"}, "required", "time"),
    ],
)
def test_the_choice_goes_to_the_engine(choice, expected, function):
    rig = with_tools(tool_choice=choice)
    rig.send("response.create")
    (start,) = rig.take_commands()
    assert (start.tools, start.tool_choice, start.function) == (None, expected, function)


@pytest.mark.parametrize(
    ("session", "response", "several"),
    [
        (None, None, True),
        (False, None, False),
        (True, None, True),
        (None, False, False),
        (False, True, True),
        (True, False, False),
    ],
)
def test_whether_there_may_be_several_calls_goes_to_the_engine(session, response, several):
    rig = with_tools(parallel_tool_calls=session)
    wishes = {} if response is None else {"parallel_tool_calls": response}
    rig.send("response.create", response=wishes)
    (start,) = rig.take_commands()
    assert start.parallel_tool_calls is several


def test_tools_that_must_be_called_may_come_later():
    rig = Rig()
    assert rig.update({"type": "realtime", "tool_choice": "required"})["tool_choice"] == "required"
    rig.send("response.create")
    assert rig.take_commands()[-1].tool_choice == "auto", "there are none yet"
    rig = Rig()
    rig.update({"type": "realtime", "tool_choice": "required"})
    rig.update({"type": "realtime", "tools": [TIME]})
    rig.send("response.create")
    assert rig.take_commands()[-1].tool_choice == "required"


def test_ids_are_no_longer_than_kits_take_them():
    assert len({random_id("call") for _ in range(1000)}) == 1000
    assert {len(random_id(prefix)) for prefix in ("call", "item", "resp", "conv")} == {ID_CHARS}


def test_there_may_be_so_many():
    rig, two = Rig(limits=Limits(max_tools=1)), [TIME, WEATHER]
    for under, events in (
        ("session", rig.send("session.update", session={"type": "realtime", "tools": two})),
        ("response", rig.send("response.create", response={"tools": two})),
    ):
        error = error_of(events)
        assert (error["code"], error["param"]) == ("array_above_max_length", f"{under}.tools")
        assert "1 (max_tools)" in error["message"]
    rig.update({"type": "realtime", "tools": [TIME]})
    rig.respond(tools=[WEATHER])


@pytest.mark.parametrize(
    ("choice", "tools", "left"),
    [
        ({"type": "function", "name": "time"}, [WEATHER], "auto"),
        ({"type": "function", "name": "time"}, [], "auto"),
        ({"type": "function", "name": "time"}, None, "auto"),
        ({"type": "function", "name": "time"}, [TIME], {"type": "function", "name": "time"}),
        ("required", [], "required"),
        ("required", [TIME], "required"),
        ("none", [], "none"),
    ],
)
def test_a_choice_does_not_outlive_the_tools_it_was_made_among(choice, tools, left):
    rig = with_tools(tool_choice=choice)
    session = rig.update({"type": "realtime", "tools": tools})
    assert (session["tools"], session["tool_choice"]) == (tools or [], left)


def test_a_choice_that_comes_with_its_tools_must_be_among_them():
    rig = with_tools()
    wanted = {"tools": [TIME], "tool_choice": {"type": "function", "name": "weather"}}
    error = error_of(rig.send("session.update", session={"type": "realtime", **wanted}))
    assert error["param"] == "session.tool_choice.name"


def test_a_response_has_tools_of_its_own():
    rig = with_tools(tool_choice={"type": "function", "name": "weather"})
    rig.send("response.create", response={"tools": [TIME]})
    (start,) = rig.take_commands()
    assert isinstance(start, StartResponse)
    assert [json.loads(text)["function"]["name"] for text in start.tools] == ["time"]
    assert (start.tool_choice, start.function) == ("auto", None)


CALL_ORDER = [
    "response.output_item.added",
    "conversation.item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
    "conversation.item.done",
]


def test_a_calls_events_in_order():
    rig = with_tools()
    response_id, _ = rig.respond()
    *events, end = call(rig, response_id) + rig.done(response_id)
    assert kinds(events) == CALL_ORDER
    assert events[0]["item"] == {**events[1]["item"], "status": "in_progress", "arguments": ""}
    done = events[4]
    assert (done["name"], done["arguments"], done["output_index"]) == ("weather", ARGUMENTS, 0)
    assert done["call_id"] == events[0]["item"]["call_id"]
    (item,) = end["response"]["output"]
    assert (item["type"], item["status"], item["arguments"]) == (
        "function_call",
        "completed",
        ARGUMENTS,
    )


def test_the_end_of_a_call_is_told_with_the_end_of_its_response():
    # Kits answer at output_item.done, and a response.create before response.done is refused.
    rig = with_tools()
    response_id, _ = rig.respond()
    told = call(rig, response_id)
    assert kinds(told) == CALL_ORDER[:4], "its arguments are told as they come"
    assert kinds(rig.done(response_id)) == [*CALL_ORDER[4:], "response.done"]
    result = {"type": "function_call_output", "call_id": told[0]["item"]["call_id"], "output": "x"}
    assert len(rig.send("conversation.item.create", item=result)) == 2
    rig.respond()


def test_the_end_of_a_call_is_told_before_the_next_call():
    rig = with_tools()
    response_id, _ = rig.respond()
    call(rig, response_id)
    events = call(rig, response_id, "c1")
    assert kinds(events) == [*CALL_ORDER[4:], *CALL_ORDER[:4]]
    assert [e["item_id"] for e in events if "item_id" in e] == ["c0", "c1", "c1"]
    ended = rig.done(response_id)
    assert kinds(ended) == [*CALL_ORDER[4:], "response.done"]
    assert [item["status"] for item in ended[-1]["response"]["output"]] == ["completed"] * 2


def test_the_sound_of_words_before_a_call_does_not_end_it():
    rig = with_tools()
    response_id, _ = rig.respond()
    rig.speak(response_id, "I look.", 100)
    call(rig, response_id)
    late = rig.engine(ReplyAudio(response_id=response_id, pcm=tone(LOUD, 100)))
    assert set(kinds(late)) == {"response.output_audio.delta"}
    ended = kinds(rig.done(response_id))
    message_done = ended.index("response.output_item.done")
    assert ended[message_done + 2 :] == [*CALL_ORDER[4:], "response.done"]


def test_a_call_that_was_over_when_its_response_was_cancelled_is_complete():
    rig = with_tools()
    response_id, _ = rig.respond()
    call(rig, response_id)
    assert rig.send("response.cancel") == []
    assert call(rig, response_id, "c1") == []
    ended = rig.done(response_id, "cancelled")
    assert kinds(ended) == [*CALL_ORDER[4:], "response.done"]
    (item,) = ended[-1]["response"]["output"]
    assert (item["id"], item["status"]) == ("c0", "completed")


def test_a_reply_that_only_calls_leaves_no_message():
    rig = with_tools()
    response_id, item_id = rig.respond()
    call(rig, response_id)
    rig.done(response_id)
    assert rig.take_commands() == [DeleteItem(item_id=item_id)]
    (shown,) = rig.send("conversation.item.retrieve", item_id="c0")
    assert shown["item"]["name"] == "weather"


def test_words_come_before_the_call_and_keep_their_place():
    rig = with_tools()
    response_id, item_id = rig.respond()
    rig.speak(response_id, "I look.")
    events = call(rig, response_id) + call(rig, response_id, "c1")
    added = [e for e in events if e["type"] == "conversation.item.added"]
    assert [e["previous_item_id"] for e in added] == [item_id, "c0"]
    assert {e["output_index"] for e in events if "output_index" in e} == {1, 2}
    late = rig.speak(response_id, "")
    assert {e["output_index"] for e in late} == {0}
    end = rig.done(response_id)[-1]["response"]
    assert [item["id"] for item in end["output"]] == [item_id, "c0", "c1"]


def test_words_after_the_call_are_told_behind_it():
    rig = with_tools(output_modalities=["text"])
    response_id, _ = rig.respond()
    call(rig, response_id)
    events = rig.engine(ReplyText(response_id=response_id, text="So."))
    assert kinds(events[:3]) == CALL_ORDER[4:]
    assert events[3]["output_index"] == 1
    assert events[4]["previous_item_id"] is None  # the message's place is before its calls


def test_a_result_continues_the_turn():
    rig = with_tools()
    response_id, _ = rig.respond()
    call_id = call(rig, response_id)[0]["item"]["call_id"]
    rig.done(response_id)
    rig.take_commands()
    result = {"type": "function_call_output", "call_id": call_id, "output": "18 degrees"}
    added, done = rig.send("conversation.item.create", item=result)
    assert (added["item"]["output"], added["previous_item_id"]) == ("18 degrees", "c0")
    assert done["item"]["status"] == "completed"
    (create,) = rig.take_commands()
    assert create == CreateItem(
        item_id=added["item"]["id"],
        previous_item_id="c0",
        role="user",
        parts=(ToolResultPart(output="18 degrees"),),
    )
    rig.respond()


def test_a_client_brings_calls_of_its_own():
    rig = with_tools()
    item = {"type": "function_call", "name": "weather", "arguments": ARGUMENTS, "call_id": "k"}
    added, _ = rig.send("conversation.item.create", item=item)
    assert added["item"]["call_id"] == "k"
    (create,) = rig.take_commands()
    assert create.parts == (ToolCallPart(name="weather", arguments=ARGUMENTS),)
    assert create.role == "assistant"
    result = {"type": "function_call_output", "call_id": "k", "output": "x"}
    assert len(rig.send("conversation.item.create", item=result)) == 2


def test_a_result_of_no_call_is_refused_by_name():
    rig = with_tools()
    result = {"type": "function_call_output", "call_id": "nobody", "output": "x"}
    error = error_of(rig.send("conversation.item.create", item=result))
    assert error["code"] == "invalid_tool_call_id"
    assert "'nobody'" in error["message"]


def test_a_call_that_is_broken_off_is_incomplete():
    rig = with_tools()
    response_id, _ = rig.respond()
    call(rig, response_id, complete=False, pieces=('{"city',))
    events = rig.done(response_id, "incomplete", reason="max_output_tokens")
    assert events[-2]["item"]["status"] == "incomplete"
    assert events[-1]["response"]["output"][0]["arguments"] == '{"city'


def test_a_call_still_open_is_closed_when_the_engine_is_lost():
    rig = with_tools()
    response_id, _ = rig.respond()
    fields = {"response_id": response_id, "item_id": "c0", "name": "weather"}
    rig.engine(ReplyCall(**fields, arguments='{"'))
    events = rig.done(response_id, "failed")
    assert "response.function_call_arguments.done" in kinds(events)
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"


def test_after_a_cancel_no_new_call_is_told_and_the_engine_drops_it():
    rig = with_tools()
    response_id, item_id = rig.respond()
    rig.send("response.cancel")
    rig.take_commands()
    assert call(rig, response_id) == []
    (end,) = rig.done(response_id, "cancelled")
    assert end["response"]["output"] == []
    assert set(rig.take_commands()) == {DeleteItem(item_id=item_id), DeleteItem(item_id="c0")}


def test_a_call_under_way_cannot_be_deleted():
    rig = with_tools()
    response_id, _ = rig.respond()
    call(rig, response_id)
    error = error_of(rig.send("conversation.item.delete", item_id="c0"))
    assert "still being made" in error["message"]
    rig.done(response_id)
    rig.take_commands()
    rig.send("conversation.item.delete", item_id="c0")
    assert rig.take_commands() == [DeleteItem(item_id="c0")]


def test_a_told_call_of_a_cancelled_response_is_deleted_at_its_end():
    rig = with_tools()
    response_id, _ = rig.respond()
    call(rig, response_id)
    rig.send("response.cancel")
    assert rig.send("conversation.item.delete", item_id="c0") == []
    assert kinds(rig.done(response_id, "cancelled"))[-1] == "conversation.item.deleted"
    assert rig.take_commands()[-1] == DeleteItem(item_id="c0")
