import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import (
    Qwen2_5OmniAudioEncoderConfig,
)
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniAudioEncoder

from model.audio_encoder import AudioEncoder, audio_tokens
from model.errors import ConfigError, InputError
from model.figures import AudioEncoderConfig

FIGURES = {
    "num_mel_bins": 8,
    "d_model": 32,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "max_source_positions": 20,
    "n_window": 6,
    "output_dim": 24,
}
CONFIG = AudioEncoderConfig(**FIGURES)
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module")
def encoder() -> AudioEncoder:
    torch.manual_seed(0)
    encoder = AudioEncoder(CONFIG).eval().requires_grad_(False)
    for parameter in encoder.parameters():
        parameter.normal_(std=0.2)
    return encoder


@pytest.fixture(scope="module")
def reference(encoder: AudioEncoder) -> Qwen2_5OmniAudioEncoder:
    config = Qwen2_5OmniAudioEncoderConfig(**FIGURES, attn_implementation="eager")
    reference = Qwen2_5OmniAudioEncoder(config).eval().requires_grad_(False)
    reference.load_state_dict(encoder.state_dict(), strict=True)
    return reference


def mel_frames(count: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(8, count, generator=torch.Generator().manual_seed(seed))


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_streamed_equals_offline_for_any_chunking(encoder: AudioEncoder, data: st.DataObject):
    mel = mel_frames(data.draw(st.integers(0, 45)))
    cuts = sorted(data.draw(st.lists(st.integers(0, mel.shape[1]), max_size=6)))
    state = encoder.init_state()
    pieces = [
        encoder.step(state, mel[:, start:end])
        for start, end in zip([0, *cuts], [*cuts, mel.shape[1]], strict=True)
    ]
    before_flush = sum(len(piece) for piece in pieces)
    assert before_flush == mel.shape[1] // CONFIG.block_frames * (CONFIG.n_window // 2)
    streamed = torch.cat([*pieces, encoder.flush(state)])
    torch.testing.assert_close(streamed, encoder(mel), **TOLERANCE)
    assert state.pending.shape == (8, 0)


@pytest.mark.parametrize("lengths", [[12], [1], [2], [3], [13, 5], [24, 12, 31], [7, 45, 1, 14]])
def test_parity_with_the_reference_on_clips_of_odd_lengths(encoder, reference, lengths):
    clips = [mel_frames(length, seed=length) for length in lengths]
    theirs = reference(torch.cat(clips, dim=1), feature_lens=torch.tensor(lengths))
    ours = torch.cat([encoder(clip) for clip in clips])
    torch.testing.assert_close(ours, theirs.last_hidden_state, **TOLERANCE)
    assert len(ours) == sum(audio_tokens(length) for length in lengths)


def test_parameters_are_the_published_ones(encoder, reference):
    ours = {name: tensor.shape for name, tensor in encoder.state_dict().items()}
    assert ours == {name: tensor.shape for name, tensor in reference.state_dict().items()}
    assert "layers.0.self_attn.k_proj.bias" not in ours


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_block_does_not_depend_on_who_shares_its_batch(encoder, lengths, seed):
    blocks = [mel_frames(length, seed + length) for length in lengths]
    together = encoder.encode_blocks(blocks)
    for block, shared in zip(blocks, together, strict=True):
        torch.testing.assert_close(shared, encoder.encode_blocks([block])[0], **TOLERANCE)


def test_padding_is_never_read(encoder):
    lengths = [5, 12]
    mel = torch.stack([mel_frames(12), mel_frames(12, 2)])
    junk = mel.clone()
    junk[0, :, 5:] = torch.nan
    clean, dirty = encoder.encode_padded(mel, lengths), encoder.encode_padded(junk, lengths)
    assert clean.shape == (2, 3, 24)
    torch.testing.assert_close(clean[0, : audio_tokens(5)], dirty[0, : audio_tokens(5)])
    torch.testing.assert_close(clean[1], dirty[1])


def test_the_50_hz_states_are_what_pooling_takes(encoder, reference):
    mel = mel_frames(12)
    theirs = reference(mel, feature_lens=torch.tensor([12]), output_hidden_states=True)
    states = encoder.hidden_states_50hz(mel[None], [12])
    torch.testing.assert_close(states[0], theirs.hidden_states[-1], **TOLERANCE)
    torch.testing.assert_close(encoder.pool_and_project(states)[0], encoder(mel))


def test_gradients_reach_every_parameter_that_is_read():
    encoder = AudioEncoder(CONFIG)
    encoder.encode_padded(torch.randn(2, 8, 12), [12, 7]).sum().backward()
    without = {name for name, parameter in encoder.named_parameters() if parameter.grad is None}
    assert without == {"audio_bos_eos_token.weight"}


def test_a_model_built_on_the_meta_device_keeps_its_positions():
    with torch.device("meta"):
        encoder = AudioEncoder(CONFIG)
    assert encoder.conv1.weight.is_meta
    torch.testing.assert_close(encoder.positions, AudioEncoder(CONFIG).positions)


@pytest.mark.parametrize(
    ("shape", "lengths", "message"),
    [
        ((1, 9, 12), [12], r"takes \[B, 8, T\]"),
        ((1, 8, 12), [12, 12], "2 lengths for 1 blocks"),
        ((1, 8, 13), [13], r"outside 1\.\.12"),
        ((1, 8, 4), [5], r"outside 1\.\.4"),
        ((1, 8, 4), [0], r"outside 1\.\.4"),
    ],
)
def test_misshapen_input_is_refused_with_the_limit(encoder, shape, lengths, message):
    with pytest.raises(InputError, match=message):
        encoder.encode_padded(torch.zeros(shape), lengths)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_window": 5}, "n_window must be even"),
        ({"encoder_attention_heads": 5}, "encoder_attention_heads 5"),
        ({"n_window": 22}, "max_source_positions 20"),
    ],
)
def test_impossible_figures_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        AudioEncoder(AudioEncoderConfig(**{**FIGURES, **change}))
