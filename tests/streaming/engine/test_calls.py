"""A reply that calls a function: its words are said, its call is told, both are history."""

import pytest

from model.omni import OmniModel
from streaming.engine import beginnings
from streaming.engine.engine import Engine
from streaming.engine.messages.commands import AddItem, OpenConversation, Respond
from streaming.engine.messages.content import ToolResultPart
from streaming.engine.messages.events import EngineFault, ToolCallDelta, ToolCallDone
from streaming.engine.tool_calls import call_text
from streaming.engine.wire import encode
from tests.streaming.engine.driver import SETTINGS, Driver, Offline, Talk, assert_remembers

TALK = Talk()
TOOL = '{"type": "function", "function": {"name": "weather"}}'
ARGUMENTS = '{"city": "Paris"}'
CALL = call_text("weather", ARGUMENTS)
QUESTION = "What is the weather?"


def made_to_say(
    monkeypatch: pytest.MonkeyPatch, model: OmniModel, text: str, **changed: object
) -> Driver:
    """An engine whose reply that must be a call is `text` instead."""
    monkeypatch.setattr(beginnings, "opening_text", lambda name: text)
    driver = Driver(Engine(model, SETTINGS))
    driver.say(
        OpenConversation(conversation_id="c", tools=(TOOL,)),
        TALK.typed("q", QUESTION),
        called(model, text, **changed),
    )
    driver.settle()
    return driver


def called(model: OmniModel, text: str, **changed: object) -> Respond:
    fields: dict = {
        "conversation_id": "c",
        "response_id": "r",
        "item_id": "r-item",
        "tool_choice": "required",
        "max_output_tokens": len(model.tokenizer.encode(text)),
    }
    return Respond(**(fields | changed))


def system(offline: Offline) -> list:
    return [offline.template.system(offline.model.config.omnilive.system_prompt, [TOOL])]


def test_words_are_said_and_calls_are_told(
    model: OmniModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline = Offline(model)
    driver = made_to_say(monkeypatch, model, f"I look.\n{CALL}")
    text, sound = driver.said("r")
    assert text == "I look."
    assert sound
    told = driver.of(ToolCallDelta)
    assert "".join(delta.arguments for delta in told) == ARGUMENTS
    (done,) = driver.of(ToolCallDone)
    assert (done.name, done.arguments, done.complete) == ("weather", ARGUMENTS, True)
    assert driver.events.index(done) < driver.events.index(driver.done("r"))
    words = driver.engine._conversations["c"].given["r-item"].tokens
    assert model.tokenizer.decode(words).strip() == "I look."
    driver.settle(
        AddItem(
            conversation_id="c",
            item_id="result",
            role="user",
            parts=(ToolResultPart(output="18 degrees"),),
            previous_item_id=done.item_id,
        ),
        TALK.respond("r2", modality="text"),
    )
    template = offline.template
    whole = [
        *system(offline),
        *offline.typed(QUESTION),
        *offline.answer(words),
        *offline.typed(CALL, role="assistant"),
        *template.written("user", [ToolResultPart(output="18 degrees")]),
    ]
    second = driver.engine._conversations["c"].given["r2-item"].tokens
    assert second
    assert_remembers(driver, offline, [*whole, *offline.answer(second)])


def test_a_reply_that_only_calls_leaves_no_message(
    model: OmniModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline = Offline(model)
    driver = made_to_say(monkeypatch, model, CALL)
    assert driver.said("r") == ("", b"")
    (done,) = driver.of(ToolCallDone)
    driver.settle(TALK.delete("r-item"))
    whole = [*system(offline), *offline.typed(QUESTION)]
    assert_remembers_known(driver, offline, [*whole, *offline.typed(CALL, role="assistant")])
    driver.settle(TALK.delete(done.item_id))
    assert not driver.of(EngineFault)
    assert_remembers_known(driver, offline, whole)


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_a_reply_that_may_call_once_ends_behind_its_call(
    model: OmniModel, monkeypatch: pytest.MonkeyPatch, modality: str
) -> None:
    offline = Offline(model)
    text = f"I look.\n{CALL}\n{CALL}\nSo."
    driver = made_to_say(
        monkeypatch, model, text, parallel_tool_calls=False, modalities=(modality,)
    )
    assert driver.said("r")[0] == "I look."
    (done,) = driver.of(ToolCallDone)
    assert (done.name, done.arguments, done.complete) == ("weather", ARGUMENTS, True)
    ended = driver.done("r")
    # A random model's speech is cut at its limit; its words are not.
    assert ended.status == ("completed" if modality == "text" else "incomplete")
    assert ended.usage.output_text_tokens < len(model.tokenizer.encode(text)) // 2 + 3
    words = driver.engine._conversations["c"].given["r-item"].tokens
    whole = [*system(offline), *offline.typed(QUESTION), *offline.answer(words)]
    assert_remembers_known(driver, offline, [*whole, *offline.typed(CALL, role="assistant")])


def assert_remembers_known(driver: Driver, offline: Offline, whole: list) -> None:
    pieces = driver.engine._conversations["c"].timeline.slice(0, 10_000)
    assert [id_ for p in pieces for id_ in p.ids] == [id_ for p in whole for id_ in p.ids]


def test_a_call_that_is_broken_off_is_told_and_is_no_history(
    model: OmniModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline = Offline(model)
    driver = made_to_say(monkeypatch, model, CALL[: CALL.index("Paris")])
    (done,) = driver.of(ToolCallDone)
    assert (done.complete, done.arguments) == (False, '{"city": "')
    assert driver.done("r").status == "incomplete"
    assert_remembers_known(driver, offline, [*system(offline), *offline.typed(QUESTION)])
    driver.settle(TALK.delete(done.item_id))
    assert not driver.of(EngineFault)


def test_without_tools_a_call_is_only_text(
    model: OmniModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginnings, "_callable", lambda asked, tools: ["weather"])
    monkeypatch.setattr(beginnings, "opening_text", lambda name: CALL)
    driver = Driver(Engine(model, SETTINGS))
    driver.settle(TALK.open(), TALK.typed("q", QUESTION), called(model, CALL, modalities=("text",)))
    assert driver.said("r")[0] == CALL
    assert not driver.of(ToolCallDone)


@pytest.mark.parametrize("name", [r"a\q", "a\nb", "a\tb", r"\u12", r"\x41", r"\ud800", r"\udc00x"])
@pytest.mark.parametrize("order", ["usual", "other"])
def test_a_name_that_is_no_json_leaves_the_call_text(
    model: OmniModel, monkeypatch: pytest.MonkeyPatch, name: str, order: str
) -> None:
    fields = [f'"name": "{name}"', '"arguments": {"city": "Paris"}']
    body = ", ".join(fields if order == "usual" else reversed(fields))
    text = f"<tool_call>\n{{{body}}}\n</tool_call>"
    driver = made_to_say(monkeypatch, model, text)
    assert driver.said("r")[0] == text
    assert not driver.of(ToolCallDelta)
    assert driver.done("r").error is None
    # What is told is spoken, and is history.
    assert driver.said("r")[1]
    given = driver.engine._conversations["c"].given["r-item"]
    assert model.tokenizer.decode(given.tokens) == text
    for event in driver.events:
        encode(event)
    driver.settle(TALK.respond("r2", modality="text"))
    assert driver.done("r2").error is None


def test_what_was_not_told_of_a_call_is_no_history(
    model: OmniModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline = Offline(model)
    monkeypatch.setattr(beginnings, "opening_text", lambda name: f"I look.\n{CALL}")
    driver = Driver(Engine(model, SETTINGS))
    driver.settle(
        OpenConversation(conversation_id="c", tools=(TOOL,)),
        TALK.typed("q", QUESTION),
    )
    driver.say(called(model, f"I look.\n{CALL}", modalities=("text",)))
    conversation = driver.engine._conversations["c"]
    driver.until(
        lambda: (
            conversation.reply is not None
            and model.tokenizer.decode(conversation.reply.tokens).endswith('"name"')
        )
    )
    driver.settle(TALK.cancel("r"))
    assert driver.said("r")[0] == "I look."
    words = conversation.given["r-item"].tokens
    assert model.tokenizer.decode(words).strip() == "I look."
    whole = [*system(offline), *offline.typed(QUESTION), *offline.answer(words)]
    assert_remembers_known(driver, offline, whole)
