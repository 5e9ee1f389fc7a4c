"""The same engine on a GPU, its decode steps captured. Runs where there is one."""

import pytest

from model.config import SamplingConfig
from model.omni import load_checkpoint
from streaming.engine.engine import Engine
from tests.streaming.engine.driver import (
    SETTINGS,
    Driver,
    Offline,
    Talk,
    assert_remembers,
    speech,
    with_extras,
)


@pytest.mark.gpu
def test_captured_steps_say_what_the_offline_networks_say(quick_checkpoint) -> None:
    model = with_extras(
        load_checkpoint(quick_checkpoint, device="cuda", dtype="float32"),
        thinker_sampling=SamplingConfig(repetition_penalty=1.5),
        talker_sampling=SamplingConfig(),
    )
    driver, offline = Driver(Engine(model, SETTINGS)), Offline(model)
    talks = [Talk(f"c{i}") for i in range(3)]
    questions = [speech(0.5 + 0.9 * i, seed=i) for i in range(3)]
    for talk, pcm in zip(talks, questions, strict=True):
        driver.say(talk.open(), *talk.spoken("q", pcm), talk.respond(f"r-{talk.name}"))
    driver.settle()
    for talk, pcm in zip(talks, questions, strict=True):
        whole = [*offline.system(), *offline.spoken(pcm)]
        expected = offline.say(whole, f"r-{talk.name}")
        assert driver.said(f"r-{talk.name}")[0] == expected.text
        assert driver.done(f"r-{talk.name}").usage.output_audio_tokens == expected.codes
        answer = offline.answer(expected.tokens)
        assert_remembers(driver, offline, [*whole, *answer], talk.name)
