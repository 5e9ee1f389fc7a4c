"""Law 1 for the whole engine: what streams out is what the offline networks say to the same."""

import copy
import dataclasses
from itertools import pairwise

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from model.config import SamplingConfig
from model.omni import OmniModel
from model.spelling import Spelling
from streaming.engine.engine import Engine
from streaming.engine.messages.commands import AddItem
from streaming.engine.messages.content import AudioPart, TextPart
from streaming.engine.messages.events import AudioDelta, ResponseDone
from streaming.engine.scheduler import Stage
from tests.streaming.engine.driver import (
    MAX_CODES,
    SETTINGS,
    Driver,
    Offline,
    Talk,
    assert_remembers,
    assert_same_sound,
    speech,
    with_extras,
)

TALK = Talk()


def opened(model: OmniModel, instructions: str | None = None) -> Driver:
    driver = Driver(Engine(model, SETTINGS))
    driver.say(TALK.open(instructions))
    return driver


@settings(max_examples=4, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    seconds=st.sampled_from([0.3, 1.9, 2.0, 4.7]),
    cuts=st.lists(st.integers(0, 4 * 70_000), max_size=4),
    pauses=st.booleans(),
)
def test_a_spoken_turn_is_the_offline_turn(
    model: OmniModel, seconds: float, cuts: list[int], pauses: bool
) -> None:
    pcm = speech(seconds)
    edges = sorted({0, len(pcm), *(cut // 4 * 4 for cut in cuts if cut < len(pcm))})
    driver = opened(model)
    driver.settle(TALK.start("q"))
    for begin, end in pairwise(edges):
        driver.settle(TALK.audio("q", pcm[begin:end]))
        if pauses:
            driver.settle(TALK.pause("q"))
    driver.settle(TALK.stop("q"), TALK.respond("r"))
    offline = Offline(model)
    expected = offline.say([*offline.system(), *offline.spoken(pcm)], "r")
    text, sound = driver.said("r")
    assert text == expected.text
    assert_same_sound(sound, expected.pcm)
    done = driver.done("r")
    assert done.usage.output_text_tokens == len(expected.tokens)
    assert done.usage.output_audio_tokens == expected.codes


def test_the_kept_cache_answers_as_the_whole_conversation_would(model: OmniModel) -> None:
    driver, offline = opened(model), Offline(model)
    first, third = speech(2.3, seed=1), speech(1.1, seed=2)
    driver.settle(*TALK.spoken("q1", first), TALK.respond("r1"))
    driver.settle(TALK.typed("q2", "What is the capital?"), TALK.respond("r2"))
    driver.settle(*TALK.spoken("q3", third), TALK.respond("r3"))
    whole = [*offline.system(), *offline.spoken(first)]
    for response_id, question in (
        ("r1", []),
        ("r2", offline.typed("What is the capital?")),
        ("r3", offline.spoken(third)),
    ):
        whole += question
        expected = offline.say(whole, response_id)
        text, sound = driver.said(response_id)
        assert text == expected.text
        assert_same_sound(sound, expected.pcm)
        whole += offline.answer(expected.tokens)
    assert_remembers(driver, offline, whole)
    assert all(driver.said(f"r{turn}")[1] for turn in (1, 2, 3)), "silent turns prove nothing"
    usage = driver.done("r3").usage
    assert usage.cached_tokens > usage.input_tokens / 2
    assert usage.input_tokens == usage.input_text_tokens + usage.input_audio_tokens


def test_a_talker_that_asks_for_text_says_the_same_streamed(model: OmniModel) -> None:
    # A code that the random Talker often says becomes the one that asks for the next token.
    flat = SamplingConfig(temperature=3.0)
    asking = with_extras(model, talker_text_advance_token_id=7, talker_sampling=flat)
    driver, offline = opened(asking), Offline(asking)
    driver.settle(TALK.typed("q", "What is this?"), TALK.respond("r"))
    expected = offline.say([*offline.system(), *offline.typed("What is this?")], "r")
    text, sound = driver.said("r")
    assert text == expected.text
    assert_same_sound(sound, expected.pcm)


def test_a_talker_that_is_told_the_spelling_says_the_same_streamed(model: OmniModel) -> None:
    talker = copy.deepcopy(model.talker)
    size, width = model.config.thinker.text.vocab_size, model.config.talker.embedding_size
    talker.spelling = Spelling(size, 4, width).requires_grad_(False)
    talker.spelling.learn_letters(model.tokenizer)
    spelling = dataclasses.replace(model, talker=talker)
    driver, offline = opened(spelling), Offline(spelling)
    driver.settle(TALK.typed("q", "What is this?"), TALK.respond("r"))
    whole = [*offline.system(), *offline.typed("What is this?")]
    expected = offline.say(whole, "r")
    assert_same_sound(driver.said("r")[1], expected.pcm)
    assert_remembers(driver, offline, [*whole, *offline.answer(expected.tokens)])
    assert expected.pcm != Offline(model).say(whole, "r").pcm


def test_text_alone_has_no_sound(model: OmniModel) -> None:
    driver, offline = opened(model), Offline(model)
    driver.settle(TALK.typed("q1", "What?"), TALK.respond("r1", modality="text"))
    whole = [*offline.system(), *offline.typed("What?")]
    expected = offline.say(whole, "r1")
    assert driver.said("r1") == (expected.text, b"")
    # What it wrote is in the Talker's prompt of the next, spoken reply.
    driver.settle(TALK.typed("q2", "And this?"), TALK.respond("r2"))
    whole += [*offline.answer(expected.tokens), *offline.typed("And this?")]
    assert_same_sound(driver.said("r2")[1], offline.say(whole, "r2").pcm)


def test_another_voice_speaks_otherwise(model: OmniModel) -> None:
    driver, offline = opened(model), Offline(model)
    driver.settle(TALK.typed("q", "What?"), TALK.respond("r", voice="Bob"))
    expected = offline.say([*offline.system(), *offline.typed("What?")], "r", voice="Bob")
    assert_same_sound(driver.said("r")[1], expected.pcm)


def test_items_with_several_parts_and_roles_stand_as_they_were_given(model: OmniModel) -> None:
    driver, offline = opened(model), Offline(model)
    one, two = speech(2.1, seed=3), speech(0.4, seed=4)
    parts = (
        TextPart(text="What is"),
        AudioPart(pcm=one),
        TextPart(text=" and "),
        AudioPart(pcm=two),
    )
    driver.settle(
        TALK.typed("s", "You are what you see.", role="system"),
        AddItem(conversation_id="c", item_id="q", role="user", parts=parts),
        TALK.typed("a", "Paris.", role="assistant"),
        TALK.typed("q2", "And?"),
        TALK.respond("r"),
    )
    template = offline.template
    question = [
        template.user_open,
        template.text("What is"),
        template.audio_open,
        one,
        template.audio_close,
        template.text(" and "),
        template.audio_open,
        two,
        template.audio_close,
        template.user_close,
    ]
    whole = [
        *offline.system(),
        *offline.typed("You are what you see.", role="system"),
        *question,
        *offline.typed("Paris.", role="assistant"),
        *offline.typed("And?"),
    ]
    expected = offline.say(whole, "r")
    text, sound = driver.said("r")
    assert text == expected.text
    assert_same_sound(sound, expected.pcm)


def test_several_conversations_at_once_say_what_each_says_alone(model: OmniModel) -> None:
    offline = Offline(model)
    talks = [Talk(f"c{i}") for i in range(4)]
    questions = [speech(0.5 + 0.9 * i, seed=i) for i in range(4)]
    driver = Driver(Engine(model, SETTINGS))
    sizes = []
    stage = driver.engine._stages[Stage.TALKER]
    driver.engine._stages[Stage.TALKER] = lambda cs: (sizes.append(len(cs)), stage(cs))[1]
    driver.say(*(talk.open() for talk in talks))
    for talk, pcm in zip(talks, questions, strict=True):
        driver.say(*talk.spoken("q", pcm), talk.respond(f"r-{talk.name}", tokens=4))
    driver.settle()
    assert max(sizes) > 1
    assert sum(bool(driver.said(f"r-{talk.name}")[1]) for talk in talks) > 1
    for talk, pcm in zip(talks, questions, strict=True):
        response_id = f"r-{talk.name}"
        expected = offline.say([*offline.system(), *offline.spoken(pcm)], response_id, tokens=4)
        text, sound = driver.said(response_id)
        assert text == expected.text
        assert_same_sound(sound, expected.pcm)


def test_the_first_packet_leaves_after_the_fewest_talker_steps(model: OmniModel) -> None:
    driver = opened(model)
    talker = driver.engine._stages[Stage.TALKER]
    thinker = driver.engine._stages[Stage.THINKER]
    talker_steps, thinker_steps = [], []
    driver.engine._stages[Stage.TALKER] = lambda cs: (talker_steps.append(1), talker(cs))[1]
    driver.engine._stages[Stage.THINKER] = lambda cs: (thinker_steps.append(1), thinker(cs))[1]
    driver.say(*TALK.spoken("q", speech(1.0)), TALK.respond("r", tokens=60))
    driver.until(lambda: driver.of(AudioDelta))
    assert len(talker_steps) == codes_to_first_sound(model)
    # One vector a code, and one more step that draws a token nobody has taken yet.
    assert len(thinker_steps) <= len(talker_steps) + 2


def codes_to_first_sound(model: OmniModel) -> int:
    """How many codes Token2Wav must have before any sample of theirs is final."""
    state = model.token2wav.init_state(model.speaker(), 0)
    given = 0
    while True:
        wanted = model.token2wav.codes_until_next(state)
        given += wanted
        if len(model.token2wav.step(state, torch.zeros(wanted, dtype=torch.long))):
            return given


def test_while_the_user_speaks_whole_blocks_are_in_the_cache(model: OmniModel) -> None:
    driver = opened(model)
    driver.settle(TALK.start("q"), TALK.audio("q", speech(4.5)))
    template = Offline(model).template
    opening = len(template.system(model.config.omnilive.system_prompt)) + sum(
        map(len, (template.user_open, template.audio_open))
    )
    slot = driver.engine._conversations["c"].slot
    assert driver.engine._memory.length(slot) == opening + 100
    assert driver.engine._memory.talker.lengths[slot] == opening + 100


def test_after_a_pause_nothing_is_left_to_prefill(model: OmniModel) -> None:
    driver = opened(model)
    driver.settle(TALK.start("q"), TALK.audio("q", speech(2.6)), TALK.pause("q"))
    driver.settle(TALK.stop("q"), TALK.respond("r"))
    usage = driver.done("r").usage
    assert usage.cached_tokens == usage.input_tokens
    assert usage.input_audio_tokens == 65


def test_timings_come_in_their_order(model: OmniModel) -> None:
    driver = opened(model)
    driver.settle(*TALK.spoken("q", speech(1.0)), TALK.respond("r"))
    timings = driver.done("r").timings
    moments = [
        timings.queue_s,
        timings.prefill_s,
        timings.first_text_s,
        timings.first_code_s,
        timings.first_chunk_s,
        timings.first_wave_s,
        timings.total_s,
    ]
    assert None not in moments
    assert moments == sorted(moments)
    busy = (timings.thinker_busy_s, timings.talker_busy_s, timings.token2wav_busy_s)
    assert min(busy) > 0
    assert sum(busy) <= timings.total_s


def test_too_long_speech_is_cut_short_and_says_so(model: OmniModel) -> None:
    # A greedy random Talker runs in circles and never stops.
    greedy = with_extras(model, talker_sampling=SamplingConfig())
    driver = opened(greedy)
    driver.settle(TALK.typed("q", "What?"), TALK.respond("r"))
    done = driver.done("r")
    assert done.status == "incomplete"
    assert done.reason == "max_output_tokens"
    assert done.usage.output_audio_tokens <= MAX_CODES


def test_a_reply_that_comes_to_its_end_is_complete(model: OmniModel) -> None:
    # Drawn evenly from all tokens, the one that ends a reply comes soon enough.
    rambling = with_extras(model, thinker_sampling=SamplingConfig(temperature=50.0))
    driver = Driver(Engine(rambling, SETTINGS))
    for talk in (Talk(f"c{i}") for i in range(4)):
        driver.say(talk.open(), talk.typed("q", "What?"))
        driver.say(talk.respond(f"r-{talk.name}", tokens=None, modality="text"))
    driver.settle()
    ended = [done for done in driver.of(ResponseDone) if done.status == "completed"]
    assert ended
    assert all(done.reason is None for done in ended)
    assert all(1 < done.usage.output_text_tokens < 480 for done in ended)


@pytest.mark.parametrize("seconds", [0.0, 0.005, 0.02])
def test_next_to_no_sound_is_still_a_turn(model: OmniModel, seconds: float) -> None:
    driver = opened(model)
    driver.settle(*TALK.spoken("q", speech(seconds)), TALK.respond("r"))
    assert driver.done("r").status in ("completed", "incomplete")


@pytest.mark.parametrize("answered_ms", [0, 2500])
def test_a_question_is_answered_while_the_next_is_spoken(
    model: OmniModel, answered_ms: int
) -> None:
    talk, offline = Talk(), Offline(model)
    driver = Driver(Engine(model, SETTINGS))
    first, second = speech(0.9), speech(2.6, seed=1)
    driver.settle(talk.open())
    driver.say(*talk.spoken("q1", first))
    if answered_ms:
        driver.settle()
    # The next item opens as soon as the first has ended, on either side of the wish for a reply.
    driver.say(talk.start("q2"), talk.audio("q2", second[: 64 * answered_ms]))
    if answered_ms:
        driver.settle()
    driver.settle(talk.respond("r1"), talk.audio("q2", second[64 * answered_ms :]))
    whole = [*offline.system(), *offline.spoken(first)]
    expected = offline.say(whole, "r1")
    assert driver.said("r1")[0] == expected.text
    assert_same_sound(driver.said("r1")[1], expected.pcm)
    driver.settle(talk.stop("q2"), talk.respond("r2"))
    whole += [*offline.answer(expected.tokens), *offline.spoken(second)]
    expected = offline.say(whole, "r2")
    assert driver.said("r2")[0] == expected.text
    assert_same_sound(driver.said("r2")[1], expected.pcm)
    assert_remembers(driver, offline, [*whole, *offline.answer(expected.tokens)])


def test_a_reply_goes_on_where_an_item_opens_before_its_first_token(model: OmniModel) -> None:
    talk, offline = Talk(), Offline(model)
    driver = Driver(Engine(model, SETTINGS))
    driver.settle(talk.open(), *talk.spoken("q1", speech(0.9)))
    driver.settle(talk.respond("r"), talk.start("q2"), talk.audio("q2", speech(2.6)))
    expected = offline.say([*offline.system(), *offline.spoken(speech(0.9))], "r")
    assert driver.said("r")[0] == expected.text
    assert_same_sound(driver.said("r")[1], expected.pcm)


def test_what_was_written_behind_an_open_item_is_not_answered_before_it(model: OmniModel) -> None:
    talk = Talk()
    driver = Driver(Engine(model, SETTINGS))
    driver.settle(talk.open(), *talk.spoken("q1", speech(0.9)), talk.start("q2"))
    driver.settle(talk.typed("q3", "And?"), talk.respond("r"))
    assert driver.done("r").error.code == "invalid_state"
    # Nor is there anything to answer before an open item that follows an answer.
    driver.settle(talk.delete("q2"), talk.respond("r2"))
    driver.settle(talk.start("q4"), talk.respond("r3"))
    assert driver.done("r2").error is None
    assert driver.done("r3").error.code == "invalid_state"


@dataclasses.dataclass
class Ends:
    """Draws nothing but the end."""

    end: int
    is_forcing = False

    def draw(self, logits: torch.Tensor) -> int:
        return self.end


def test_tokens_that_are_drawn_are_counted_as_the_replies_have_them(model: OmniModel) -> None:
    driver = Driver(Engine(model, SETTINGS))
    talks = [Talk("a"), Talk("b")]
    for talk in talks:
        driver.say(talk.open(), talk.typed("q", "What?"), talk.respond(f"r-{talk.name}", tokens=5))
    driver.settle()
    # One that ends by itself: its end is no token of it.
    end = next(iter(model.text_end_ids))
    driver.say(talks[0].respond("r"))
    conversation = driver.engine._conversations["a"]
    driver.until(lambda: conversation.reply is not None and conversation.reply.tokens)
    conversation.reply.sampler = Ends(end)
    driver.settle()
    assert driver.done("r").status == "completed"
    usages = [done.usage for done in driver.of(ResponseDone)]
    load = driver.engine.load
    assert load.text_tokens == sum(usage.output_text_tokens for usage in usages) > 10
    assert load.codec_tokens == sum(usage.output_audio_tokens for usage in usages) > 0
