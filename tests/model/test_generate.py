from pathlib import Path

import pytest
import torch

from model.errors import InputError
from model.generate import generate_turn, speak, write
from model.omni import OmniModel, load_checkpoint
from model.prompt import Audio, Message, Prompt, PromptBuilder, Text, embed_prompt
from tests import checkpoint
from tests.model import answers

WORDS, CODES = 6, 30


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> OmniModel:
    directory: Path = checkpoint.write_checkpoint(tmp_path_factory.mktemp("checkpoint"))
    return load_checkpoint(directory, dtype="float32")


@pytest.fixture(scope="module")
def prompt(model: OmniModel) -> Prompt:
    noise = torch.randn(20_000, generator=torch.Generator().manual_seed(0)) * 0.1
    parts = [Text(text="What is it?"), Audio(samples=noise)]
    built = PromptBuilder(model.config, model.tokenizer).build([Message(role="user", parts=parts)])
    answers.lengthen(model, built, WORDS)
    return built


def test_samples_are_those_of_the_codes(model: OmniModel, prompt: Prompt) -> None:
    turn = generate_turn(model, prompt, max_text_tokens=WORDS, max_codes=CODES)
    assert len(turn.text_ids) == WORDS
    assert 0 < len(turn.codes) <= CODES
    assert len(turn.samples) == len(turn.codes) * model.config.token2wav.samples_per_code
    assert turn.samples.abs().max() <= 1


def test_a_seed_decides_everything(model: OmniModel, prompt: Prompt) -> None:
    def turn(seed: int):
        return generate_turn(model, prompt, max_text_tokens=WORDS, max_codes=CODES, seed=seed)

    first, again, other = turn(1), turn(1), turn(2)
    assert first.codes == again.codes
    assert torch.equal(first.samples, again.samples)
    assert first.text_ids == other.text_ids  # greedy
    assert first.codes != other.codes


@torch.no_grad()
def test_steps_give_the_vectors_of_the_whole(model: OmniModel, prompt: Prompt) -> None:
    """Embedding plus hidden state of each word, as one pass over prompt and reply gives them."""
    written = write(model, prompt, max_tokens=WORDS)
    words = model.thinker.embed(torch.tensor([written.text_ids]))
    embeds = torch.cat([embed_prompt(model.thinker, prompt), words], dim=1)
    first = int(prompt.position_ids.max()) + 1
    after = torch.arange(first, first + WORDS).expand(3, -1)
    positions = torch.cat([prompt.position_ids, after], dim=1)[:, None]
    hidden = model.thinker(embeds, positions).hidden
    expected = (words + hidden[:, -WORDS:])[0]
    torch.testing.assert_close(written.reply, expected, rtol=1e-4, atol=1e-4)


def test_an_answer_without_words_is_silence_at_most(model: OmniModel, prompt: Prompt) -> None:
    turn = generate_turn(model, prompt, max_text_tokens=0, max_codes=0)
    assert turn.text_ids == turn.codes == []
    assert len(turn.samples) == 0


def test_at_sounds_the_talker_is_told_the_hidden_state_alone(
    model: OmniModel, prompt: Prompt
) -> None:
    written = write(model, prompt, max_tokens=1)
    heard = torch.tensor(prompt.ids) == model.config.thinker.audio_token_index
    # A hidden state has passed the final norm: over its gains, its mean square is 1.
    gains = model.thinker.model.norm.weight
    power = (written.conversation / gains).square().mean(-1)
    torch.testing.assert_close(power[heard], torch.ones(int(heard.sum())), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(power[~heard], torch.ones(int((~heard).sum())), rtol=1e-3, atol=1e-3)


def test_another_voice_speaks_otherwise(model: OmniModel, prompt: Prompt) -> None:
    ada, bob = (
        generate_turn(model, prompt, voice=voice, max_text_tokens=2, max_codes=4)
        for voice in checkpoint.VOICES
    )
    assert ada.codes == bob.codes  # both begin with the same text token in this checkpoint
    assert not torch.allclose(ada.samples, bob.samples)
    with pytest.raises(InputError, match="choices: Ada, Bob"):
        generate_turn(model, prompt, voice="Eve")


def test_speech_ends_with_its_end_code(model: OmniModel, prompt: Prompt) -> None:
    """The codec head is turned towards the end code once a code was drawn that nobody else is."""
    written = write(model, prompt, max_tokens=2)

    def codes() -> list[int]:
        feed = model.feed(model.speaker())
        for vector in written.reply:
            feed.push(vector)
        feed.finish()
        positions = prompt.position_ids
        return speak(model, written.conversation, positions, feed, max_codes=CODES, seed=3)

    before = codes()
    at = next(i for i in range(5, CODES) if before[i] not in before[:i])
    head, end = model.talker.codec_head.weight, model.config.talker.tts_codec_end_token_id
    rows = [before[at], end]
    head.data[rows] = head.data[rows[::-1]]
    try:
        assert codes()[:at] == before[:at]
        assert len(codes()) < CODES
    finally:
        head.data[rows] = head.data[rows[::-1]]
