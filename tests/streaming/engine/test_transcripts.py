"""What the Thinker heard, asked on the side."""

from dataclasses import replace

import pytest
import torch

from model.config import SamplingConfig
from model.generate import write
from model.omni import OmniModel
from model.prompt import embed_prompt
from streaming.engine.engine import Engine
from streaming.engine.messages.events import (
    InputTranscript,
    InputTranscriptDelta,
    ResponseDone,
    TranscriptFailed,
)
from streaming.engine.scheduler import Stage
from tests.streaming.engine.driver import SETTINGS, Driver, Offline, Talk, speech, with_extras

TALK = Talk()


def opened(model: OmniModel) -> Driver:
    driver = Driver(Engine(model, SETTINGS))
    driver.settle(TALK.open())
    return driver


@torch.inference_mode()
def offline_transcript(model: OmniModel, pcm: bytes) -> tuple[str, list[float]]:
    """What the Thinker writes, and each token's log-probability in one pass over all of it."""
    thinker = model.thinker
    greedy = with_extras(model, thinker_sampling=SamplingConfig())
    offline = Offline(greedy)
    question = [*offline.system(model.config.omnilive.transcribe_prompt), *offline.spoken(pcm)]
    prompt = offline.prompt([*question, offline.template.answer_open])
    tokens = prompt.ids.count(model.config.thinker.audio_token_index) // 2 + 16
    ids = write(greedy, prompt, max_tokens=tokens).text_ids
    rows = torch.cat([embed_prompt(thinker, prompt)[0], thinker.embed(torch.tensor(ids[:-1]))])
    chances = thinker(rows[None], torch.arange(len(rows)).expand(3, 1, -1)).logits[0]
    own = chances[-len(ids) :].float().log_softmax(-1)[range(len(ids)), ids]
    return model.tokenizer.decode(ids).strip(), own.tolist()


def test_a_transcript_is_what_the_thinker_answers_to_the_prompt(model: OmniModel) -> None:
    driver, pcm = opened(model), speech(2.6)
    driver.settle(*TALK.spoken("q", pcm), TALK.transcribe("q"))
    (transcript,) = driver.of(InputTranscript)
    assert transcript.item_id == "q"
    assert transcript.text == offline_transcript(model, pcm)[0]
    told = driver.of(InputTranscriptDelta)
    assert len(told) > 1
    assert "".join(delta.text for delta in told).rstrip() == transcript.text


def test_a_transcript_says_how_sure_each_of_its_tokens_was(model: OmniModel) -> None:
    driver, pcm = opened(model), speech(2.6)
    driver.settle(*TALK.spoken("q", pcm), TALK.transcribe("q"))
    (transcript,) = driver.of(InputTranscript)
    written = b"".join(bytes(token.octets) for token in transcript.tokens)
    assert written.decode("utf-8", "replace").strip() == transcript.text
    _, expected = offline_transcript(model, pcm)
    assert [t.log_prob for t in transcript.tokens] == pytest.approx(expected, abs=1e-3)
    told = [token for delta in driver.of(InputTranscriptDelta) for token in delta.tokens]
    assert told == list(transcript.tokens[: len(told)])
    assert len(told) > 1


def test_a_transcript_waits_for_the_reply_and_leaves_it_as_it_is(model: OmniModel) -> None:
    driver, offline, ran = opened(model), Offline(model), list[Stage]()
    for name, run in driver.engine._stages.items():
        driver.engine._stages[name] = lambda cs, name=name, run=run: (ran.append(name), run(cs))[1]
    pcm = speech(1.2)
    driver.settle(*TALK.spoken("q", pcm), TALK.transcribe("q"), TALK.respond("r"))
    first = ran.index(Stage.TRANSCRIBE)
    # Only closing the turn, which nobody waits for either, is left behind the first of its passes.
    assert {Stage.THINKER, Stage.TALKER, Stage.TOKEN2WAV}.isdisjoint(ran[first:])
    assert driver.said("r")[0] == offline.say([*offline.system(), *offline.spoken(pcm)], "r").text
    assert driver.of(InputTranscript)


def test_a_transcript_under_way_makes_room_for_a_reply(model: OmniModel) -> None:
    driver, pcm = opened(model), speech(1.2)
    driver.settle(*TALK.spoken("q", pcm))
    driver.say(TALK.transcribe("q"))
    driver.until(lambda: driver.engine._transcriber.is_under_way)
    assert not driver.preempted()
    driver.settle(TALK.respond("r"))
    assert driver.preempted() == {"transcript_waits": 1}
    (transcript,) = driver.of(InputTranscript)
    assert transcript.text == offline_transcript(model, pcm)[0]
    kinds = [type(event) for event in driver.events]
    assert kinds.index(ResponseDone) < kinds.index(InputTranscript)


def test_several_transcripts_come_one_after_the_other(model: OmniModel) -> None:
    driver, other = opened(model), Talk("other")
    driver.settle(other.open())
    sounds = [speech(0.5 + 0.3 * i, seed=i) for i in range(3)]
    driver.settle(*TALK.spoken("a", sounds[0]), *TALK.spoken("b", sounds[1]))
    driver.settle(*other.spoken("a", sounds[2]))
    driver.settle(TALK.transcribe("a"), TALK.transcribe("b"), other.transcribe("a"))
    found = {(t.conversation_id, t.item_id): t.text for t in driver.of(InputTranscript)}
    wanted = [offline_transcript(model, pcm)[0] for pcm in sounds]
    assert found == dict(zip([("c", "a"), ("c", "b"), ("other", "a")], wanted, strict=True))


def test_a_transcript_of_what_is_gone_fails(model: OmniModel) -> None:
    driver = opened(model)
    driver.settle(TALK.typed("typed", "What?"), TALK.transcribe("typed"), TALK.transcribe("no"))
    driver.settle(*TALK.spoken("q", speech(0.5)))
    driver.say(TALK.transcribe("q"), TALK.delete("q"))
    driver.settle()
    failed = [(f.item_id, f.code) for f in driver.of(TranscriptFailed)]
    assert sorted(failed) == [("no", "unknown_item"), ("q", "unknown_item"), ("typed", "capacity")]


def test_a_transcript_whose_chances_are_no_numbers_fails_alone(
    model: OmniModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = opened(model)
    driver.settle(*TALK.spoken("q", speech(0.5)))
    logits = torch.full((model.config.thinker.text.vocab_size,), torch.nan)
    with monkeypatch.context() as patched:
        patched.setattr(model.thinker, "logits", lambda hidden: logits)
        driver.settle(TALK.transcribe("q"))
    (failed,) = driver.of(TranscriptFailed)
    assert (failed.item_id, failed.code) == ("q", "internal_error")
    assert not driver.of(InputTranscript)
    driver.settle(TALK.transcribe("q"))
    assert driver.of(InputTranscript)


def test_a_checkpoint_without_a_prompt_for_it_says_so(model: OmniModel) -> None:
    driver = opened(with_extras(model, transcribe_prompt=None))
    assert not driver.engine.ready.transcribes
    driver.settle(*TALK.spoken("q", speech(0.5)), TALK.transcribe("q"))
    (failed,) = driver.of(TranscriptFailed)
    assert "no prompt" in failed.message


def test_a_conversation_that_closes_takes_its_transcript_along(model: OmniModel) -> None:
    driver, other = opened(model), Talk("other")
    driver.settle(other.open(), *TALK.spoken("q", speech(1.0)), *other.spoken("q", speech(0.4)))
    driver.say(TALK.transcribe("q"), other.transcribe("q"))
    driver.step()
    driver.settle(TALK.close())
    assert [t.conversation_id for t in driver.of(InputTranscript)] == ["other"]


def test_too_many_at_once_are_refused(model: OmniModel) -> None:
    driver = Driver(Engine(model, replace(SETTINGS, max_transcripts=3)))
    driver.settle(TALK.open(), *TALK.spoken("q", speech(0.2)))
    driver.settle(*[TALK.transcribe("q")] * 4)
    (failed,) = driver.of(TranscriptFailed)
    assert (failed.code, failed.message) == (
        "capacity",
        "3 transcripts are waiting (max_transcripts)",
    )
    assert len(driver.of(InputTranscript)) == 3
