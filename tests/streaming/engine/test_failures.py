"""Laws 6 and 7: limits are named, and one conversation's trouble is nobody else's."""

import dataclasses

import numpy as np
import pytest

from model.omni import OmniModel
from streaming.engine.engine import Engine
from streaming.engine.messages.commands import AddItem, Command, SetTruncation, UpdateInstructions
from streaming.engine.messages.content import AudioPart
from streaming.engine.messages.events import (
    ConversationOpened,
    ConversationRefused,
    EngineFault,
    InstructionsRefused,
    InstructionsUpdated,
    ResponseDone,
    TextDelta,
    TranscriptFailed,
)
from streaming.engine.scheduler import Stage
from streaming.errors import RefusedError
from tests.streaming.engine.driver import (
    SETTINGS,
    Driver,
    Offline,
    Talk,
    assert_remembers,
    assert_same_sound,
    speech,
)

TALK, OTHER = Talk("c"), Talk("other")
QUESTION = "What is the capital?"


def opened(model: OmniModel, *talks: Talk, **changed: object) -> Driver:
    driver = Driver(Engine(model, dataclasses.replace(SETTINGS, **changed)))
    driver.settle(*(talk.open() for talk in talks or (TALK,)))
    return driver


def faults(driver: Driver) -> list[tuple[str | None, str, str | None]]:
    return [(f.conversation_id, f.code, f.item_id) for f in driver.of(EngineFault)]


def test_the_door_is_closed_when_every_slot_is_taken(model: OmniModel) -> None:
    driver = opened(model, Talk("a"), Talk("b"), max_conversations=2)
    driver.settle(Talk("c").open())
    (refused,) = driver.of(ConversationRefused)
    assert (refused.conversation_id, refused.code) == ("c", "capacity")
    assert "2" in refused.message
    driver.settle(Talk("a").close(), Talk("d").open())
    assert [o.conversation_id for o in driver.of(ConversationOpened)] == ["a", "b", "d"]


def test_an_unknown_voice_and_a_name_taken_twice_are_refused(model: OmniModel) -> None:
    driver = opened(model)
    driver.settle(OTHER.open(voice="Eve"), TALK.open())
    codes = [(r.conversation_id, r.code) for r in driver.of(ConversationRefused)]
    assert codes == [("other", "unknown_voice"), ("c", "duplicate")]
    assert "Ada, Bob" in driver.of(ConversationRefused)[0].message


def test_a_reused_slot_remembers_nothing(model: OmniModel) -> None:
    driver, offline = opened(model, max_conversations=1), Offline(model)
    driver.settle(*TALK.spoken("q", speech(1.0)), TALK.respond("r"), TALK.close())
    driver.settle(OTHER.open(), OTHER.typed("q", QUESTION), OTHER.respond("r2"))
    expected = offline.say([*offline.system(), *offline.typed(QUESTION)], "r2")
    assert driver.said("r2")[0] == expected.text
    assert_same_sound(driver.said("r2")[1], expected.pcm)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (TALK.audio("nobody", b""), "unknown_item"),
        (TALK.stop("typed"), "invalid_state"),
        (TALK.delete("nobody"), "unknown_item"),
        (TALK.truncate("typed", 100), "invalid_state"),
        (TALK.cancel("nothing"), "invalid_state"),
        (TALK.typed("typed", "twice"), "duplicate_item"),
        (TALK.typed("new", "after what?", previous="nobody"), "unknown_item"),
        (
            AddItem(
                conversation_id="c",
                item_id="new",
                role="assistant",
                parts=(AudioPart(pcm=speech(0.2)),),
            ),
            "invalid_content",
        ),
        (
            AddItem(
                conversation_id="c", item_id="new", role="user", parts=(AudioPart(pcm=b"123"),)
            ),
            "invalid_content",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    model: OmniModel, command: Command, code: str
) -> None:
    driver, offline = opened(model), Offline(model)
    driver.settle(TALK.typed("typed", QUESTION))
    driver.settle(command)
    ((conversation_id, said, _),) = faults(driver)
    assert (conversation_id, said) == ("c", code)
    assert not driver.of(EngineFault)[0].fatal
    driver.settle(TALK.respond("r", modality="text"))
    expected = offline.say([*offline.system(), *offline.typed(QUESTION)], "r")
    assert driver.said("r")[0] == expected.text


def test_samples_that_are_no_numbers_are_refused_and_the_item_goes_on(model: OmniModel) -> None:
    driver, offline = opened(model), Offline(model)
    bad = np.array([0.1, np.nan], dtype="<f4").tobytes()
    pcm = speech(0.5)
    driver.settle(TALK.start("q"), TALK.audio("q", bad), TALK.audio("q", b"12345"))
    assert [code for _, code, _ in faults(driver)] == ["invalid_content"] * 2
    driver.settle(TALK.audio("q", pcm), TALK.stop("q"), TALK.respond("r", modality="text"))
    expected = offline.say([*offline.system(), *offline.spoken(pcm)], "r")
    assert driver.said("r")[0] == expected.text


def test_an_unknown_conversation_is_told_that_it_is_gone(model: OmniModel) -> None:
    driver = opened(model)
    driver.settle(OTHER.typed("q", QUESTION), OTHER.close())
    assert faults(driver) == [("other", "unknown_conversation", "q")]
    assert driver.of(EngineFault)[0].fatal


def test_a_second_reply_at_once_fails_alone(model: OmniModel) -> None:
    driver = opened(model)
    driver.settle(TALK.typed("q", QUESTION), TALK.respond("r1"), TALK.respond("r2"))
    assert driver.done("r2").status == "failed"
    assert driver.done("r2").error.code == "invalid_state"
    assert "r1" in driver.done("r2").error.message
    assert driver.done("r1").status == "incomplete"


def test_a_reply_whose_item_there_is_fails_and_leaves_the_room_free(model: OmniModel) -> None:
    driver = opened(model)
    driver.settle(TALK.typed("r-item", QUESTION), TALK.respond("r"))
    assert driver.done("r").error.code == "duplicate_item"
    room = driver.engine._conversations["c"].timeline.room
    assert not room.answering
    driver.settle(TALK.respond("r2"))
    assert driver.done("r2").error is None


def test_what_a_reply_holds_back_is_bounded(model: OmniModel) -> None:
    driver = opened(model, max_deferred=2)
    driver.settle(*(TALK.typed(name, QUESTION) for name in "abc"))
    driver.say(TALK.respond("r", tokens=20))
    driver.until(lambda: driver.said("r")[0])
    driver.settle(*(TALK.delete(name) for name in "abc"))
    assert faults(driver) == [("c", "capacity", "c")]
    assert "2 edits wait for the reply to end (max_deferred)" in driver.of(EngineFault)[0].message


def test_no_reply_while_the_user_is_still_speaking(model: OmniModel) -> None:
    driver = opened(model)
    driver.settle(TALK.start("q"), TALK.audio("q", speech(0.5)), TALK.respond("r"))
    assert driver.done("r").error.code == "invalid_state"
    driver.settle(TALK.stop("q"), TALK.respond("r2", modality="text"))
    assert driver.done("r2").error is None


def test_speech_that_outgrows_the_context_names_the_limit(model: OmniModel) -> None:
    driver = opened(model, context_tokens=128)
    driver.settle(TALK.start("q"), TALK.audio("q", speech(8.0)))
    ((_, code, item_id),) = faults(driver)
    assert (code, item_id) == ("capacity", "q")
    assert "128" in driver.of(EngineFault)[0].message
    driver.settle(TALK.typed("q2", "What?"), TALK.respond("r", modality="text"))
    assert driver.done("r").error is None


def test_sound_that_waits_to_be_encoded_is_bounded(model: OmniModel) -> None:
    driver = opened(model, context_tokens=128)
    # All of it in one go: the loop had no time to encode any of it.
    driver.settle(TALK.start("q"), *[TALK.audio("q", speech(2.1))] * 8)
    codes = [code for _, code, _ in faults(driver)]
    assert codes
    assert set(codes) <= {"capacity", "unknown_item"}
    driver.settle(TALK.typed("q2", "What?"), TALK.respond("r", modality="text"))
    assert driver.done("r").error is None


def test_a_reply_ends_where_the_context_does(model: OmniModel) -> None:
    driver = opened(model, context_tokens=40)
    driver.settle(TALK.respond("r", tokens=None, modality="text"))
    done = driver.done("r")
    assert (done.status, done.reason) == ("incomplete", "context_full")
    assert done.usage.input_tokens + done.usage.output_text_tokens <= 40
    driver.settle(TALK.respond("r2", modality="text"))
    assert driver.done("r2").status == "failed"
    assert driver.done("r2").error.code == "capacity"
    assert "40" in driver.done("r2").error.message


@pytest.mark.parametrize("instructions", [None, "word " * 12])
def test_a_reply_that_has_no_room_leaves_the_cache_as_it_is(
    model: OmniModel, instructions: str | None
) -> None:
    offline = Offline(model)
    template = offline.template
    # An answer may be opened and closed in what is left, and nothing may stand in it.
    ends = (template.answer_open, template.answer_open, template.answer_close)
    whole = [*offline.system(), *offline.typed(QUESTION)]
    driver = opened(model, context_tokens=sum(map(len, (*whole, *ends))))
    driver.settle(TALK.typed("q", QUESTION))
    # Before the loop could read anything again.
    driver.engine._border.apply(TALK.respond("r", modality="text", instructions=instructions))
    assert_remembers(driver, offline, whole)
    driver.settle()
    assert driver.done("r").error.code == "capacity"


def test_an_instruction_that_does_not_fit_is_refused(model: OmniModel) -> None:
    driver = opened(model, context_tokens=40)
    driver.settle(OTHER.open(instructions="word " * 200))
    assert driver.of(ConversationRefused)[0].code == "context"
    long = UpdateInstructions(conversation_id="c", instructions="word " * 200, update_id="long")
    driver.settle(long)
    (refused,) = driver.of(InstructionsRefused)
    assert (refused.update_id, refused.code) == ("long", "capacity")
    assert not driver.of(InstructionsUpdated)
    driver.settle(TALK.respond("r", instructions="word " * 200))
    assert driver.done("r").error.code == "capacity"
    driver.settle(TALK.respond("r2", modality="text", tokens=3))
    assert driver.done("r2").error is None


BREAKABLE = [Stage.PREFILL, Stage.THINKER, Stage.TALKER, Stage.TOKEN2WAV]


@pytest.mark.parametrize("stage", BREAKABLE, ids=lambda stage: stage.name)
def test_a_stage_that_breaks_for_one_breaks_for_one(model: OmniModel, stage: Stage) -> None:
    driver, offline = opened(model, TALK, OTHER), Offline(model)
    run = driver.engine._stages[stage]

    def breaks(conversations):
        if any(c.conversation_id == "c" for c in conversations):
            raise RuntimeError("a broken kernel")
        return run(conversations)

    for talk in (TALK, OTHER):
        driver.say(talk.typed("q", QUESTION), talk.respond(f"r-{talk.name}"))
    driver.engine._stages[stage] = breaks
    driver.until(lambda: [d for d in driver.of(ResponseDone) if d.conversation_id == "c"])
    driver.engine._stages[stage] = run
    driver.settle()
    done = driver.done("r-c")
    assert (done.status, done.error.code) == ("failed", "internal_error")
    assert "a broken kernel" in done.error.message
    expected = offline.say([*offline.system(), *offline.typed(QUESTION)], "r-other")
    assert driver.said("r-other")[0] == expected.text
    assert_same_sound(driver.said("r-other")[1], expected.pcm)
    # What broke is over: the same conversation goes on. Nobody was told of the reply if nothing of
    # it was sent, so nobody can take it out.
    if driver.said("r-c") == ("", b""):
        assert "r-c-item" not in driver.engine._conversations["c"].timeline
    else:
        driver.settle(TALK.delete("r-c-item"))
    driver.settle(TALK.respond("again"))
    again = offline.say([*offline.system(), *offline.typed(QUESTION)], "again")
    assert driver.said("again")[0] == again.text
    assert_same_sound(driver.said("again")[1], again.pcm)


def test_a_cancel_that_crosses_a_failure_is_no_fault(model: OmniModel) -> None:
    driver = opened(model)
    driver.settle(TALK.typed("q", QUESTION))
    run = driver.engine._stages[Stage.THINKER]
    driver.engine._stages[Stage.THINKER] = breaks
    driver.settle(TALK.respond("r"))
    driver.engine._stages[Stage.THINKER] = run
    assert driver.done("r").error is not None
    driver.settle(TALK.cancel("r"))
    assert not driver.of(EngineFault)
    driver.settle(TALK.cancel("earlier"))
    assert faults(driver) == [("c", "invalid_state", None)]


def test_a_cancel_that_crosses_a_refusal_is_no_fault(model: OmniModel) -> None:
    driver = opened(model)
    driver.settle(TALK.typed("q", QUESTION))
    driver.settle(TALK.respond("r", voice="Eve"), TALK.cancel("r"))
    assert driver.done("r").error is not None
    assert not driver.of(EngineFault)


def test_a_cancel_that_comes_behind_what_took_the_reply_out_is_no_fault(model: OmniModel) -> None:
    driver = opened(model)
    driver.settle(TALK.typed("q", QUESTION), TALK.respond("r"))
    driver.settle(TALK.delete("r-item"), TALK.cancel("r"))
    assert not driver.of(EngineFault)


def test_an_encoder_that_breaks_costs_the_item(model: OmniModel) -> None:
    driver = opened(model)

    def breaks(_):
        raise RuntimeError("a broken kernel")

    run, driver.engine._stages[Stage.ENCODE] = driver.engine._stages[Stage.ENCODE], breaks
    driver.settle(*TALK.spoken("q", speech(0.5)))
    assert faults(driver) == [("c", "internal_error", "q")]
    driver.engine._stages[Stage.ENCODE] = run
    driver.settle(*TALK.spoken("q", speech(0.5)), TALK.respond("r", modality="text"))
    assert driver.done("r").error is None


def test_a_conversation_that_forgets_goes_on_when_its_context_is_full(model: OmniModel) -> None:
    driver, offline = opened(model, context_tokens=96), Offline(model)
    driver.settle(SetTruncation(conversation_id="c", retention_ratio=1.0))
    for turn in range(6):
        driver.settle(TALK.typed(f"q{turn}", QUESTION), TALK.respond(f"r{turn}", modality="text"))
        assert driver.done(f"r{turn}").error is None
    assert not driver.of(EngineFault)
    timeline = driver.engine._conversations["c"].timeline
    assert timeline.item("q0").forgotten
    assert driver.preempted()["context_full"] > 0
    given = driver.engine._conversations["c"].given
    assert "r0-item" not in given
    assert all(not timeline.item(item_id).forgotten for item_id in given)
    driver.settle(TALK.truncate("r0-item", 100))
    assert faults(driver) == [("c", "invalid_state", "r0-item")]
    driver.events.clear()
    driver.settle(TALK.delete("q0"), TALK.delete("r0-item"))
    assert not driver.of(EngineFault)
    kept = [
        timeline.item(f"{name}{turn}{end}")
        for turn in range(1, 6)
        for name, end in (("q", ""), ("r", "-item"))
    ]
    pieces = [piece for item in kept for piece in item.pieces]
    assert_remembers(driver, offline, [*offline.system(), *pieces])


LONG_INSTRUCTIONS = UpdateInstructions(conversation_id="c", instructions="word " * 12)


def assert_system_is_back(driver: Driver, model: OmniModel) -> None:
    timeline = driver.engine._conversations["c"].timeline
    system = Offline(model).template.system(LONG_INSTRUCTIONS.instructions)
    assert timeline.slice(0, len(system)) == [system]
    assert timeline.room.free >= 0


def test_a_short_system_message_of_a_replys_own_gives_way_to_the_long_one(
    model: OmniModel,
) -> None:
    driver = opened(model, context_tokens=128)
    driver.settle(LONG_INSTRUCTIONS, TALK.typed("q", QUESTION))
    driver.settle(TALK.respond("r", instructions="", tokens=None, modality="text"))
    assert driver.done("r").status == "incomplete"
    assert_system_is_back(driver, model)


def test_nor_does_speech_into_a_reply_take_the_room_of_the_system_message(
    model: OmniModel,
) -> None:
    settings = dataclasses.replace(SETTINGS, context_tokens=128)
    driver = Driver(Engine(model, settings, clock=lambda: 0.0))
    driver.settle(TALK.open(), LONG_INSTRUCTIONS, TALK.typed("q", QUESTION))
    driver.say(TALK.respond("r", instructions="", tokens=10, modality="text"))
    driver.until(lambda: driver.of(TextDelta))
    # A pause is more urgent than the reply's next token.
    driver.settle(TALK.start("q2"), TALK.audio("q2", speech(2.0)), TALK.pause("q2"))
    assert driver.done("r").error is None
    assert faults(driver) == [("c", "capacity", "q2")]
    assert_system_is_back(driver, model)


BROKEN = RuntimeError("a broken promise")


def breaks(*_: object, **__: object) -> None:
    raise BROKEN


def assert_only_c_is_lost(driver: Driver, model: OmniModel) -> None:
    (fault,) = driver.of(EngineFault)
    assert (fault.conversation_id, fault.code, fault.fatal) == ("c", "internal_error", True)
    assert "c" not in driver.engine._conversations
    offline = Offline(model)
    expected = offline.say([*offline.system(), *offline.typed(QUESTION)], "r-other")
    assert driver.said("r-other")[0] == expected.text
    # Its slot is free again.
    driver.settle(TALK.open(), TALK.typed("q", QUESTION), TALK.respond("again", modality="text"))
    assert driver.done("again").error is None


@pytest.mark.parametrize(
    "command",
    [TALK.typed("x", "?"), TALK.start("x"), TALK.respond("r2"), TALK.cancel("r"), TALK.delete("q")],
    ids=lambda command: type(command).__name__,
)
def test_a_command_that_breaks_costs_its_conversation_alone(
    model: OmniModel, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    driver = opened(model, TALK, OTHER)
    for talk in (TALK, OTHER):
        driver.settle(talk.typed("q", QUESTION))
    with monkeypatch.context() as patch:
        patch.setattr(driver.engine._commands, "_change", breaks)
        driver.say(command)
        driver.step()
    assert [r.response_id for r in driver.of(ResponseDone)] == ["r2"] * (
        command == TALK.respond("r2")
    )
    driver.settle(OTHER.respond("r-other"))
    assert_only_c_is_lost(driver, model)


@pytest.mark.parametrize("method", ["end", "_close", "_keep", "tell", "keep"])
def test_a_reply_that_cannot_be_ended_is_ended_and_costs_its_conversation_alone(
    model: OmniModel, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    driver = opened(model, TALK, OTHER)
    for talk in (TALK, OTHER):
        driver.say(talk.typed("q", QUESTION), talk.respond(f"r-{talk.name}"))
    owner = driver.engine._called if method in ("tell", "keep") else driver.engine._replies
    real = getattr(owner, method)

    def breaks_for_one(conversation, *rest, **named):
        if conversation.conversation_id == "c":
            raise BROKEN
        return real(conversation, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, breaks_for_one)
        driver.settle()
    done = driver.done("r-c")
    assert (done.status, done.error.code) == ("failed", "internal_error")
    assert_only_c_is_lost(driver, model)


def test_a_conversation_that_cannot_be_opened_is_told(
    model: OmniModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = opened(model, OTHER)
    driver.settle(OTHER.typed("q", QUESTION))
    with monkeypatch.context() as patch:
        patch.setattr(driver.engine._commands._door, "_new", breaks)
        driver.settle(TALK.open())
    driver.settle(OTHER.respond("r-other"))
    assert_only_c_is_lost(driver, model)


def test_a_held_back_edit_that_breaks_costs_its_conversation_alone(
    model: OmniModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = opened(model, TALK, OTHER)
    for talk in (TALK, OTHER):
        driver.say(talk.typed("q", QUESTION), talk.respond(f"r-{talk.name}"))
    driver.say(TALK.delete("q"))
    with monkeypatch.context() as patch:
        patch.setattr(driver.engine._commands, "_delete", breaks)
        driver.settle()
    assert driver.done("r-c").error is None
    assert_only_c_is_lost(driver, model)


def speaks(driver: Driver) -> bool:
    """Tells whether the Talker's cache has codes of the reply, and the Thinker still writes."""
    reply = driver.engine._conversations["c"].reply
    return reply is not None and reply.speech.heard.codes > 1 and not reply.thinker_ended


@pytest.mark.parametrize("stage", [Stage.ENCODE, Stage.TRANSCRIBE], ids=lambda stage: stage.name)
def test_what_writes_no_cache_breaks_without_harm_to_the_reply(
    model: OmniModel, stage: Stage
) -> None:
    driver, offline = Driver(Engine(model, SETTINGS, clock=lambda: 0.0)), Offline(model)
    pcm = speech(0.7)
    driver.settle(TALK.open(), *TALK.spoken("q", pcm))
    driver.engine._stages[stage] = breaks
    driver.say(TALK.respond("r", tokens=12))
    driver.until(lambda: speaks(driver))
    if stage is Stage.ENCODE:
        driver.settle(TALK.start("q2"), TALK.audio("q2", speech(1.0)), TALK.pause("q2"))
        assert faults(driver) == [("c", "internal_error", "q2")]
    else:
        driver.engine._agenda._transcriber.costs_nothing = True  # the most urgent of all
        driver.settle(TALK.transcribe("q"))
        assert [f.code for f in driver.of(TranscriptFailed)] == ["internal_error"]
    assert driver.done("r").error is None
    expected = offline.say([*offline.system(), *offline.spoken(pcm)], "r", tokens=12)
    assert driver.said("r")[0] == expected.text
    assert_same_sound(driver.said("r")[1], expected.pcm)


def test_a_finish_that_is_refused_is_taken_back(
    model: OmniModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, offline = opened(model), Offline(model)
    driver.say(TALK.typed("q", QUESTION), TALK.respond("r", tokens=12))
    driver.until(lambda: speaks(driver))

    def refuses(*_: object, **__: object) -> None:
        raise RefusedError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(driver.engine._conversations["c"].timeline, "extend", refuses)
        driver.until(lambda: driver.of(ResponseDone))
    assert (driver.done("r").status, driver.done("r").error.code) == ("failed", "capacity")
    driver.settle()
    told = driver.engine._conversations["c"].given["r-item"].tokens
    whole = [*offline.system(), *offline.typed(QUESTION), *offline.answer(told)]
    driver.settle(TALK.typed("q2", "And?"), TALK.respond("r2", modality="text"))
    second = driver.engine._conversations["c"].given["r2-item"].tokens
    whole += [*offline.typed("And?"), *offline.answer(second)]
    assert_remembers(driver, offline, whole)
    assert driver.said("r2")[0] == model.tokenizer.decode(second)


def test_speech_into_a_reply_may_take_the_rest_of_the_context(model: OmniModel) -> None:
    settings = dataclasses.replace(SETTINGS, context_tokens=128)
    driver, offline = Driver(Engine(model, settings, clock=lambda: 0.0)), Offline(model)
    driver.settle(TALK.open(), TALK.typed("q", QUESTION))
    driver.say(TALK.respond("r", tokens=None))
    driver.until(lambda: speaks(driver))
    # A pause is more urgent than the reply's next token.
    driver.say(TALK.start("q2"), TALK.audio("q2", speech(1.0)), TALK.pause("q2"))
    driver.settle()
    done = driver.done("r")
    assert (done.status, done.reason, done.error) == ("incomplete", "context_full", None)
    assert not driver.of(EngineFault)
    room = driver.engine._conversations["c"].timeline.room
    assert (room.free, room.reserved_tokens) == (0, 0)
    driver.settle(TALK.stop("q2"))
    told = driver.engine._conversations["c"].given["r-item"].tokens
    assert len(told) == done.usage.output_text_tokens
    assert model.tokenizer.decode(told) == driver.said("r")[0]
    whole = [*offline.system(), *offline.typed(QUESTION), *offline.answer(told)]
    whole += [*offline.spoken(speech(1.0)), offline.template.answer_open]
    assert_remembers(driver, offline, whole)
