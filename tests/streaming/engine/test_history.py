"""Law 5: history is what happened. After any edit a turn is what a fresh conversation would say."""

from collections.abc import Sequence

import pytest

from model.omni import OmniModel
from streaming.engine.engine import Engine
from streaming.engine.messages.commands import FRONT, UpdateInstructions, UserAudioDrop
from streaming.engine.messages.events import (
    AudioDelta,
    EngineFault,
    InstructionsUpdated,
    ItemTruncated,
    ResponseDone,
    TextDelta,
)
from streaming.engine.scheduler import Stage
from tests.streaming.engine.driver import (
    SETTINGS,
    Driver,
    Offline,
    Talk,
    assert_remembers,
    assert_same_sound,
    speech,
)

TALK = Talk()
QUESTION = "What is the capital?"


def opened(model: OmniModel) -> Driver:
    driver = Driver(Engine(model, SETTINGS))
    driver.say(TALK.open())
    return driver


def tokens_of(driver: Driver, item_id: str) -> Sequence[int]:
    return driver.engine._conversations["c"].given[item_id].tokens


def assert_says(driver: Driver, response_id: str, offline: Offline, whole: list) -> None:
    expected = offline.say(whole, response_id)
    text, sound = driver.said(response_id)
    assert text == expected.text
    assert_same_sound(sound, expected.pcm)
    assert_remembers(driver, offline, [*whole, *offline.answer(expected.tokens)])


@pytest.mark.parametrize("heard_ms", [0, 60, 10_000])
def test_a_cancelled_reply_stays_as_far_as_it_was_heard(model: OmniModel, heard_ms: int) -> None:
    driver, offline = opened(model), Offline(model)
    driver.say(TALK.typed("q1", QUESTION), TALK.respond("r1", tokens=20))
    driver.until(lambda: driver.of(AudioDelta))
    before = tuple(driver.engine._conversations["c"].reply.tokens)
    driver.say(TALK.cancel("r1", heard_ms))
    driver.settle()
    (cut,) = driver.of(ItemTruncated)
    kept = tokens_of(driver, "r1-item")
    assert cut.item_id == "r1-item"
    assert cut.text == model.tokenizer.decode(kept)
    assert kept == before[: len(kept)]
    assert (len(kept) == 0) == (heard_ms == 0)
    assert len(kept) < len(before)
    driver.settle(*TALK.spoken("q2", speech(0.7)), TALK.respond("r2"))
    whole = [
        *offline.system(),
        *offline.typed(QUESTION),
        *offline.answer(kept),
        *offline.spoken(speech(0.7)),
    ]
    assert_says(driver, "r2", offline, whole)


def test_a_reply_cut_after_its_end_leaves_what_follows_it(model: OmniModel) -> None:
    driver, offline = opened(model), Offline(model)
    driver.settle(TALK.typed("q1", QUESTION), TALK.respond("r1", tokens=12))
    driver.settle(*TALK.spoken("q2", speech(0.7)))
    whole_answer = tokens_of(driver, "r1-item")
    sound_ms = len(driver.said("r1")[1]) // 48
    driver.settle(TALK.truncate("r1-item", sound_ms // 2))
    kept = tokens_of(driver, "r1-item")
    assert 0 < len(kept) < len(whole_answer)
    driver.settle(TALK.respond("r2"))
    whole = [
        *offline.system(),
        *offline.typed(QUESTION),
        *offline.answer(kept),
        *offline.spoken(speech(0.7)),
    ]
    assert_says(driver, "r2", offline, whole)


def test_a_cancel_that_comes_too_late_still_cuts(model: OmniModel) -> None:
    driver = opened(model)
    driver.settle(TALK.typed("q1", QUESTION), TALK.respond("r1", tokens=12))
    driver.settle(TALK.cancel("r1", 300))
    (cut,) = driver.of(ItemTruncated)
    assert cut.text == model.tokenizer.decode(tokens_of(driver, "r1-item"))
    assert len(driver.of(ResponseDone)) == 1


STAGES = [Stage.ENCODE, Stage.PREFILL, Stage.THINKER, Stage.TALKER, Stage.TOKEN2WAV]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_cancel_takes_effect_within_one_step_in_every_stage(model: OmniModel, stage: Stage) -> None:
    driver, ran = opened(model), list[Stage]()
    for name, run in driver.engine._stages.items():
        driver.engine._stages[name] = lambda cs, name=name, run=run: (ran.append(name), run(cs))[1]
    driver.say(*TALK.spoken("q", speech(2.5)), TALK.respond("r", tokens=20))
    driver.until(lambda: ran and ran[-1] is stage)
    driver.events.clear()
    driver.say(TALK.cancel("r"))
    driver.step()
    assert driver.done("r").status == "cancelled"
    assert driver.done("r").reason == "client_cancelled"
    driver.settle()
    assert not [e for e in driver.events if isinstance(e, TextDelta | AudioDelta)]
    # The conversation goes on from there.
    driver.settle(TALK.typed("q2", QUESTION), TALK.respond("r2"))
    assert driver.said("r2")[0]


def test_sound_after_a_pause_takes_back_what_was_guessed(model: OmniModel) -> None:
    driver, offline = opened(model), Offline(model)
    pcm = speech(3.1)
    driver.settle(TALK.start("q"), TALK.audio("q", pcm[: 4 * 10_000]), TALK.pause("q"))
    assert not driver.preempted()
    driver.settle(TALK.audio("q", pcm[4 * 10_000 :]), TALK.pause("q"))
    assert driver.preempted() == {"speech_resumed": 1}
    driver.settle(TALK.pause("q"), TALK.stop("q"), TALK.respond("r"))
    assert driver.preempted() == {"speech_resumed": 1}
    assert_says(driver, "r", offline, [*offline.system(), *offline.spoken(pcm)])


def test_a_dropped_turn_never_was(model: OmniModel) -> None:
    driver, offline = opened(model), Offline(model)
    driver.settle(TALK.start("noise"), TALK.audio("noise", speech(2.5)), TALK.pause("noise"))
    driver.settle(UserAudioDrop(conversation_id="c", item_id="noise"))
    driver.settle(TALK.typed("q", QUESTION), TALK.respond("r"))
    assert_says(driver, "r", offline, [*offline.system(), *offline.typed(QUESTION)])


def test_a_deleted_item_leaves_the_rest(model: OmniModel) -> None:
    driver, offline = opened(model), Offline(model)
    driver.settle(*TALK.spoken("q1", speech(1.0)), TALK.respond("r1"))
    driver.settle(TALK.typed("q2", QUESTION))
    answer = tokens_of(driver, "r1-item")
    driver.settle(TALK.delete("q1"), TALK.respond("r2"))
    whole = [*offline.system(), *offline.answer(answer), *offline.typed(QUESTION)]
    assert_says(driver, "r2", offline, whole)


def test_an_item_can_be_put_in_front_and_between(model: OmniModel) -> None:
    driver, offline = opened(model), Offline(model)
    driver.settle(TALK.typed("b", "Two."))
    driver.settle(TALK.typed("a", "One.", previous=FRONT), TALK.typed("c", "Three.", previous="a"))
    driver.settle(TALK.respond("r"))
    whole = offline.system()
    for text in ("One.", "Three.", "Two."):
        whole += offline.typed(text)
    assert_says(driver, "r", offline, whole)


def test_new_instructions_hold_for_the_whole_conversation(model: OmniModel) -> None:
    driver, offline = opened(model), Offline(model)
    driver.settle(TALK.typed("q", QUESTION))
    brief = UpdateInstructions(conversation_id="c", instructions="Be brief.", update_id="brief")
    driver.settle(brief)
    assert [told.update_id for told in driver.of(InstructionsUpdated)] == ["brief"]
    driver.settle(TALK.respond("r"))
    assert_says(driver, "r", offline, [*offline.system("Be brief."), *offline.typed(QUESTION)])


def test_a_replys_own_instructions_hold_for_it_alone(model: OmniModel) -> None:
    driver, offline = opened(model), Offline(model)
    driver.settle(TALK.typed("q", QUESTION), TALK.respond("r1", instructions="Be brief."))
    whole = [*offline.system("Be brief."), *offline.typed(QUESTION)]
    assert_says(driver, "r1", offline, whole)
    driver.settle(TALK.typed("q2", "And?"), TALK.respond("r2"))
    answer = tokens_of(driver, "r1-item")
    whole = [
        *offline.system(),
        *offline.typed(QUESTION),
        *offline.answer(answer),
        *offline.typed("And?"),
    ]
    assert_says(driver, "r2", offline, whole)


def test_edits_below_a_reply_wait_for_its_end(model: OmniModel) -> None:
    driver, offline = opened(model), Offline(model)
    driver.settle(TALK.typed("old", "Old."))
    driver.say(TALK.typed("q", QUESTION), TALK.respond("r1", tokens=8))
    driver.until(lambda: driver.of(AudioDelta))
    driver.say(TALK.delete("old"), TALK.typed("front", "First.", previous=FRONT))
    driver.say(TALK.typed("later", "Later."))
    driver.settle()
    before = [*offline.system(), *offline.typed("Old."), *offline.typed(QUESTION)]
    expected = offline.say(before, "r1", tokens=8)
    assert driver.said("r1")[0] == expected.text
    assert_same_sound(driver.said("r1")[1], expected.pcm)
    driver.settle(TALK.respond("r2"))
    whole = [
        *offline.system(),
        *offline.typed("First."),
        *offline.typed(QUESTION),
        *offline.answer(expected.tokens),
        *offline.typed("Later."),
    ]
    assert_says(driver, "r2", offline, whole)


def test_who_speaks_during_a_reply_is_heard_behind_it(model: OmniModel) -> None:
    driver, offline = opened(model), Offline(model)
    driver.say(TALK.typed("q1", QUESTION), TALK.respond("r1"))
    driver.until(lambda: driver.of(AudioDelta))
    driver.say(TALK.start("q2"), TALK.audio("q2", speech(2.4)))
    driver.settle()
    driver.settle(TALK.stop("q2"), TALK.respond("r2"))
    answer = tokens_of(driver, "r1-item")
    whole = [
        *offline.system(),
        *offline.typed(QUESTION),
        *offline.answer(answer),
        *offline.spoken(speech(2.4)),
    ]
    assert_says(driver, "r2", offline, whole)


def test_no_instructions_is_not_the_default(model: OmniModel) -> None:
    driver, offline = Driver(Engine(model, SETTINGS)), Offline(model)
    driver.say(TALK.open(instructions=""))
    driver.settle(TALK.typed("q", QUESTION), TALK.respond("r1"))
    assert_says(driver, "r1", offline, offline.typed(QUESTION))
    driver.settle(TALK.delete("r1-item"))
    driver.settle(UpdateInstructions(conversation_id="c", instructions=None))
    driver.settle(TALK.respond("r2"))
    assert_says(driver, "r2", offline, [*offline.system(), *offline.typed(QUESTION)])
    driver.settle(TALK.delete("r2-item"))
    driver.settle(UpdateInstructions(conversation_id="c", instructions=""))
    driver.settle(TALK.respond("r3"))
    assert_says(driver, "r3", offline, offline.typed(QUESTION))


def test_edits_that_name_what_waits_wait_too(model: OmniModel) -> None:
    driver, offline = opened(model), Offline(model)
    driver.settle(TALK.typed("q", QUESTION))
    driver.say(TALK.respond("r1", tokens=20, modality="text"))
    driver.until(lambda: driver.of(TextDelta))
    driver.settle(
        TALK.typed("front", "First.", previous=FRONT),
        TALK.typed("second", "Second.", previous="front"),
        TALK.delete("q"),
        TALK.typed("q", "Again."),
    )
    assert not driver.of(EngineFault)
    reply = offline.answer(tokens_of(driver, "r1-item"))
    typed = [*offline.typed("First."), *offline.typed("Second.")]
    driver.settle(TALK.respond("r2"))
    whole = [*offline.system(), *typed, *reply, *offline.typed("Again.")]
    assert_says(driver, "r2", offline, whole)
