"""A conversation beside another: it reads what the other holds, and the other never notices."""

from model.omni import OmniModel
from streaming.engine.engine import Engine
from streaming.engine.messages.commands import CopyItem, OpenConversation
from streaming.engine.messages.events import ConversationRefused, EngineFault
from tests.streaming.engine.driver import SETTINGS, Driver, Offline, Talk, assert_remembers, speech

TALK, ASIDE = Talk(), Talk("c/r")
QUESTION = "What is the capital?"


def opened(model: OmniModel, **fields: object) -> Driver:
    driver = Driver(Engine(model, SETTINGS))
    driver.settle(TALK.open(), *TALK.spoken("q", speech(0.7)), TALK.typed("q2", QUESTION))
    driver.settle(OpenConversation(conversation_id="c/r", parent_id="c", **fields))
    return driver


def test_it_reads_all_of_the_other_and_leaves_it_alone(model: OmniModel) -> None:
    offline = Offline(model)
    driver = opened(model, copies_items=True)
    driver.settle(ASIDE.respond("r", modality="text"))
    whole = [*offline.system(), *offline.spoken(speech(0.7)), *offline.typed(QUESTION)]
    expected = offline.say(whole, "r")
    assert driver.said("r")[0] == expected.text
    driver.settle(ASIDE.close(), TALK.respond("r2", modality="text"))
    expected = offline.say(whole, "r2")
    assert driver.said("r2")[0] == expected.text
    assert_remembers(driver, offline, [*whole, *offline.answer(expected.tokens)])


def test_it_reads_its_own_items_under_its_own_instructions(model: OmniModel) -> None:
    offline = Offline(model)
    driver = opened(model, instructions="Sum up.")
    copy = CopyItem(conversation_id="c/r", item_id="i", source_id="c", source_item_id="q2")
    driver.settle(ASIDE.typed("own", "Hear."), copy, ASIDE.respond("r", modality="text"))
    whole = [*offline.system("Sum up."), *offline.typed("Hear."), *offline.typed(QUESTION)]
    assert driver.said("r")[0] == offline.say(whole, "r").text


def test_there_are_few_of_them_and_they_take_nobodys_slot(model: OmniModel) -> None:
    driver = opened(model)
    for number in range(SETTINGS.max_asides):
        name = f"c/{number}"
        driver.settle(OpenConversation(conversation_id=name, parent_id="c"))
    (refused,) = driver.of(ConversationRefused)
    assert (refused.conversation_id, refused.code) == (f"c/{SETTINGS.max_asides - 1}", "capacity")
    assert f"{SETTINGS.max_asides} responses" in refused.message
    assert "(max_asides)" in refused.message
    driver.settle(*(Talk(f"d{i}").open() for i in range(SETTINGS.max_conversations - 1)))
    assert len(driver.of(ConversationRefused)) == 1


def test_a_parent_or_an_item_that_is_not_there_is_named(model: OmniModel) -> None:
    driver = opened(model)
    driver.settle(OpenConversation(conversation_id="x/r", parent_id="x"))
    assert driver.of(ConversationRefused)[0].code == "unknown_conversation"
    copy = CopyItem(conversation_id="c/r", item_id="i", source_id="c", source_item_id="no")
    driver.settle(copy)
    (fault,) = driver.of(EngineFault)
    assert (fault.conversation_id, fault.code) == ("c/r", "unknown_item")
