from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import (
    Qwen2_5OmniVisionEncoderConfig,
)
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniVisionEncoder

from model.errors import ConfigError, InputError
from model.figures import VisionEncoderConfig
from model.vision_encoder import VisionEncoder

FIGURES = {
    "depth": 3,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_heads": 4,
    "out_hidden_size": 24,
    "window_size": 24,
    "fullatt_block_indexes": (1,),
    "patch_size": 4,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}  # windows of 3 × 3 merge groups
CONFIG = VisionEncoderConfig(**FIGURES)
VALUES = 3 * 2 * 4 * 4
TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}


@pytest.fixture(scope="module")
def encoder() -> VisionEncoder:
    torch.manual_seed(0)
    encoder = VisionEncoder(CONFIG).eval().requires_grad_(False)
    for parameter in encoder.parameters():
        parameter.normal_(std=0.2)
    return encoder


@pytest.fixture(scope="module")
def reference(encoder: VisionEncoder) -> Qwen2_5OmniVisionEncoder:
    config = Qwen2_5OmniVisionEncoderConfig(**FIGURES, attn_implementation="eager")
    reference = Qwen2_5OmniVisionEncoder(config).eval().requires_grad_(False)
    reference.load_state_dict(encoder.state_dict(), strict=True)
    return reference


def patches(*grids: tuple[int, int, int], seed: int = 1) -> torch.Tensor:
    count = sum(steps * rows * columns for steps, rows, columns in grids)
    return torch.randn(count, VALUES, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "grids",
    [
        [(1, 2, 2)],
        [(1, 6, 6)],  # one window, exactly
        [(1, 8, 14)],  # ragged to both sides
        [(3, 12, 4)],
        [(1, 4, 6), (2, 8, 8), (1, 2, 20)],
    ],
)
def test_parity_with_the_reference(encoder, reference, grids):
    pixels = patches(*grids)
    theirs = reference(pixels, grid_thw=torch.tensor(grids)).pooler_output
    ours = encoder(pixels, grids)
    assert ours.shape == (len(pixels) // 4, 24)
    torch.testing.assert_close(ours, theirs, **TOLERANCE)


def test_parameters_are_the_published_ones(encoder, reference):
    ours = {name: tensor.shape for name, tensor in encoder.state_dict().items()}
    assert ours == {name: tensor.shape for name, tensor in reference.state_dict().items()}


@given(
    steps=st.integers(1, 5),
    cuts=st.lists(st.integers(0, 5), max_size=3),
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
)
@settings(max_examples=25, deadline=None)
def test_a_video_in_pieces_equals_the_whole(encoder, steps, cuts, rows, columns):
    grid = (steps, 2 * rows, 2 * columns)
    pixels = patches(grid)
    per_step = 4 * rows * columns
    edges = sorted({0, steps, *(cut for cut in cuts if cut < steps)})
    pieces = [
        encoder(pixels[start * per_step : end * per_step], [(end - start, *grid[1:])])
        for start, end in pairwise(edges)
    ]
    torch.testing.assert_close(torch.cat(pieces), encoder(pixels, [grid]), **TOLERANCE)


def test_a_picture_does_not_depend_on_who_shares_its_batch(encoder):
    grids = [(1, 8, 6), (2, 4, 10), (1, 8, 6)]
    alone = [encoder(patches(grid, seed=n), [grid]) for n, grid in enumerate(grids)]
    shared = encoder(torch.cat([patches(grid, seed=n) for n, grid in enumerate(grids)]), grids)
    torch.testing.assert_close(shared, torch.cat(alone), **TOLERANCE)


def test_a_layout_first_used_for_inference_serves_training():
    encoder = VisionEncoder(CONFIG)
    pixels = patches((1, 2, 14))
    with torch.inference_mode():
        encoder(pixels, [(1, 2, 14)])
    encoder(pixels, [(1, 2, 14)]).sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


@pytest.mark.parametrize(
    ("shape", "grids", "message"),
    [
        ((4, VALUES + 1), [(1, 2, 2)], rf"takes \[N, {VALUES}\]"),
        ((4, VALUES), [(1, 2, 4)], "4 patches for grids"),
        ((6, VALUES), [(1, 3, 2)], "fill 2s"),
        ((0, VALUES), [(0, 2, 2)], "must be positive"),
        ((0, VALUES), [], "0 patches for grids"),
    ],
)
def test_misshapen_input_is_refused(encoder, shape, grids, message):
    with pytest.raises(InputError, match=message):
        encoder(torch.zeros(shape), grids)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_heads": 5}, "num_heads 5"),
        ({"num_heads": 16}, "multiple of 4"),
        ({"window_size": 7}, "window_size 7"),
        ({"fullatt_block_indexes": (1, 3)}, r"\[3\] are not below depth 3"),
    ],
)
def test_impossible_figures_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        VisionEncoder(VisionEncoderConfig(**{**FIGURES, **change}))
