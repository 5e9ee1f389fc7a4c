"""Token2Wav: parity with `transformers`, and the laws of its stream."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.qwen2_5_omni import modeling_qwen2_5_omni as reference
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import (
    Qwen2_5OmniBigVGANConfig,
    Qwen2_5OmniDiTConfig,
    Qwen2_5OmniToken2WavConfig,
)

from model.errors import ConfigError, InputError
from model.extras import ChunkPolicy, SolverConfig
from model.token2wav import Speaker, Token2Wav
from tests.model.tiny_voice import DIT, TOKEN2WAV, as_reference, random_dit, random_vocoder

EULER = SolverConfig(method="euler", num_steps=4, guidance_scale=0.0, sway_coefficient=None)
GENERATOR = torch.Generator().manual_seed(11)
BLOCK = DIT.block_codes
CODES = torch.randint(DIT.num_embeds, (11 * BLOCK + 1,), generator=GENERATOR)
SPEAKERS = [
    Speaker(
        name=name,
        cond=torch.randn(1, DIT.enc_emb_dim, generator=GENERATOR),
        ref_mel=torch.randn(1, 20 + 5 * index, DIT.mel_dim, generator=GENERATOR),
        bos_token=0,
    )
    for index, name in enumerate(("Ada", "Bob"))
]
SPEAKER = SPEAKERS[0]


def random_token2wav(solver: SolverConfig) -> Token2Wav:
    model = Token2Wav(TOKEN2WAV, solver=solver).eval()
    model.code2wav_dit_model.load_state_dict(random_dit().state_dict())
    model.code2wav_bigvgan_model.load_state_dict(random_vocoder().state_dict())
    return model


MODEL = random_token2wav(EULER)


def streamed(
    codes: Tensor, cuts: list[int], *, seed: int = 7, speaker: Speaker = SPEAKER
) -> Tensor:
    """The samples of a stream whose codes arrive in pieces cut at `cuts`."""
    state = MODEL.init_state(speaker, seed)
    bounds = [0, *sorted(min(cut, len(codes)) for cut in cuts), len(codes)]
    pieces = [MODEL.step(state, codes[begin:end]) for begin, end in pairwise(bounds)]
    return torch.cat((*pieces, MODEL.flush(state)))


def offline(codes: Tensor, *, seed: int = 7) -> Tensor:
    return MODEL(codes[None], SPEAKER, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
@pytest.mark.parametrize("guidance", [0.5, 0.0])
def test_mel_and_waveform_equal_transformers(
    guidance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = reference.Qwen2_5OmniToken2WavModel(
        Qwen2_5OmniToken2WavConfig(
            dit_config=as_reference(TOKEN2WAV.dit, Qwen2_5OmniDiTConfig),
            bigvgan_config=as_reference(TOKEN2WAV.bigvgan, Qwen2_5OmniBigVGANConfig),
            attn_implementation="sdpa",
        )
    ).eval()
    theirs.load_state_dict(MODEL.state_dict())
    codes = CODES[None, : 4 * BLOCK + 3]
    noise = torch.randn(1, codes.shape[1] * DIT.repeats, DIT.mel_dim)
    monkeypatch.setattr(torch, "randn", lambda *_, **__: noise.clone())
    solver = SolverConfig(num_steps=4, guidance_scale=guidance)
    expected_mel = theirs.code2wav_dit_model.sample(
        SPEAKER.cond, SPEAKER.ref_mel, codes, num_steps=4, guidance_scale=guidance
    )
    mel = MODEL.mel(codes, SPEAKER, noise=noise, solver=solver)
    torch.testing.assert_close(mel, expected_mel, atol=2e-5, rtol=1e-4)
    samples = MODEL(codes, SPEAKER, noise=noise, solver=solver)
    expected = theirs.code2wav_bigvgan_model(expected_mel)
    torch.testing.assert_close(samples, expected, atol=1e-5, rtol=1e-4)


@settings(deadline=None, max_examples=10)
@given(cuts=st.lists(st.integers(0, len(CODES)), max_size=5), length=st.integers(0, len(CODES)))
def test_samples_do_not_depend_on_how_codes_arrive(cuts: list[int], length: int) -> None:
    codes = CODES[:length]
    samples = streamed(codes, cuts)
    assert len(samples) == length * TOKEN2WAV.samples_per_code
    torch.testing.assert_close(samples, streamed(codes, []), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("length", [1, BLOCK - 1, BLOCK, 2 * BLOCK - 1])
def test_a_stream_no_longer_than_its_first_window_equals_offline(length: int) -> None:
    samples = streamed(CODES[:length], [1])
    torch.testing.assert_close(samples, offline(CODES[:length]), atol=1e-6, rtol=1e-4)


def test_later_codes_never_change_emitted_samples() -> None:
    first, second = MODEL.init_state(SPEAKER, 3), MODEL.init_state(SPEAKER, 3)
    begin = CODES[: 5 * BLOCK]
    emitted = MODEL.step(first, begin)
    assert len(emitted) > 0
    torch.testing.assert_close(MODEL.step(second, begin), emitted, atol=0, rtol=0)
    one = torch.cat((emitted, MODEL.step(first, CODES[5 * BLOCK :])))
    other = torch.cat((emitted, MODEL.step(second, CODES[: 4 * BLOCK])))
    # Both go on from the same samples, and the part behind them does differ.
    assert not torch.equal(one[: len(other)], other[: len(one)])
    torch.testing.assert_close(
        streamed(CODES, [5 * BLOCK], seed=3)[: len(emitted)], emitted, atol=1e-6, rtol=1e-5
    )


def test_streamed_is_near_offline_in_mel_and_in_spectrum() -> None:
    """The bound that the module's docstring speaks of, with the published solver and guidance."""
    model = random_token2wav(SolverConfig(num_steps=5))
    state = model.init_state(SPEAKER, 7)
    samples = torch.cat((model.step(state, CODES), model.flush(state)))
    whole = model(CODES[None], SPEAKER, generator=torch.Generator().manual_seed(7))
    other_noise = model(CODES[None], SPEAKER, generator=torch.Generator().manual_seed(8))
    near, far = spectral_distance_db(samples, whole), spectral_distance_db(other_noise, whole)
    assert 0 < near < 0.5 * far


def spectral_distance_db(first: Tensor, second: Tensor) -> float:
    """Mean log-spectral distance of two waveforms, in dB."""

    def log_spectrum(samples: Tensor) -> Tensor:
        window = torch.hann_window(64)
        return 20 * torch.log10(
            torch.stft(samples, 64, window=window, return_complex=True).abs() + 1e-4
        )

    difference = log_spectrum(first) - log_spectrum(second)
    return float(difference.square().mean(dim=0).sqrt().mean())


def test_streams_in_one_batch_do_not_change_each_other() -> None:
    lengths = [(5 * BLOCK, 0), (2 * BLOCK, 6), (6 * BLOCK, 1)]
    speakers = [SPEAKERS[index % 2] for index in range(3)]
    states = [MODEL.init_state(speaker, seed) for seed, speaker in enumerate(speakers)]
    codes = [CODES[start : start + length] for length, start in lengths]
    together = MODEL.step_many(states, codes)
    together = [
        torch.cat((samples, MODEL.flush(state)))
        for samples, state in zip(together, states, strict=True)
    ]
    for seed, (speaker, given_codes, samples) in enumerate(
        zip(speakers, codes, together, strict=True)
    ):
        alone = streamed(given_codes, [], seed=seed, speaker=speaker)
        torch.testing.assert_close(samples, alone, atol=1e-5, rtol=1e-4)


def test_codes_until_next_is_when_a_chunk_is_solved() -> None:
    state = MODEL.init_state(SPEAKER, 0)
    waits = []
    for code in CODES:
        waits.append(MODEL.codes_until_next(state))
        MODEL.step(state, code[None])
    # One block and its look-ahead; then two, then four more blocks.
    expected = [2 * BLOCK, *[2 * BLOCK], *[4 * BLOCK], *[4 * BLOCK]]
    begins = [index for index, wait in enumerate(waits) if index == 0 or wait > waits[index - 1]]
    assert [waits[index] for index in begins] == expected[: len(begins)]
    assert begins == [0, 2 * BLOCK, 4 * BLOCK, 8 * BLOCK]


def test_state_stays_bounded() -> None:
    state = MODEL.init_state(SPEAKER, 0)
    for _ in range(8):
        MODEL.step(state, CODES)
    largest = (2 + 4 + 1) * BLOCK
    assert len(state.codes) < largest
    assert len(state.noise) <= largest * DIT.repeats


def test_a_code_outside_the_codebook_is_refused_and_changes_nothing() -> None:
    state = MODEL.init_state(SPEAKER, 7)
    MODEL.step(state, CODES[:3])
    with pytest.raises(InputError, match=str(DIT.num_embeds + 1)):
        MODEL.step(state, torch.tensor([0, DIT.num_embeds + 1]))
    rest = torch.cat((MODEL.step(state, CODES[3:]), MODEL.flush(state)))
    torch.testing.assert_close(rest, streamed(CODES, [3]), atol=1e-6, rtol=1e-5)


def test_chunk_policies_that_cannot_be_are_refused() -> None:
    assert [ChunkPolicy(blocks=(1, 3)).size(chunk) for chunk in range(4)] == [1, 3, 3, 3]
    for blocks in ((), (1, 0)):
        with pytest.raises(ConfigError, match="at least 1 block"):
            ChunkPolicy(blocks=blocks)
    with pytest.raises(ConfigError, match="vocoder_context_frames"):
        ChunkPolicy(vocoder_context_frames=0)


def test_less_context_speaks_earlier() -> None:
    eager = Token2Wav(TOKEN2WAV, EULER, ChunkPolicy(vocoder_context_frames=3)).eval()
    eager.load_state_dict(MODEL.state_dict())
    first = [
        len(model.step(model.init_state(SPEAKER, 0), CODES[: 2 * BLOCK]))
        for model in (eager, MODEL)
    ]
    assert first == [(DIT.block_size - 3) * TOKEN2WAV.bigvgan.samples_per_frame, 0]
