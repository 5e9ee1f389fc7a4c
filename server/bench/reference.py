"""The reference beside us: `transformers`' own modules on the same weights.

Knows how a loaded checkpoint becomes `Qwen2_5OmniForConditionalGeneration`, and how a spoken
question is put to its `generate()`. Does not know our server or what is compared.

`transformers` is a test dependency: it is looked up by name when a bench wants it, and nothing that
serves imports this module.

What the reference is asked to do. Its Talker takes one Thinker vector every step and knows no
advance token, so a checkpoint that has one (omni-mini) gets senseless codes from it. The work is
the same, so its lengths are fixed: as many text tokens and as many codec tokens as our reply had.
Its solver knows only the Runge-Kutta method: it gets the checkpoint's guidance and as many time
points as bring it to our number of network evaluations, rounded in its favour. Its token ids are
built by us, its log-mel features by its own extractor, without the padding to 300 s that its
processor adds.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.extras import SolverConfig
from model.figures import BigVGANConfig
from model.flow import evaluations
from model.omni import EMBEDDED_CHECKPOINT, DTypeName, OmniModel, load_checkpoint
from model.prompt import Audio, Message, PromptBuilder
from model.weights import checkpoint_directory
from server.bench.errors import ReferenceMissingError
from streaming.engine.clock import monotonic_s
from streaming.engine.messages.content import INPUT_SAMPLE_RATE_HZ

_EVALUATIONS_A_STEP = 4  # of its Runge-Kutta method
# In memory the reference nests its Thinker once more than the published names say.
_IN_MEMORY = {
    "thinker.audio_tower.": "thinker.model.audio_tower.",
    "thinker.visual.": "thinker.model.visual.",
    "thinker.model.": "thinker.model.language_model.",
}
_PUBLISHED_PREFIX = re.compile("^(" + "|".join(map(re.escape, _IN_MEMORY)) + ")")
_OURS_ALONE = "talker.spelling."
# A checkpoint without vision still gets the reference's tower; the smallest it can build.
_NO_VISION = {
    "depth": 1,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_heads": 2,
    "fullatt_block_indexes": [0],
}


@dataclass(frozen=True, kw_only=True)
class ReferenceAnswer:
    """What one call of the reference's `generate()` took and gave.

    Attributes:
        took_s: From the question's samples to the whole waveform, which is also its first sound.
        speech_s: Length of that waveform.
    """

    took_s: float
    speech_s: float


class Reference:
    """The reference's whole model with a checkpoint's weights, in our dtype, on the CPU.

    Args:
        path_or_hub_id: The checkpoint, as `load_checkpoint` takes it.
        dtype: Of Thinker and Talker, in the same words.

    Raises:
        ReferenceMissingError: `transformers` is not installed.
        ModelError: The checkpoint cannot be loaded.
    """

    def __init__(self, path_or_hub_id: str | None, dtype: DTypeName) -> None:
        library = transformers()
        model = load_checkpoint(path_or_hub_id, dtype=dtype)
        directory = checkpoint_directory(path_or_hub_id or EMBEDDED_CHECKPOINT)
        self._ours = model
        self._prompts = PromptBuilder(model.config, model.tokenizer)
        bins = model.config.thinker.audio.num_mel_bins
        self._extract = library.WhisperFeatureExtractor(
            feature_size=bins, sampling_rate=INPUT_SAMPLE_RATE_HZ
        )
        config = library.Qwen2_5OmniConfig(**_reference_config(model, directory))
        self._model = library.Qwen2_5OmniForConditionalGeneration._from_config(
            config, dtype=model.dtype
        ).eval()
        _load(self._model, _published_state(model))
        for name, speaker in model.speakers.items():
            self._model.speaker_map[name] = {
                "cond": speaker.cond,
                "ref_mel": speaker.ref_mel,
                "bos_token": speaker.bos_token,
            }

    def answer(
        self,
        samples: npt.NDArray[np.float32],
        *,
        text_tokens: int,
        codec_tokens: int,
        solver: SolverConfig | None = None,
    ) -> ReferenceAnswer:
        """Answers a spoken question with a reply of fixed length.

        Args:
            samples: [S] at 16 kHz.
            text_tokens: Of the reply, at least one; its end token comes on top.
            codec_tokens: Of the reply, at least one.
            solver: How the mel is solved for; None for the nearest to the checkpoint's.
        """
        began_s = monotonic_s()
        features = self._extract(
            samples,
            sampling_rate=INPUT_SAMPLE_RATE_HZ,
            padding=True,
            truncation=False,
            return_attention_mask=True,
            return_tensors="pt",
        )
        question = Message(role="user", parts=[Audio(samples=torch.from_numpy(samples))])
        ids = torch.tensor([self._prompts.build([question]).ids])
        _, wave = self._model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            input_features=features["input_features"].to(self._ours.dtype),
            feature_attention_mask=features["attention_mask"],
            speaker=next(iter(self._ours.speakers)),
            **self._lengths(text_tokens + 1, codec_tokens),
            **_solver_options(solver or nearest_solver(self._ours.token2wav.solver)),
        )
        rate_hz = self._ours.config.token2wav.sample_rate_hz
        return ReferenceAnswer(took_s=monotonic_s() - began_s, speech_s=len(wave) / rate_hz)

    def _lengths(self, thinker_tokens: int, codec_tokens: int) -> dict[str, Any]:
        """Options that fix both lengths; what is no sound counts as an end, which cannot come."""
        ours = self._ours.config
        sounds, vocabulary = ours.token2wav.dit.num_embeds, ours.talker.decoder.vocab_size
        ends = {ours.talker.tts_codec_end_token_id, *range(sounds, vocabulary)}
        text_ends = sorted(self._ours.text_end_ids)
        return {
            "thinker_min_new_tokens": thinker_tokens,
            "thinker_max_new_tokens": thinker_tokens,
            "thinker_do_sample": False,
            "thinker_eos_token_id": text_ends,
            "thinker_pad_token_id": text_ends[0],
            "talker_min_new_tokens": codec_tokens,
            "talker_max_new_tokens": codec_tokens,
            "talker_eos_token_id": sorted(ends),
        }


def transformers() -> Any:
    """Returns the library.

    Raises:
        ReferenceMissingError: It is not installed.
    """
    try:
        library = importlib.import_module("transformers")
    except ModuleNotFoundError as error:
        raise ReferenceMissingError(
            f"{error}: this bench runs beside the transformers library; `make .venv` installs it"
        ) from None
    library.logging.set_verbosity_error()  # its advice on generation options is not for our user
    return library


def reference_vocoder(config: BigVGANConfig, state: Mapping[str, Tensor]) -> nn.Module:
    """Returns the reference's BigVGAN with these weights.

    Raises:
        ReferenceMissingError: `transformers` is not installed.
    """
    transformers()
    package = "transformers.models.qwen2_5_omni"
    settings = importlib.import_module(f"{package}.configuration_qwen2_5_omni")
    networks = importlib.import_module(f"{package}.modeling_qwen2_5_omni")
    figures = {
        "mel_dim": config.mel_dim,
        "upsample_initial_channel": config.upsample_initial_channel,
        "resblock_kernel_sizes": list(config.resblock_kernel_sizes),
        "resblock_dilation_sizes": [list(row) for row in config.resblock_dilation_sizes],
        "upsample_rates": list(config.upsample_rates),
        "upsample_kernel_sizes": list(config.upsample_kernel_sizes),
    }
    vocoder: nn.Module = networks.Qwen2_5OmniToken2WavBigVGANModel(
        settings.Qwen2_5OmniBigVGANConfig(**figures)
    )
    vocoder.load_state_dict(state)
    return vocoder.eval()


def nearest_solver(solver: SolverConfig) -> SolverConfig:
    """Returns a Runge-Kutta solver with at most as many evaluations, but at least one step's."""
    steps = max(1, evaluations(solver) // _EVALUATIONS_A_STEP)
    return SolverConfig(
        method="rk4",
        num_steps=steps + 1,
        guidance_scale=solver.guidance_scale,
        sway_coefficient=solver.sway_coefficient,
    )


def _solver_options(solver: SolverConfig) -> dict[str, Any]:
    return {
        "token2wav_num_steps": solver.num_steps,
        "token2wav_guidance_scale": solver.guidance_scale,
        "token2wav_sway_coefficient": solver.sway_coefficient,
    }


def _reference_config(model: OmniModel, directory: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((directory / "config.json").read_text("utf-8"))
    config.pop("omnilive", None)
    thinker = config["thinker_config"]
    if model.config.thinker.vision is None:
        width = model.config.thinker.text.hidden_size
        thinker["vision_config"] = {**_NO_VISION, "out_hidden_size": width}
    return config


def _published_state(model: OmniModel) -> dict[str, Tensor]:
    """All weights but those of our own extras, which change no length and hardly any work."""
    parts = {"thinker": model.thinker, "talker": model.talker, "token2wav": model.token2wav}
    return {
        f"{part}.{name}": tensor
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
        if not f"{part}.{name}".startswith(_OURS_ALONE)
    }


def _load(reference: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Loads weights under their published names; all must fit, and only vision may be left out."""
    renamed = {
        _PUBLISHED_PREFIX.sub(lambda match: _IN_MEMORY[match.group()], name): tensor
        for name, tensor in state.items()
    }
    missing, surplus = reference.load_state_dict(renamed, strict=False)
    lacking = [name for name in missing if ".visual." not in name]
    assert not lacking, f"the reference lacks {lacking}"
    assert not surplus, f"the reference has no place for {surplus}"
