"""Every network at 3B size beside the reference, on random weights: `make parity-full`.

One network at a time and both on the same storage, so that it stays under 22 GiB. Thinker, encoders
and Talker are compared in bfloat16, where the two round in other places: the tolerance is the
relative root-mean-square error. DiT and vocoder are compared in float32, as they run.
"""

import gc
import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import Qwen2_5OmniConfig
from transformers.initialization import no_init_weights
from transformers.models.qwen2_5_omni import modeling_qwen2_5_omni as reference

from model.audio_encoder import AudioEncoder
from model.bigvgan import BigVGAN
from model.config import OmniConfig
from model.dit import DiT
from model.layers import Decoder
from model.talker import Talker
from model.vision_encoder import VisionEncoder
from model.weights import EmptyWeights

pytestmark = pytest.mark.slow

DATA = json.loads((Path(__file__).parents[1] / "data" / "qwen2.5-omni-3b.json").read_text())
CONFIG = OmniConfig.from_dict(DATA)
THEIRS = Qwen2_5OmniConfig(**json.loads(json.dumps(DATA)))
# In float32 the decoders agree to the last bit; in bfloat16 each rounds by itself, and six layers
# of either are 2.4 % from float32, growing with the root of the depth (36 layers: 6 %).
BF16_ERROR = 0.1
FLOAT_ERROR = 1e-4
MEMORY_LIMIT_GIB = 22
TOKENS = 48


@pytest.fixture(autouse=True)
def memory_stays_under_the_limit():
    gc.collect()
    yield
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # given in KiB
    assert peak_gib < MEMORY_LIMIT_GIB


def _pair(
    ours: Callable[[], nn.Module], theirs: Callable[[], nn.Module], dtype: torch.dtype
) -> tuple[nn.Module, Any]:
    """Both modules on one storage of random weights."""
    with EmptyWeights(), no_init_weights():
        our, their = ours().eval(), theirs().eval()
    for seed, (name, parameter) in enumerate(our.named_parameters()):
        noise = _fill(parameter.shape, seed, dtype)
        is_gain = parameter.dim() == 1 and name.endswith("weight")
        parameter.data = noise + 1 if is_gain else noise
    their.load_state_dict(our.state_dict(), strict=True, assign=True)
    return our.to(dtype), their.to(dtype)


def _fill(shape: torch.Size, seed: int, dtype: torch.dtype) -> Tensor:
    """Noise of standard deviation 0.02; repeated in large tensors, for drawing takes minutes."""
    random = torch.Generator().manual_seed(seed)
    drawn = (torch.randn(min(shape.numel(), 999_983), generator=random) * 0.02).to(dtype)
    return drawn.repeat(-(-shape.numel() // len(drawn)))[: shape.numel()].view(shape)


def _check(ours: Tensor, theirs: Tensor, limit: float) -> None:
    error = (ours.float() - theirs.float()).square().mean() / theirs.float().square().mean()
    assert error.sqrt().item() < limit  # false for NaN too


def _noise(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)


def _positions() -> Tensor:
    positions = torch.arange(TOKENS).repeat(3, 1, 1)
    positions[1:, :, 20:] += torch.tensor([[[3]], [[7]]])
    return positions


@torch.no_grad()
def test_thinker_decoder() -> None:
    config = THEIRS.thinker_config.text_config
    ours, theirs = _pair(
        lambda: Decoder(CONFIG.thinker.text),
        lambda: reference.Qwen2_5OmniThinkerTextModel(config),
        torch.bfloat16,
    )
    ids = torch.arange(TOKENS)[None] * 97
    hidden = ours(ours.embed_tokens(ids), _positions())
    _check(hidden, theirs(ids, position_ids=_positions()).last_hidden_state, BF16_ERROR)


@torch.no_grad()
def test_audio_encoder() -> None:
    config = THEIRS.thinker_config.audio_config
    ours, theirs = _pair(
        lambda: AudioEncoder(CONFIG.thinker.audio),
        lambda: reference.Qwen2_5OmniAudioEncoder(config),
        torch.bfloat16,
    )
    mel = _noise(config.num_mel_bins, 457)
    lengths = torch.tensor([mel.shape[1]])
    after_conv, _ = theirs._get_feat_extract_output_lengths(lengths)
    got = theirs(mel, feature_lens=lengths, aftercnn_lens=after_conv).last_hidden_state
    _check(ours(mel), got, BF16_ERROR)


@torch.no_grad()
def test_vision_encoder() -> None:
    config = THEIRS.thinker_config.vision_config
    vision = CONFIG.thinker.vision
    assert vision is not None
    ours, theirs = _pair(
        lambda: VisionEncoder(vision),
        lambda: reference.Qwen2_5OmniVisionEncoder(config),
        torch.bfloat16,
    )
    grid = (2, 18, 12)
    values = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    patches = _noise(2 * 18 * 12, values)
    got = theirs(patches, grid_thw=torch.tensor([grid])).pooler_output
    _check(ours(patches, [grid]), got, BF16_ERROR)


@torch.no_grad()
def test_talker() -> None:
    ours, theirs = _pair(
        lambda: Talker(CONFIG.talker),
        lambda: reference.Qwen2_5OmniTalkerForConditionalGeneration(THEIRS.talker_config),
        torch.bfloat16,
    )
    inputs = _noise(1, TOKENS, CONFIG.talker.embedding_size)
    got = theirs.model(
        inputs_embeds=theirs.thinker_to_talker_proj(inputs), position_ids=_positions()
    ).last_hidden_state
    _check(ours(inputs, _positions()), theirs.codec_head(got), BF16_ERROR)


@torch.no_grad()
def test_dit() -> None:
    config = THEIRS.token2wav_config.dit_config
    ours, theirs = _pair(
        lambda: DiT(CONFIG.token2wav.dit),
        lambda: reference.Qwen2_5OmniToken2WavDiTModel(config),
        torch.float32,
    )
    codes = torch.arange(30)[None] * 11
    state = _noise(1, 60, config.mel_dim, dtype=torch.float32)
    mel = _noise(1, 90, config.mel_dim, dtype=torch.float32)
    embedding = _noise(1, config.enc_emb_dim, dtype=torch.float32)
    time = torch.tensor(0.3)
    conditions = ours.conditions(codes, ours.voice(mel, embedding), guided=True)
    got = theirs(
        hidden_states=state,
        quantized_code=codes,
        speaker_embedding=embedding[:, None].repeat(1, 60, 1),
        condition_vector=mel,
        time_step=time,
        apply_cfg=True,
    )
    _check(ours(state.repeat(2, 1, 1), time.expand(2), conditions), got, FLOAT_ERROR)


@torch.no_grad()
def test_vocoder() -> None:
    config = THEIRS.token2wav_config.bigvgan_config
    ours, theirs = _pair(
        lambda: BigVGAN(CONFIG.token2wav.bigvgan),
        lambda: reference.Qwen2_5OmniToken2WavBigVGANModel(config),
        torch.float32,
    )
    mel = _noise(1, config.mel_dim, 8, dtype=torch.float32) - 4
    _check(ours(mel)[0], theirs(mel), FLOAT_ERROR)
