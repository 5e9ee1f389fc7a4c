import pytest
import torch
from transformers.models.qwen2_5_omni import modeling_qwen2_5_omni as reference

from model.config import DecoderConfig
from model.layers import Decoder, RMSNorm, Rotary, rotate
from tests.model import tiny


@pytest.fixture
def text() -> DecoderConfig:
    return tiny.config().thinker.text


def test_norm_is_the_references() -> None:
    x = torch.randn(2, 5, 48, generator=torch.Generator().manual_seed(1))
    ours, theirs = RMSNorm(48, 1e-6), reference.Qwen2_5OmniRMSNorm(48, 1e-6)
    tiny.randomise(ours)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-6, atol=1e-6)


def test_each_axis_turns_its_own_pairs(text: DecoderConfig) -> None:
    """Three unlike axes, so that a pair that took its neighbour's axis would show."""
    positions = torch.tensor([[[3, 70]], [[11, 5]], [[29, 1000]]])
    query = torch.randn(1, 4, 2, text.head_dim, generator=torch.Generator().manual_seed(2))
    rotary = reference.Qwen2_5OmniRotaryEmbedding(
        tiny.reference_config().thinker_config.text_config
    )
    expected, _ = reference.apply_rotary_pos_emb(query, query, *rotary(query, positions))
    got = rotate(query, *Rotary(text)(positions, torch.float32))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_a_cast_does_not_round_the_frequencies(text: DecoderConfig) -> None:
    positions = torch.full((3, 1, 1), 4000)
    decoder = Decoder(text)
    exact = decoder.rotary(positions, torch.float32)
    cast = decoder.to(torch.bfloat16).rotary(positions, torch.float32)
    assert torch.equal(exact[0], cast[0])


def test_a_decoder_built_on_no_device_keeps_its_frequencies(text: DecoderConfig) -> None:
    positions = torch.arange(6).expand(3, 1, 6)
    with torch.device("meta"):
        empty = Decoder(text)
    expected = Rotary(text)(positions, torch.float32)
    torch.testing.assert_close(empty.rotary(positions, torch.float32), expected)


def test_decoder_is_causal(text: DecoderConfig) -> None:
    decoder = Decoder(text)
    tiny.randomise(decoder)
    inputs = torch.randn(1, 7, text.hidden_size, generator=torch.Generator().manual_seed(3))
    positions = torch.arange(7).expand(3, 1, 7)
    changed = inputs.clone()
    changed[:, 4:] += 1
    with torch.no_grad():
        before, after = decoder(inputs, positions), decoder(changed, positions)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])
