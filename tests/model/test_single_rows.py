"""Decode steps of few rows: packed layers and projections give what the whole pass gives."""

import pytest
import torch
from torch import Tensor

from model.config import DecoderConfig
from model.kv_cache import KVCache
from model.layers import Decoder, Projection, pack_for_steps, round_for_steps, step_bytes
from tests.model import tiny

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def config() -> DecoderConfig:
    return tiny.config().thinker.text


def packed(decoder: Decoder) -> Decoder:
    """The decoder, rounded and packed, or the end of the test where nothing can be compiled."""
    round_for_steps(decoder)
    if not pack_for_steps(decoder):
        pytest.skip("no C++ compiler on this machine")
    return decoder


def stepped(decoder: Decoder, config: DecoderConfig, inputs: Tensor) -> Tensor:
    """Inputs [B, T, D] one position at a time, all rows together."""
    rows, width = inputs.shape[:2]
    cache = KVCache(config, slots=rows, capacity_tokens=width)
    outs = []
    for t in range(width):
        append = cache.begin(range(rows), [1] * rows, 1)
        position = torch.full((3, rows, 1), t)
        outs.append(decoder(inputs[:, t : t + 1], position, append))
        append.commit()
    return torch.cat(outs, dim=1)


@torch.inference_mode()
def test_packed_steps_equal_the_whole_pass(config: DecoderConfig) -> None:
    decoder = Decoder(config)
    tiny.randomise(decoder)
    inputs = torch.randn(3, 5, config.hidden_size, generator=torch.Generator().manual_seed(1))
    whole = packed(decoder)(inputs, torch.arange(5).expand(3, 3, 5))
    got = stepped(decoder, config, inputs)
    torch.testing.assert_close(got, whole, rtol=1e-5, atol=1e-5)
    # Rows do not meet: alone, a row is the same to the last bit.
    assert torch.equal(stepped(decoder, config, inputs[1:2]), got[1:2])


@torch.inference_mode()
def test_projection_of_few_rows_equals_that_of_many() -> None:
    projection = Projection(24, 40)
    tiny.randomise(projection)
    x = torch.randn(2, 5, 24, generator=torch.Generator().manual_seed(2))
    round_for_steps(projection)
    many = projection(x)
    if not pack_for_steps(projection):
        pytest.skip("no C++ compiler on this machine")
    assert step_bytes(projection) == 2 * 24 * 40 + 4 * 40
    torch.testing.assert_close(projection(x[:, 2]), many[:, 2], rtol=1e-5, atol=1e-5)
    assert torch.equal(projection(x), many)


def test_unpacked_steps_read_all_parameters() -> None:
    assert step_bytes(Projection(24, 40)) == 4 * (24 * 40 + 40)


def test_what_bfloat16_would_change_is_not_packed(config: DecoderConfig) -> None:
    decoder = Decoder(config)
    tiny.randomise(decoder)
    assert not pack_for_steps(decoder)
    assert not pack_for_steps(decoder.bfloat16())
