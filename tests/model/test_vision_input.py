import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil,
    smart_resize,
)

from model.errors import CheckpointError, ConfigError, InputError
from model.figures import VisionEncoderConfig
from model.vision_input import (
    IMAGE_BOUNDS,
    PixelBounds,
    VisionInput,
    fitted_size,
    load_image_bounds,
    scaled,
)

CONFIG = VisionEncoderConfig(
    depth=1,
    hidden_size=8,
    intermediate_size=8,
    num_heads=1,
    out_hidden_size=8,
    window_size=112,
    fullatt_block_indexes=(0,),
    patch_size=14,
    spatial_merge_size=2,
    temporal_patch_size=2,
)
SMALL = PixelBounds(min_pixels=56 * 56, max_pixels=112 * 112)
VISION = VisionInput(CONFIG, image_bounds=SMALL, video_bounds=SMALL)


def picture(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Colours that change smoothly, with some noise: something a filter has work with."""
    y, x = np.mgrid[0:rows, 0:columns]
    waves = [np.sin(x / 9 + seed) + np.cos(y / 7), np.sin((x + y) / 5), np.cos(x * y / 400)]
    noise = np.random.default_rng(seed).normal(0, 10, (rows, columns, 3))
    return np.clip(np.stack(waves, -1) * 60 + 128 + noise, 0, 255).astype(np.uint8)


def published(image: np.ndarray) -> tuple[torch.Tensor, list[int]]:
    size = {"shortest_edge": SMALL.min_pixels, "longest_edge": SMALL.max_pixels}
    out = Qwen2VLImageProcessorPil(size=size)(image, return_tensors="pt")
    return out["pixel_values"], out["image_grid_thw"][0].tolist()


@pytest.mark.parametrize(
    ("rows", "columns"), [(56, 56), (100, 73), (30, 41), (300, 500), (12, 700)]
)
def test_parity_with_the_published_image_processor(rows, columns):
    image = picture(rows, columns)
    theirs, grid = published(image)
    ours = VISION.image(image)
    assert list(ours.grid) == grid
    torch.testing.assert_close(ours.values, theirs, rtol=0, atol=2e-6)


def test_torchs_own_filter_differs_by_a_rounding():
    """What the reference runs where torchvision is there: this filter on uint8."""
    image = picture(300, 500)
    size = fitted_size(300, 500, 28, SMALL)
    channels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    theirs = torch.nn.functional.interpolate(
        channels, size=size, mode="bicubic", antialias=True, align_corners=False
    )
    theirs = theirs.round().clamp(0, 255)[0].permute(1, 2, 0)
    ours = torch.from_numpy(scaled(image, size).copy()).float()
    assert (ours - theirs).abs().max() <= 1
    assert (ours != theirs).float().mean() < 0.15


@given(rows=st.integers(1, 3000), columns=st.integers(1, 3000))
@settings(max_examples=200, deadline=None)
def test_sizes_are_the_published_ones(rows, columns):
    if max(rows, columns) > 200 * min(rows, columns):
        with pytest.raises(InputError, match="1:200"):
            fitted_size(rows, columns, 28, SMALL)
        return
    theirs = smart_resize(rows, columns, 28, SMALL.min_pixels, SMALL.max_pixels)
    assert fitted_size(rows, columns, 28, SMALL) == theirs


def test_a_step_of_video_holds_each_frame_as_the_image_processor_cuts_it():
    frames = [picture(90, 120, seed=n) for n in range(4)]
    video = VISION.video(frames)
    assert video.grid == (2, *published(frames[0])[1][1:])
    steps = video.values.view(2, -1, 3, 2, 14 * 14)  # step, patch, channel, frame, pixel
    for n, frame in enumerate(frames):
        alone = published(frame)[0].view(-1, 3, 2, 14 * 14)[:, :, 0]
        torch.testing.assert_close(steps[n // 2, :, :, n % 2], alone, rtol=0, atol=2e-6)


@given(count=st.integers(1, 7), cuts=st.lists(st.integers(0, 7), max_size=4))
@settings(max_examples=30, deadline=None)
def test_a_video_in_pieces_equals_the_whole(count, cuts):
    frames = [picture(60, 60, seed=n) for n in range(count)]
    state = VISION.init_state()
    edges = sorted(cut for cut in cuts if cut < count)
    steps = []
    for start, end in zip([0, *edges], [*edges, count], strict=True):
        steps += VISION.step(state, frames[start:end])
    assert len(steps) == count // 2
    steps += VISION.flush(state)
    whole = VISION.video(frames)
    assert whole.grid == (len(steps), 4, 4)
    assert torch.equal(torch.cat([step.values for step in steps]), whole.values)
    assert VISION.flush(state) == []


def test_an_odd_last_frame_is_seen_twice():
    first, last = picture(60, 60), picture(60, 60, seed=1)
    odd = VISION.video([first, first, last])
    even = VISION.video([first, first, last, last])
    assert torch.equal(odd.values, even.values)


def test_a_frame_of_another_size_is_refused_and_the_video_goes_on():
    state = VISION.init_state()
    VISION.step(state, [picture(60, 60)])
    with pytest.raises(InputError, match=r"61 × 60 pixels in a video of \(60, 60\)"):
        VISION.step(state, [picture(60, 60), picture(61, 60)])
    assert len(VISION.step(state, [picture(60, 60)])) == 1


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(InputError, match=r"uint8 \[rows, columns, 3\]"):
        VISION.image(image)
    with pytest.raises(InputError, match=r"uint8 \[rows, columns, 3\]"):
        VISION.video([image])


def test_a_video_without_frames_is_refused():
    with pytest.raises(InputError, match="got 0"):
        VISION.video([])


def test_bounds_come_from_the_checkpoint(tmp_path):
    assert load_image_bounds(tmp_path) == IMAGE_BOUNDS
    path = tmp_path / "preprocessor_config.json"
    for data in (
        {"min_pixels": 3136, "max_pixels": 12845056},
        {"size": {"shortest_edge": 3136, "longest_edge": 12845056}},
        {"max_pixels": 12845056, "size": None},
        {
            "min_pixels": None,
            "max_pixels": None,
            "size": {"shortest_edge": 3136, "longest_edge": 12845056},
        },
    ):
        path.write_text(json.dumps(data))
        bounds = PixelBounds(min_pixels=3136, max_pixels=12845056)
        assert load_image_bounds(tmp_path) == bounds
    for wrong in ("[]", '{"min_pixels": "many"}', "{", '{"min_pixels": 2000000}', '{"size": 3}'):
        path.write_text(wrong)
        with pytest.raises(CheckpointError, match="does not give pixel bounds"):
            load_image_bounds(tmp_path)


def test_impossible_bounds_are_refused():
    with pytest.raises(ConfigError, match=r"min_pixels 9 must be in 1\.\.max_pixels 8"):
        PixelBounds(min_pixels=9, max_pixels=8)
