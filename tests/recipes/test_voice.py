"""The training of vocoder and DiT: seeded, resumable, exported under published names."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from model.bigvgan import BigVGAN
from model.dit import DiT
from model.recipes.omni_mini import dit, vocoder
from model.recipes.omni_mini.codec import CODE_SAMPLES

UTTERANCES = 4
CODES_EACH = 60


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A shard of four sung utterances, and random codes for it."""
    rng = np.random.default_rng(0)
    time_s = np.arange(CODES_EACH * CODE_SAMPLES) / 24_000
    songs = [8_000 * np.sin(2 * np.pi * 110 * (row + 1) * time_s) for row in range(UTTERANCES)]
    noise = rng.normal(0, 200, UTTERANCES * len(time_s))
    offsets = np.arange(UTTERANCES + 1)
    for name in ("speech", "codes"):
        (tmp_path / name).mkdir()
    np.savez(
        tmp_path / "speech" / "0000.npz",
        audio=(np.concatenate(songs) + noise).astype(np.int16),
        offsets=offsets * len(time_s),
    )
    np.savez(
        tmp_path / "codes" / "0000.npz",
        codes=rng.integers(0, 1024, UTTERANCES * CODES_EACH).astype(np.int16),
        offsets=offsets * CODES_EACH,
    )
    return tmp_path


def curve(directory: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (directory / "curve.jsonl").read_text().splitlines()]


def test_vocoder_learns_resumes_and_exports(work: Path) -> None:
    run = work / "vocoder"
    plan = dataclasses.replace(vocoder.SMOKE, steps=20, discriminator_step=18)
    vocoder.train_vocoder(work / "speech", run, plan)
    vocoder.train_vocoder(work / "speech", run, dataclasses.replace(plan, steps=40))
    first, second = curve(run)
    assert (first["step"], second["step"]) == (20, 40)
    assert second["log_stft"] < first["log_stft"]
    assert {"discriminator", "adversarial", "features"} <= second.keys()
    prefix = "token2wav.code2wav_bigvgan_model."
    tensors = vocoder.export_tensors(run)
    BigVGAN(vocoder.VOCODER_CONFIG).load_state_dict(
        {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    )


def test_dit_learns_resumes_and_exports(work: Path) -> None:
    run = work / "dit"
    plan = dataclasses.replace(dit.SMOKE, steps=20, check_steps=20, peak=1e-2)
    dit.train_dit(work / "speech", work / "codes", run, plan)
    dit.train_dit(work / "speech", work / "codes", run, dataclasses.replace(plan, steps=40))
    errors = [row["mel_error"] for row in curve(run) if "mel_error" in row]
    assert [row["step"] for row in curve(run)] == [20, 20, 40, 40]
    assert errors[1] < errors[0]
    prefix = "token2wav.code2wav_dit_model."
    tensors = dit.export_tensors(run)
    DiT(dit.DIT_CONFIG).load_state_dict(
        {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    )
    speaker = torch.load(run / "speaker.pt", weights_only=True)
    assert speaker["cond"].shape == (1, dit.DIT_CONFIG.enc_emb_dim)


def test_what_a_step_sees_depends_on_the_seed_and_the_step_only(work: Path) -> None:
    plan = dataclasses.replace(vocoder.SMOKE, seed=3)
    first, again = (vocoder.Segments(work / "speech", plan) for _ in range(2))
    mel, samples = first.draw(5)
    assert mel.shape[-1] * 240 == samples.shape[-1]
    assert torch.equal(mel, again.draw(5)[0])
    assert not torch.equal(mel, first.draw(6)[0])
    mels = dit.Mels(work / "speech", work / "codes", dit.SMOKE)
    codes, _ = mels.draw(1)
    assert torch.equal(codes, mels.draw(1)[0])
