"""Responses outside the conversation: what they read, what they leave, and that others go on."""

from streaming.media.mouth import Mouth
from streaming.protocol.commands import Aside, CopyItem, CreateItem, OpenAside, StartResponse
from streaming.protocol.engine_events import Failure, ReplyDone, ReplyText, ReplyUsage
from streaming.protocol.limits import Limits
from tests.streaming.protocol.rig import Rig, error_of, kinds, text_item

ASIDE = {"conversation": "none", "output_modalities": ["text"], "metadata": {"topic": "x"}}


def ask(rig, **response):
    (created,) = rig.send("response.create", response={**ASIDE, **response})
    assert created["type"] == "response.created", created
    return created["response"], rig.take_commands()


def test_it_reads_the_conversation_and_is_no_part_of_it():
    rig = Rig()
    item = rig.add()
    rig.take_commands()
    response, (opening, start) = ask(rig, instructions="Sum up.")
    name = response["id"]
    assert response["conversation_id"] is None
    assert response["metadata"] == {"topic": "x"}
    assert opening == OpenAside(
        response_id=name, instructions="Sum up.", tools=None, voice="ljs", copies_items=True
    )
    assert isinstance(start, Aside)
    assert isinstance(start.command, StartResponse)
    events = rig.engine(ReplyText(response_id=name, text="Hi."))
    events += rig.done(name)
    assert not [kind for kind in kinds(events) if kind.startswith("conversation.")]
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Hi."
    assert rig.take_commands() == []
    assert rig.add(id="next")["id"] == "next"
    assert rig.take_commands()[-1].previous_item_id == item["id"]


def test_its_own_input_is_new_items_and_references_in_order():
    rig = Rig()
    known = rig.add()["id"]
    rig.take_commands()
    given = [{"type": "item_reference", "id": known}, text_item(), {"id": known}]
    _, (opening, *rest) = ask(rig, input=given)
    assert not opening.copies_items
    *inputs, start = [command.command for command in rest]
    assert [type(command) for command in inputs] == [CopyItem, CreateItem, CopyItem]
    assert inputs[0].source_item_id == known
    assert inputs[1].previous_item_id == inputs[0].item_id
    assert isinstance(start, StartResponse)


def test_no_input_at_all_is_not_the_conversation():
    _, (opening, start) = ask(Rig(), input=[])
    assert not opening.copies_items
    assert isinstance(start.command, StartResponse)


def test_it_runs_beside_the_conversations_own():
    rig = Rig()
    own, _ = rig.respond()
    response, _ = ask(rig)
    assert kinds(rig.speak(own))
    rig.engine(ReplyText(response_id=response["id"], text="Hi."))
    assert rig.done(own)[-1]["response"]["id"] == own
    assert rig.done(response["id"])[-1]["response"]["id"] == response["id"]


def test_only_its_id_cancels_it():
    rig = Rig()
    response, _ = ask(rig)
    assert error_of(rig.send("response.cancel"))["code"] == "response_cancel_not_active"
    assert rig.send("response.cancel", response_id=response["id"]) == []
    (command,) = rig.take_commands()
    assert command.command.response_id == response["id"]
    (end,) = rig.done(response["id"], "cancelled")
    assert end["response"]["status"] == "cancelled"


def test_speech_of_its_own_mouth():
    rig = Rig(new_mouth=Mouth)
    own, _ = rig.respond()
    response, _ = ask(rig, output_modalities=["audio"])
    events = rig.speak(own) + rig.speak(response["id"])
    sounds = [e["response_id"] for e in events if e["type"] == "response.output_audio.delta"]
    assert sounds == [own, response["id"]]


def test_on_a_live_line_it_is_only_written():
    rig = Rig()
    error = error_of(rig.send("response.create", response={"conversation": "none"}))
    assert (error["code"], error["param"]) == ("unsupported_value", "response.output_modalities")


def test_one_too_many_names_the_limit():
    rig = Rig(limits=Limits(max_responses_aside=1))
    response, _ = ask(rig)
    error = error_of(rig.send("response.create", response=ASIDE))
    assert "1 responses" in error["message"]
    assert "max_responses_aside" in error["message"]
    rig.done(response["id"])
    ask(rig)


def test_an_item_that_is_not_there_and_too_many_are_refused():
    rig = Rig(limits=Limits(max_input_items=1))
    error = error_of(rig.send("response.create", response={**ASIDE, "input": [{"id": "no"}]}))
    assert (error["code"], error["param"]) == ("item_not_found", "response.input[0].id")
    error = error_of(rig.send("response.create", response={**ASIDE, "input": [text_item()] * 2}))
    assert "max_input_items" in error["message"]
    bad = {**text_item(), "role": "nobody"}
    error = error_of(rig.send("response.create", response={**ASIDE, "input": [bad]}))
    assert error["param"] == "response.input[0].role"
    assert rig.take_commands() == []


def test_what_the_engine_refuses_ends_it_alone():
    rig = Rig()
    own, _ = rig.respond()
    response, _ = ask(rig)
    failure = Failure(code="capacity", message="full")
    done = ReplyDone(
        response_id=response["id"], status="failed", usage=ReplyUsage(), failure=failure
    )
    (end,) = rig.engine(done)
    assert end["response"]["status_details"]["error"]["message"] == "full"
    assert kinds(rig.speak(own))
