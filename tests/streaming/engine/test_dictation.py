"""A checkpoint that takes dictation: what was said stands in the conversation as words."""

import math

import numpy as np
import pytest
import torch

from model.config import DictationConfig
from model.dictation import HeardToken
from model.mel import LogMel
from model.omni import OmniModel
from streaming.engine.engine import Engine
from streaming.engine.messages.commands import CopyItem
from streaming.engine.messages.content import AudioPart, TextPart
from streaming.engine.messages.events import (
    InputTranscript,
    InputTranscriptDelta,
    TextDelta,
    TranscriptFailed,
)
from tests.streaming.engine.driver import SETTINGS, Driver, Offline, Talk, speech, with_extras

TALK = Talk()


@pytest.fixture(scope="module")
def dictating(model: OmniModel) -> OmniModel:
    blank = model.tokenizer.encode(" ")[0]
    return with_extras(
        model, dictation=DictationConfig(blank_token_id=blank, sharpness=1.0, lead_in_s=0.3)
    )


def opened(model: OmniModel) -> Driver:
    driver = Driver(Engine(model, SETTINGS))
    driver.settle(TALK.open())
    return driver


@torch.inference_mode()
def sentence(model: OmniModel, pcm: bytes) -> str:
    audio = model.config.thinker.audio
    samples = torch.from_numpy(np.frombuffer(pcm, dtype="<f4").copy())
    assert model.dictation is not None
    text = model.dictation.write(LogMel(audio.num_mel_bins, audio.block_frames), samples)
    assert len(text) > 5, "the noise should say something"
    return text


def prompt_of(driver: Driver, model: OmniModel) -> str:
    timeline = driver.engine._conversations["c"].timeline
    ids = [id_ for piece in timeline.slice(0, len(timeline)) for id_ in piece.ids]
    assert model.config.thinker.audio_token_index not in ids
    return model.tokenizer.decode(ids)


@pytest.mark.parametrize("seconds", [0.7, 4.0, 5.3])
def test_a_spoken_question_is_answered_as_if_it_was_typed(
    dictating: OmniModel, seconds: float
) -> None:
    pcm = speech(seconds)
    text = sentence(dictating, pcm)
    driver, offline = opened(dictating), Offline(dictating)
    driver.settle(*TALK.spoken("q", pcm), TALK.transcribe("q"), TALK.respond("r"))
    wanted = offline.say([*offline.system(), *offline.typed(text)], "r")
    assert driver.said("r") == (wanted.text, wanted.pcm)
    (transcript,) = driver.of(InputTranscript)
    assert transcript.text == text
    (told,) = driver.of(InputTranscriptDelta)
    assert (told.text, told.tokens) == (text, transcript.tokens)
    assert b"".join(bytes(token.octets) for token in told.tokens).decode() == text
    assert all(token.log_prob <= 0 for token in told.tokens)


def test_the_transcript_comes_before_the_reply_ends(dictating: OmniModel) -> None:
    driver = opened(dictating)
    driver.settle(*TALK.spoken("q", speech(1.2)), TALK.transcribe("q"), TALK.respond("r"))
    kinds = [type(event) for event in driver.events]
    assert kinds.index(InputTranscript) < kinds.index(TextDelta)


def test_words_are_settled_while_the_user_speaks(dictating: OmniModel) -> None:
    driver, pcm = opened(dictating), speech(9.0)
    driver.settle(TALK.start("q"))
    seen = [prompt_of(driver, dictating)]
    for start in range(0, len(pcm), len(pcm) // 9):
        driver.settle(TALK.audio("q", pcm[start : start + len(pcm) // 9]))
        seen.append(prompt_of(driver, dictating))
        assert seen[-1].startswith(seen[-2])
    driver.settle(TALK.stop("q"))
    assert sentence(dictating, pcm) in prompt_of(driver, dictating)


@pytest.mark.parametrize("tail_s", [0.0, 0.4, 3.0])
def test_a_guess_at_a_pause_is_taken_back_when_speech_goes_on(
    dictating: OmniModel, tail_s: float
) -> None:
    driver, first, tail = opened(dictating), speech(2.9), speech(tail_s, seed=4)
    driver.settle(TALK.start("q"), TALK.audio("q", first), TALK.pause("q"))
    assert sentence(dictating, first) in prompt_of(driver, dictating)
    if tail:
        driver.settle(TALK.audio("q", tail))
    driver.settle(TALK.stop("q"), TALK.transcribe("q"))
    text = sentence(dictating, first + tail)
    assert text in prompt_of(driver, dictating)
    assert driver.of(InputTranscript)[0].text == text


def test_parts_of_a_message_stand_on_lines_of_their_own(dictating: OmniModel) -> None:
    driver, one, two = opened(dictating), speech(1.5), speech(2.2, seed=1)
    parts = (
        TextPart(text="Hear this:"),
        AudioPart(pcm=one),
        AudioPart(pcm=two),
        TextPart(text="And that."),
    )
    driver.settle(TALK.add("q", *parts), TALK.transcribe("q"))
    said = [sentence(dictating, one), sentence(dictating, two)]
    assert "\n".join(["Hear this:", *said, "And that."]) in prompt_of(driver, dictating)
    assert driver.of(InputTranscript)[0].text == " ".join(said)


def test_an_item_without_sound_has_no_transcript(dictating: OmniModel) -> None:
    driver = opened(dictating)
    driver.settle(TALK.typed("q", "Hello."), TALK.transcribe("q"))
    (failed,) = driver.of(TranscriptFailed)
    assert "holds no sound" in failed.message


def test_a_transcript_that_is_as_sure_as_no_number_fails_alone(dictating: OmniModel) -> None:
    driver = opened(dictating)
    driver.settle(*TALK.spoken("q", speech(0.7)))
    driver.engine._conversations["c"].timeline.item("q").said = ((HeardToken("A", math.nan),),)
    driver.settle(TALK.transcribe("q"), TALK.respond("r"))
    (failed,) = driver.of(TranscriptFailed)
    assert (failed.item_id, failed.code) == ("q", "internal_error")
    assert not driver.of(InputTranscriptDelta)
    assert driver.done("r").error is None


def test_a_copied_item_can_be_asked_for_what_was_said(dictating: OmniModel) -> None:
    driver, pcm, other = opened(dictating), speech(1.5), Talk("other")
    driver.settle(*TALK.spoken("q", pcm), other.open())
    driver.settle(
        CopyItem(conversation_id="other", item_id="again", source_id="c", source_item_id="q"),
        other.transcribe("again"),
    )
    assert driver.of(InputTranscript)[0].text == sentence(dictating, pcm)


def test_one_speaker_does_not_disturb_another(dictating: OmniModel) -> None:
    other, pcm = Talk("other"), speech(4.6)
    alone = opened(dictating)
    alone.settle(*TALK.spoken("q", pcm), TALK.respond("r"))
    beside = opened(dictating)
    beside.settle(other.open())
    beside.settle(
        *TALK.spoken("q", pcm),
        *other.spoken("q", speech(3.1, seed=8)),
        TALK.respond("r"),
        other.respond("s"),
    )
    assert beside.said("r")[0] == alone.said("r")[0]
