"""One whole turn beside the reference: every kind of input in one prompt of several turns.

The reference's generate() is given one masked token of padding on the left; `test_parity_text` says
why. Words and codes must be equal; mel and waveform, from the reference's own noise, within
tolerance.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from model.config import OmniConfig
from model.generate import Turn, generate_turn
from model.omni import OmniModel, load_checkpoint
from model.prompt import Audio, Message, Picture, Prompt, PromptBuilder, Text, Video
from model.vision_input import PixelBounds, VisionInput
from tests import checkpoint
from tests.model import answers, text, tiny
from tests.model.test_prompt import frames, reference_inputs, sound, user

MEL = {"rtol": 1e-3, "atol": 1e-3}  # float32 through 9 Runge-Kutta steps of 4 evaluations
WAVEFORM = {"rtol": 1e-3, "atol": 1e-4}
WORDS, CODES = 7, 60
BOUNDS = PixelBounds(min_pixels=56 * 56, max_pixels=112 * 112)


@dataclasses.dataclass(frozen=True)
class Heard:
    """What the reference did: words, codes, and what its vocoder saw and made."""

    words: list[int]
    codes: list[int]
    noise: Tensor
    mel: Tensor
    samples: Tensor


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    made = checkpoint.config_dict(text.backend())
    made["omnilive"] = {"talker_sampling": {"repetition_penalty": 1.05}}
    return made


@pytest.fixture(scope="module")
def reference(data: dict[str, Any]) -> Any:
    return tiny.reference_omni(seed=4, data=data)


@pytest.fixture(scope="module")
def model(reference: Any, data: dict[str, Any], tmp_path_factory) -> OmniModel:
    """The reference's weights, by way of a checkpoint on disk."""
    directory: Path = tmp_path_factory.mktemp("checkpoint")
    text.backend().save(str(directory / "tokenizer.json"))
    (directory / "config.json").write_text(json.dumps(data))
    state = tiny.published_state(reference)
    save_file({k: v.contiguous() for k, v in state.items()}, directory / "model.safetensors")
    checkpoint.write_voices(
        directory / "spk_dict.pt", OmniConfig.from_dict(data), data["talker_config"]
    )
    reference.load_speakers(directory / "spk_dict.pt")
    return load_checkpoint(directory, dtype="float32")


@pytest.fixture(scope="module")
def prompt(model: OmniModel, reference: Any) -> Prompt:
    """All kinds of input; and a model that ends its answer to them after `WORDS` words."""
    seen = model.config.thinker.vision
    assert seen is not None
    vision = VisionInput(seen, image_bounds=BOUNDS, video_bounds=BOUNDS)
    built = PromptBuilder(model.config, model.tokenizer, vision=vision).build(
        [
            user(Text(text="Listen"), Audio(samples=sound(33_333))),
            Message(role="assistant", parts=[Text(text="I did.")]),
            user(Picture(image=frames(1, 80, 60)[0]), Text(text="and see")),
            Message(role="assistant", parts=[Text(text="Yes.")]),
            user(Video(frames=frames(5, 60, 60), sound=sound(50_000, seed=3)), Text(text="Now?")),
        ]
    )
    _end_after(model, reference, built)
    return built


def _end_after(model: OmniModel, reference: Any, prompt: Prompt) -> None:
    """Makes a word of the answer that is new there into its end, by exchanging two logits."""
    (end,) = model.text_end_ids
    heads = (model.thinker.lm_head, reference.thinker.lm_head)
    words = answers.lengthen(model, prompt, 3 * WORDS, reference.thinker.lm_head)
    last = next(word for at, word in enumerate(words) if at >= WORDS and word not in words[:at])
    answers.swap(heads, last, end)


@pytest.fixture(scope="module")
def theirs(reference: Any, model: OmniModel, prompt: Prompt) -> Heard:
    seen: dict[str, list[Tensor]] = {"noise": [], "mel": [], "codes": []}
    token2wav = reference.token2wav

    def remember(name: str, key: str | None = None):
        def hook(module, args, kwargs) -> None:
            seen[name].append((args[0] if key is None else kwargs[key]).clone())

        return hook

    dit, vocoder = token2wav.code2wav_dit_model, token2wav.code2wav_bigvgan_model
    dit.register_forward_pre_hook(remember("noise", "hidden_states"), with_kwargs=True)
    vocoder.register_forward_pre_hook(remember("mel"), with_kwargs=True)
    token2wav.register_forward_pre_hook(remember("codes"), with_kwargs=True)
    words, samples = reference.generate(**_their_inputs(model, prompt))
    return Heard(
        words=words[0, len(prompt.ids) + 1 :].tolist(),
        codes=seen["codes"][0][0].tolist(),
        noise=seen["noise"][0],
        mel=seen["mel"][0],
        samples=samples,
    )


def _their_inputs(model: OmniModel, prompt: Prompt) -> dict[str, Any]:
    inputs = reference_inputs(prompt)
    for name in ("input_ids", "attention_mask"):
        inputs[name] = torch.nn.functional.pad(inputs[name], (1, 0))
    for name in ("pixel_values", "pixel_values_videos"):  # its Talker would refuse them
        inputs[f"thinker_{name}"] = inputs.pop(name)
    (end,) = model.text_end_ids
    return {
        **inputs,
        "use_audio_in_video": True,
        "speaker": checkpoint.VOICES[0],
        "thinker_max_new_tokens": 3 * WORDS,
        "thinker_do_sample": False,
        "thinker_eos_token_id": end,
        "thinker_pad_token_id": 0,
        "talker_max_new_tokens": CODES,
        "talker_do_sample": False,
        "talker_top_k": None,
        "talker_top_p": None,
        "talker_temperature": None,
        "talker_eos_token_id": sorted(model.talker.end_codes),
    }


@pytest.fixture(scope="module")
def ours(model: OmniModel, prompt: Prompt) -> Turn:
    return generate_turn(model, prompt, max_text_tokens=3 * WORDS, max_codes=CODES)


def test_words(model: OmniModel, theirs: Heard, ours: Turn) -> None:
    assert [*ours.text_ids, *model.text_end_ids] == theirs.words
    assert len(ours.text_ids) >= WORDS


def test_codes(theirs: Heard, ours: Turn) -> None:
    assert ours.codes == theirs.codes
    assert len(set(ours.codes)) > 5  # one code over and over would show little


def test_mel(model: OmniModel, theirs: Heard) -> None:
    codes = torch.tensor([theirs.codes])
    mel = model.token2wav.mel(codes, model.speaker(), noise=theirs.noise)
    torch.testing.assert_close(mel, theirs.mel, **MEL)


def test_waveform(model: OmniModel, theirs: Heard) -> None:
    codes = torch.tensor([theirs.codes])
    samples = model.token2wav(codes, model.speaker(), noise=theirs.noise)
    torch.testing.assert_close(samples, theirs.samples, **WAVEFORM)
    assert samples.std() > 0.01  # silence would show nothing
    assert samples.abs().max() < 1  # nor would samples that were all cut
