"""A tiny Token2Wav: one config and one random state dict, for tests of its parts and of it all."""

from typing import Any

import torch
from torch import nn

from model.bigvgan import BigVGAN
from model.dit import DiT
from model.figures import BigVGANConfig, DiTConfig, Token2WavConfig

DIT = DiTConfig(
    hidden_size=32,
    num_hidden_layers=5,
    num_attention_heads=2,
    head_dim=16,
    emb_dim=12,
    num_embeds=50,
    mel_dim=8,
    repeats=2,
    enc_emb_dim=6,
    enc_dim=10,
    enc_channels=(8, 8, 8, 16),
    enc_kernel_sizes=(5, 3, 3, 1),
    enc_dilations=(1, 2, 3, 1),
    enc_attention_channels=4,
    enc_res2net_scale=2,
    enc_se_channels=4,
    block_size=8,
    look_ahead_layers=(2,),
    look_backward_layers=(0, 4),
)
BIGVGAN = BigVGANConfig(
    mel_dim=8,
    upsample_initial_channel=16,
    resblock_kernel_sizes=(3, 5),
    resblock_dilation_sizes=((1, 2, 3), (1, 1, 2)),
    upsample_rates=(5, 4),
    upsample_kernel_sizes=(11, 8),
)
TOKEN2WAV = Token2WavConfig(dit=DIT, bigvgan=BIGVGAN)


def shake(module: nn.Module, *, seed: int = 0) -> None:
    """Draws every parameter anew, so that none is at a start (zeros, ones) that hides a mistake."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        scale = parameter.shape[1:].numel() ** -0.5 if parameter.ndim > 1 else 0.3
        parameter.data = torch.randn(parameter.shape, generator=generator) * scale


def random_dit() -> DiT:
    """The tiny DiT with its random weights."""
    model = DiT(DIT).eval()
    shake(model)
    return model


def random_vocoder() -> BigVGAN:
    """The tiny BigVGAN with its random weights."""
    torch.manual_seed(0)
    vocoder = BigVGAN(BIGVGAN).eval()
    for name, parameter in vocoder.named_parameters():
        # The other layers keep their usual start: their sound must not be clipped, nor lost in
        # noise.
        if "act." in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return vocoder


def as_reference(config: object, kind: type) -> Any:
    """The same figures as a config of `transformers`."""
    fields = config.__dataclass_fields__  # type: ignore[attr-defined]
    figures = {key: getattr(config, key) for key in fields if key != "rope_theta"}
    return kind(**{key: _listed(value) for key, value in figures.items()})


def _listed(value: Any) -> Any:
    return [_listed(part) for part in value] if isinstance(value, tuple) else value
