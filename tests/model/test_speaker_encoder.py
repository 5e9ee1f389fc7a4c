"""ECAPA: parity with `transformers`, and configs it refuses."""

import dataclasses

import pytest
import torch
from transformers.models.qwen2_5_omni import modeling_qwen2_5_omni as reference
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniDiTConfig

from model.errors import ConfigError
from model.speaker_encoder import SpeakerEncoder
from tests.model.tiny_voice import DIT, shake


@torch.no_grad()
@pytest.mark.parametrize("frames", [9, 40])
def test_equals_transformers(frames: int) -> None:
    encoder = SpeakerEncoder(DIT).eval()
    shake(encoder)
    figures = {
        key: getattr(DIT, key)
        for key in DIT.__dataclass_fields__
        if key.startswith("enc") or key == "mel_dim"
    }
    listed = {key: list(v) if isinstance(v, tuple) else v for key, v in figures.items()}
    theirs = reference.ECAPA_TimeDelayNet(Qwen2_5OmniDiTConfig(**listed)).eval()
    theirs.load_state_dict(encoder.state_dict())
    mel = torch.randn(2, frames, DIT.mel_dim, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(encoder(mel), theirs(mel), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "change", [{"enc_dilations": (1, 2)}, {"enc_channels": (8, 8, 8, 24)}], ids=["length", "width"]
)
def test_lists_that_do_not_fit_are_refused_by_name(change: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        SpeakerEncoder(dataclasses.replace(DIT, **change))
