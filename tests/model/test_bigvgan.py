"""The vocoder: parity with `transformers`, and a stream that equals the whole for any chunking."""

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.qwen2_5_omni import modeling_qwen2_5_omni as reference
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniBigVGANConfig

from model.bigvgan import reach_frames
from model.figures import BigVGANConfig
from tests.model.tiny_voice import BIGVGAN, as_reference, random_vocoder

CONFIG = BIGVGAN
VOCODER = random_vocoder()
MEL = torch.randn(8, 61, generator=torch.Generator().manual_seed(1)) * 2 - 4


@torch.no_grad()
def whole(mel: Tensor) -> Tensor:
    return VOCODER(mel[None])[0]


@torch.no_grad()
def test_equals_transformers() -> None:
    theirs = reference.Qwen2_5OmniToken2WavBigVGANModel(
        as_reference(CONFIG, Qwen2_5OmniBigVGANConfig)
    )
    theirs.load_state_dict(VOCODER.state_dict())
    mel = torch.cat((MEL, MEL * 20), dim=1)  # the second half is clipped by the rescaling
    torch.testing.assert_close(whole(mel), theirs(mel[None]), atol=1e-6, rtol=1e-4)


@settings(deadline=None, max_examples=15)
@given(cuts=st.lists(st.integers(0, 61), max_size=6).map(sorted), length=st.integers(1, 61))
@torch.no_grad()
def test_streamed_equals_offline(cuts: list[int], length: int) -> None:
    state = VOCODER.init_state()
    bounds = [0, *(min(cut, length) for cut in cuts), length]
    pieces = [VOCODER.step(state, MEL[:, begin:end]) for begin, end in pairwise(bounds)]
    samples = torch.cat((*pieces, VOCODER.flush(state)))
    torch.testing.assert_close(samples, whole(MEL[:, :length]), atol=1e-6, rtol=1e-4)
    assert state.frames.shape[1] == 0  # ready for the next stream


def test_context_covers_what_the_network_reaches() -> None:
    declared = VOCODER.context_frames
    mel = MEL.clone().requires_grad_()
    begin = 30 * CONFIG.samples_per_frame
    VOCODER(mel[None])[0, begin : begin + CONFIG.samples_per_frame].sum().backward()
    assert mel.grad is not None
    read = mel.grad.abs().sum(0).nonzero().flatten()
    # The outermost taps are so small that a product of all of them is zero in float32.
    assert declared - 2 <= max(30 - int(read.min()), int(read.max()) - 30) <= declared


@torch.no_grad()
def test_state_holds_no_more_than_twice_the_context() -> None:
    state = VOCODER.init_state()
    for _ in range(20):
        VOCODER.step(state, MEL[:, :5])
    assert state.frames.shape[1] <= 2 * VOCODER.context_frames


def test_published_figures_need_their_context() -> None:
    published = BigVGANConfig(
        mel_dim=80,
        upsample_initial_channel=1536,
        resblock_kernel_sizes=(3, 7, 11),
        resblock_dilation_sizes=((1, 3, 5),) * 3,
        upsample_rates=(5, 3, 2, 2, 2, 2),
        upsample_kernel_sizes=(11, 7, 4, 4, 4, 4),
    )
    assert published.samples_per_frame == 240
    assert reach_frames(published) == 34
