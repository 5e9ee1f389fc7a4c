import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor

from model.errors import ConfigError, InputError
from model.mel import LogMel, mel_filters, mel_frames

MEL = LogMel(80, block_frames=20)
BLOCK_SAMPLES = 20 * 160


def noise(samples: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(samples, generator=torch.Generator().manual_seed(seed)) * 0.1


def voice(seconds: float, *, lead_silence_s: float = 0.0) -> torch.Tensor:
    """Something with speech's dynamics: a gliding harmonic tone in syllables that grow louder."""
    t = torch.arange(int(seconds * 16_000)) / 16_000
    pitch_hz = 120 + 30 * torch.sin(2 * torch.pi * 0.7 * t)
    phase = torch.cumsum(2 * torch.pi * pitch_hz / 16_000, 0)
    tone = sum(torch.sin(h * phase) / h**1.5 for h in range(1, 30))
    syllables = torch.sin(2 * torch.pi * 2 * t).clamp(min=0) ** 2
    loudness = torch.linspace(0.02, 0.5, len(t))
    speech = tone * syllables * loudness * 0.4
    return torch.cat([torch.zeros(int(lead_silence_s * 16_000)), speech])


def published(samples: torch.Tensor, bins: int = 80) -> torch.Tensor:
    extractor = WhisperFeatureExtractor(feature_size=bins, chunk_length=10)
    out = extractor(
        samples.numpy(),
        sampling_rate=16_000,
        return_tensors="pt",
        return_attention_mask=True,
        padding="max_length",
    )
    return out["input_features"][0, :, out["attention_mask"][0].bool()]


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize("samples", [1, 100, 159, 160, 161, 199, 201, 400, 4000, 16_001, 50_007])
def test_parity_with_the_published_features_at_any_length(bins, samples):
    clip = noise(samples, seed=samples)
    theirs = published(clip, bins)
    ours = LogMel(bins).forward(clip)
    assert ours.shape == theirs.shape == (bins, mel_frames(samples))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)


def test_parity_on_silence_and_on_a_voice():
    for clip in (torch.zeros(1000), voice(3, lead_silence_s=0.5)):
        torch.testing.assert_close(LogMel(80).forward(clip), published(clip), rtol=0, atol=2e-5)


@pytest.mark.parametrize("bins", [80, 128])
def test_the_filters_are_the_published_ones(bins):
    theirs = WhisperFeatureExtractor(feature_size=bins).mel_filters
    np.testing.assert_allclose(mel_filters(bins), theirs.T, rtol=1e-9, atol=1e-12)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_streamed_equals_running_bit_for_bit_for_any_chunking(data: st.DataObject):
    edges = [0, 1, 160, BLOCK_SAMPLES, BLOCK_SAMPLES + 39, BLOCK_SAMPLES + 40, 2 * BLOCK_SAMPLES]
    length = data.draw(st.one_of(st.sampled_from(edges), st.integers(0, 3 * BLOCK_SAMPLES)))
    clip = noise(length)
    cuts = sorted(data.draw(st.lists(st.integers(0, length), max_size=6)))
    state = MEL.init_state()
    blocks = []
    for start, end in zip([0, *cuts], [*cuts, length], strict=True):
        blocks += MEL.step(state, clip[start:end])
    assert all(block.shape == (80, 20) for block in blocks)
    peeked = MEL.peek(state)
    tail = MEL.flush(state)
    assert all(map(torch.equal, peeked, tail))
    assert all(1 <= block.shape[1] <= 20 for block in tail)
    streamed = torch.cat([torch.zeros(80, 0), *blocks, *tail], dim=1)
    assert streamed.shape[1] == mel_frames(length)
    assert torch.equal(streamed, MEL.running(clip))
    assert len(state.pending) == 0


def test_a_block_leaves_40_samples_after_its_last_hop():
    state = MEL.init_state()
    assert MEL.step(state, noise(BLOCK_SAMPLES + 39)) == []
    assert len(MEL.step(state, noise(1))) == 1
    assert MEL.step(state, noise(BLOCK_SAMPLES - 1)) == []
    assert len(MEL.step(state, noise(1))) == 1


def test_emitted_blocks_are_final_and_peeking_leaves_no_trace():
    clip = voice(2)
    quiet, loud = MEL.init_state(), MEL.init_state()
    first = MEL.step(quiet, clip)
    MEL.peek(loud)
    again = MEL.step(loud, torch.cat([clip, torch.ones(2 * BLOCK_SAMPLES)]))
    MEL.peek(loud)
    assert len(again) > len(first) > 5
    assert all(map(torch.equal, first, again))


@pytest.mark.parametrize("lead_silence_s", [0.0, 2.5])
@pytest.mark.parametrize("gain", [0.1, 1.0, 2.0])
def test_the_running_maximum_differs_by_no_more_than_the_docstring_says(gain, lead_silence_s):
    mel = LogMel(80, block_frames=200)
    clip = voice(7, lead_silence_s=lead_silence_s) * gain
    whole, streamed = mel.forward(clip), mel.running(clip)
    loudest = whole.max().item() * 4 - 4
    heard = 0.0
    for start in range(0, whole.shape[1], 200):
        block, ours = whole[:, start : start + 200], streamed[:, start : start + 200]
        heard = max(heard, block.max().item() * 4 - 4)
        bound = abs(loudest - heard) / 4
        assert (block - ours).abs().max() <= bound + 1e-5
        # Above both clamps the two agree.
        above = block > (max(loudest, heard) - 8 + 4) / 4 + 1e-4
        torch.testing.assert_close(ours[above], block[above], rtol=0, atol=1e-5)
    assert (whole - streamed).abs().max() < 0.5


def test_with_a_microphones_noise_floor_the_running_maximum_changes_next_to_nothing():
    clip = voice(7)
    clip = clip + noise(len(clip)) * 0.01  # -60 dB: a quiet room
    mel = LogMel(80, block_frames=200)
    differences = (mel.running(clip) - mel.forward(clip)).abs()
    assert (differences > 1e-5).float().mean() < 0.002
    assert differences.mean() < 1e-4


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (torch.zeros(2, 5), r"one vector of floats.*\[2, 5\]"),
        (torch.zeros(5, dtype=torch.int16), "int16"),
        (torch.tensor([0.0, torch.nan]), "finite"),
        (torch.tensor([0.0, torch.inf]), "finite"),
    ],
)
def test_what_is_not_sound_is_refused(samples, message):
    with pytest.raises(InputError, match=message):
        MEL.forward(samples)
    with pytest.raises(InputError, match=message):
        MEL.step(MEL.init_state(), samples)


def test_impossible_figures_are_refused():
    with pytest.raises(ConfigError, match="at least 1: 0, 200"):
        LogMel(0)
