import json

import numpy as np
import pytest
import torch

from model.recipes.omni_mini import hearing_data, hearing_stages, ids
from model.recipes.omni_mini.lessons import Chat
from model.recipes.omni_mini.stages import Work
from model.recipes.omni_mini.thinker_base import base_tokenizer

TRAINED, DEV, HELD_OUT = "Who is the oldest?", "Where is a rose?", "What is an umbrella?"


@pytest.fixture
def work(tmp_path):
    """A run whose recordings wrongly hold questions that are kept for measuring."""
    (tmp_path / "questions.json").write_text(
        json.dumps({"train": [TRAINED, DEV], "heldout": [HELD_OUT]})
    )
    rows = [[TRAINED, "You are.", True], [DEV, "Here.", True], [HELD_OUT, "A thing.", False]]
    (tmp_path / "replies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    record(tmp_path / "hearing" / "dev", [DEV])
    record(tmp_path / "hearing" / "train", [TRAINED, "Where is the rose?", "What is a umbrella?"])
    return Work(directory=tmp_path, smoke=True)


def record(directory, texts):
    directory.mkdir(parents=True)
    np.savez(
        directory / "0000.npz",
        audio=np.ones(10_000 * len(texts), np.int16),
        offsets=np.arange(len(texts) + 1) * 10_000,
    )
    rows = [json.dumps({"text": text, "voice": "test"}) + "\n" for text in texts]
    (directory / "0000.jsonl").write_text("".join(rows))


def test_questions_kept_for_measuring_are_never_trained_on(work):
    assert [u.text for u in hearing_stages._utterances(work, "train")] == [TRAINED]


def test_lessons_come_from_training_questions_only(work):
    tokenizer = base_tokenizer()
    chat = Chat(tokenizer, torch.randn(49_152, 4))
    streams = [(TRAINED, torch.zeros(30, 4))]
    draw = hearing_stages.lessons_of(work, chat, streams, batch=4)
    drawn = [lesson for seed in range(12) for lesson in draw(np.random.default_rng(seed))]
    assert {lesson.question for lesson in drawn} == {TRAINED}
    answers = {tuple(lesson.reply) for lesson in drawn if not lesson.transcribe}
    assert answers == {(*chat.ids("You are."), ids.IM_END)}
    copies = {tuple(lesson.reply) for lesson in drawn if lesson.transcribe}
    assert copies == {(*chat.ids(TRAINED), ids.IM_END)}
    assert any(lesson.stream is None for lesson in drawn)


def test_voices_of_training_measuring_and_the_last_stage_are_apart():
    trained = {*hearing_data.FLITE_VOICES, *hearing_data.ESPEAK_VOICES, hearing_data.PIPER_VOICE}
    fresh = set(hearing_data.FRESH_VOICES)
    measured = {hearing_data.DEV_VOICE, hearing_data.HELD_OUT_VOICE}
    assert not trained & fresh
    assert not (trained | fresh) & measured
