"""Vectors to words: what is spelt out is written down, and blocks give what the whole gives."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.audio_encoder import audio_tokens
from model.chat import Chat
from model.config import ConfigError, DictationConfig, OmniConfig
from model.dictation import SILENCE, Dictation
from model.mel import LogMel
from model.thinker import Thinker
from model.tokenizer import Tokenizer
from tests import checkpoint
from tests.model import text, tiny

BACKEND = text.backend()
TOKENIZER = Tokenizer(BACKEND)
BLANK = TOKENIZER.encode(" ")[0]


@pytest.fixture(scope="module")
def thinker() -> Thinker:
    made = Thinker(OmniConfig.from_dict(checkpoint.config_dict(BACKEND)).thinker)
    tiny.randomise(made)
    return made


def dictation(thinker: Thinker, **changed: float) -> Dictation:
    config = DictationConfig(
        blank_token_id=BLANK, **{"sharpness": 20.0, "lead_in_s": 0.1, **changed}
    )
    return Dictation(thinker, TOKENIZER, config)


def spelt(thinker: Thinker, words: str, blanks: int = 1) -> Tensor:
    """[n, D]: the embeddings of the tokens of `words`, blanks before, between and behind."""
    ids = [BLANK] * blanks
    for token in TOKENIZER.encode(" " + words):
        ids += [token, *[BLANK] * blanks]
    return thinker.embed(torch.tensor(ids)).detach()


def written(made: Dictation, thinker: Thinker, vectors: Tensor) -> str:
    heard = SILENCE
    for block in vectors.split(audio_tokens(thinker.config.audio.block_frames)):
        heard = made.listen(heard, block)
    return made.finish(heard)


@torch.no_grad()
@pytest.mark.parametrize("words", ["what is the capital of France", "see", "hear and see and hear"])
def test_what_is_spelt_out_is_a_sentence(thinker: Thinker, words: str) -> None:
    sentence = written(dictation(thinker, language_weight=0.0), thinker, spelt(thinker, words))
    assert sentence[:-1] == words[0].upper() + words[1:]
    assert sentence[-1] in "?."


@torch.no_grad()
def test_nothing_said_is_no_sentence(thinker: Thinker) -> None:
    made = dictation(thinker)
    assert made.finish(SILENCE) == ""
    assert written(made, thinker, spelt(thinker, "", blanks=120)) == ""


@torch.no_grad()
def test_the_thinker_chooses_between_words_that_sound_alike(thinker: Thinker) -> None:
    near, far = TOKENIZER.encode(" you")[0], TOKENIZER.encode(" this")[0]
    vectors = spelt(thinker, "what is", blanks=2)
    between = thinker.embed(torch.tensor([near, far])).detach()
    for lean, heard_first in ((0.5 + 1e-3, " you"), (0.5 - 1e-3, " this")):
        both = (lean * between[0] + (1 - lean) * between[1])[None]
        sound = torch.cat([vectors, both, vectors[:2]])
        by_ear = written(dictation(thinker, language_weight=0.0), thinker, sound)
        assert by_ear[:-1] == "What is" + heard_first
        made = dictation(thinker, language_weight=1.0)
        by_sense = written(made, thinker, sound)
        assert by_sense[:-1] == "What is" + max(
            (" you", " this"), key=lambda word: sense(thinker, "What is" + word)
        )


def sense(thinker: Thinker, sentence: str) -> float:
    """Log-probability of a user's sentence and the likelier of its two endings."""
    opening = Chat(TOKENIZER).user_open()
    ids = [*opening, *TOKENIZER.encode(sentence)]
    embeds = thinker.embed(torch.tensor([ids]))
    chances = thinker(embeds, torch.arange(len(ids)).expand(3, 1, -1)).logits[0].log_softmax(-1)
    said = sum(float(chances[i - 1, ids[i]]) for i in range(len(opening), len(ids)))
    return said + max(float(chances[-1, TOKENIZER.encode(mark)[0]]) for mark in "?.")


@torch.no_grad()
def test_a_token_is_as_sure_as_its_share_of_what_was_read(thinker: Thinker) -> None:
    """One sound is almost as much another token, and the ear alone decides."""
    made = dictation(thinker, language_weight=0.0)
    near, far = TOKENIZER.encode(" you")[0], TOKENIZER.encode(" this")[0]
    between = thinker.embed(torch.tensor([near, far])).detach()
    both = (0.501 * between[0] + 0.499 * between[1])[None]
    vectors = spelt(thinker, "what is", blanks=2)
    heard = made.listen(SILENCE, torch.cat([vectors, both, vectors[:2]]))
    sentence = made.sentence(heard)
    assert "".join(token.text for token in sentence) == made.finish(heard)
    *words, ending = sentence
    assert words[-1].text == " you"
    # What the two tokens have of that frame's probability, shared between them.
    frame = made.log_probs(both)[0]
    expected = float((frame[near] - frame[[near, far]].logsumexp(0)).exp())
    assert 0.5 < expected < 0.9
    assert math.exp(words[-1].log_prob) == pytest.approx(expected, abs=1e-3)
    for token in words[:-1]:
        assert math.exp(token.log_prob) == pytest.approx(1, abs=1e-3)
    # All of them together are what the reading is of all that was read, and the choice of ending.
    all_read = torch.tensor([reading.log_prob for reading in heard.beam])
    chosen = float(all_read.max() - all_read.logsumexp(0))
    assert chosen + math.log(0.5) <= sum(token.log_prob for token in sentence) <= chosen
    assert math.exp(sum(t.log_prob for t in words)) == pytest.approx(expected, abs=1e-2)
    assert ending.log_prob < 0


@torch.no_grad()
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99), frames=st.integers(1, 170))
def test_the_settled_beginning_stays(thinker: Thinker, seed: int, frames: int) -> None:
    made = dictation(thinker, sharpness=3.0)
    random = torch.Generator().manual_seed(seed)
    ids = torch.randint(32, 390, (frames,), generator=random)
    ids[torch.rand(frames, generator=random) < 0.6] = BLANK
    block = audio_tokens(thinker.config.audio.block_frames)
    heard, before = SILENCE, ""
    for vectors in thinker.embed(ids).split(block):
        heard = made.listen(heard, vectors)
        assert heard.settled.startswith(before)
        assert all(token.log_prob <= 0 for token in made.sentence(heard))
        assert len(heard.beam) <= 16
        before = heard.settled
    assert made.finish(heard).startswith(before)


@torch.no_grad()
def test_the_offline_form_takes_samples(thinker: Thinker) -> None:
    audio = thinker.config.audio
    log_mel = LogMel(audio.num_mel_bins, audio.block_frames)
    samples = 0.1 * torch.randn(50_000, generator=torch.Generator().manual_seed(3))
    made = dictation(thinker)
    led_in = torch.cat([torch.zeros(1_600), samples])
    vectors = torch.cat(
        thinker.audio_tower.encode_blocks(
            list(log_mel.running(led_in).split(audio.block_frames, dim=1))
        )
    )
    assert made.write(log_mel, samples) == written(made, thinker, vectors)


@pytest.mark.parametrize(
    ("figures", "named"),
    [
        ({"blank_token_id": 9_999}, "blank_token_id 9999"),
        ({"blank_token_id": BLANK, "sharpness": 0}, "sharpness must be above 0"),
        ({"blank_token_id": BLANK, "beam_width": 0}, "beam_width must be above 0"),
        ({"blank_token_id": BLANK, "language_weight": -1}, "language_weight must be at least 0"),
        ({"blank_token_id": BLANK, "lead_in_s": 2}, "lead_in_s must be from 0 to 1"),
        ({"blank_token_id": BLANK, "blank": 1}, "blank"),
    ],
)
def test_impossible_figures_are_named(figures: dict[str, int], named: str) -> None:
    data = checkpoint.config_dict(BACKEND)
    data["omnilive"]["dictation"] = figures
    with pytest.raises(ConfigError, match=named):
        OmniConfig.from_dict(data)


def test_a_checkpoint_that_sees_takes_no_dictation() -> None:
    data = checkpoint.config_dict(BACKEND)
    data["omnilive"] |= {
        "dictation": {"blank_token_id": BLANK},
        "inputs": ["text", "audio", "image", "video"],
    }
    with pytest.raises(ConfigError, match="text and audio"):
        OmniConfig.from_dict(data)
