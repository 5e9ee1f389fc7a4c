"""Stage `vocoder`: BigVGAN learns the teacher's voice from its own log-mels.

Spectral distances alone at first, for they teach most of it in the fewest steps; then a
discriminator joins, for without one every sound that has no pitch buzzes. Convolutions run under
bfloat16 autocast.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.alias_free_kernels import compile_loops
from model.bigvgan import BigVGAN
from model.figures import BigVGANConfig
from model.precision import half_precision
from model.recipes.omni_mini.training import Run, Schedule, trained
from model.recipes.omni_mini.vocoder_losses import (
    SpectrogramDiscriminator,
    discriminator_loss,
    feature_distance,
    generator_loss,
    mel_distance,
    spectral_distance,
)
from model.speech_mel import HOP_SAMPLES, MEL_BINS, speech_mel

# Few channels where there are many samples: 0.1 x real time on one CPU thread, 2.2 M parameters, 15
# frames of context.
VOCODER_CONFIG = BigVGANConfig(
    mel_dim=MEL_BINS,
    upsample_initial_channel=256,
    resblock_kernel_sizes=(3, 7),
    resblock_dilation_sizes=((1, 3, 5), (1, 3, 5)),
    upsample_rates=(10, 3, 2, 4),
    upsample_kernel_sizes=(20, 7, 4, 8),
)
# Frames of real sound around a segment, so that its mel is that of the middle of speech.
_MARGIN_FRAMES = 3


@dataclass(frozen=True, kw_only=True)
class VocoderPlan:
    """How long and on what the vocoder trains.

    Attributes:
        steps: Whole length; the last third of it decays the learning rate.
        discriminator_step: When the discriminator joins.
        batch: Segments a step.
        segment_frames: Length of a segment (10 ms each).
        max_shards: Shards held in memory.
        compiled: Whether to compile the activations first; not worth it for a few steps.
    """

    steps: int = 6_000
    discriminator_step: int = 1_500
    batch: int = 6
    segment_frames: int = 32
    max_shards: int = 40
    peak: float = 7e-4
    compiled: bool = True
    seed: int = 0


SMOKE = VocoderPlan(
    steps=4, discriminator_step=2, batch=2, segment_frames=16, max_shards=1, compiled=False
)


class Adversaries(nn.Module):
    """Generator and discriminator in one module, so that one run saves and resumes both."""

    def __init__(self, config: BigVGANConfig = VOCODER_CONFIG) -> None:
        super().__init__()
        self.generator = BigVGAN(config)
        self.discriminator = SpectrogramDiscriminator()


class Segments:
    """Draws random segments of speech; new shards are picked up as they appear."""

    def __init__(self, speech: Path, plan: VocoderPlan) -> None:
        self._speech, self._plan = speech, plan
        self._shards: list[np.ndarray] = []
        self._names: set[str] = set()
        self.look()

    def look(self) -> None:
        """Loads shards that were not there at the last look."""
        for path in sorted(self._speech.glob("[0-9][0-9][0-9][0-9].npz")):
            if path.name not in self._names and len(self._names) < self._plan.max_shards:
                self._names.add(path.name)
                self._shards.append(np.load(path)["audio"])

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Returns log-mels `[B, 80, F]` and their samples `[B, 240 F]`, by step and seed."""
        rng = np.random.default_rng((self._plan.seed, step))
        length = (self._plan.segment_frames + 2 * _MARGIN_FRAMES) * HOP_SAMPLES
        rows: list[np.ndarray] = []
        while len(rows) < self._plan.batch:
            shard = self._shards[rng.integers(len(self._shards))]
            start = int(rng.integers(len(shard) - length))
            row = shard[start : start + length].astype(np.float32) / 32_768
            # Pauses teach little: most of them are drawn again.
            if np.abs(row).max() > 0.02 or rng.random() < 0.1:
                rows.append(row)
        samples = torch.from_numpy(np.stack(rows))
        mel = speech_mel(samples)[..., _MARGIN_FRAMES:-_MARGIN_FRAMES]
        margin = _MARGIN_FRAMES * HOP_SAMPLES
        return mel, samples[:, margin:-margin]


def vocoder_losses(
    model: Adversaries, segments: Segments, plan: VocoderPlan, step: int
) -> dict[str, Tensor]:
    """One step's losses; `loss` sums both sides', each of which reaches its own parameters only."""
    if step % 500 == 0:
        segments.look()
    mel, real = segments.draw(step)
    with half_precision():
        made = model.generator(mel)
    made = made.float()
    log_distance, linear_distance = spectral_distance(made, real)
    mels = mel_distance(made, real)
    losses = {"log_stft": log_distance, "linear_stft": linear_distance, "mel": mels}
    total = log_distance + linear_distance + mels
    if step >= plan.discriminator_step:
        with half_precision():
            real_scores, real_features = model.discriminator(real)
            made_scores, _ = model.discriminator(made.detach())
            model.discriminator.requires_grad_(False)
            scores, features = model.discriminator(made)
            model.discriminator.requires_grad_(True)
        losses["discriminator"] = discriminator_loss(real_scores, made_scores)
        losses["adversarial"] = generator_loss(scores)
        losses["features"] = feature_distance(real_features, features)
        total = total + losses["discriminator"] + 0.2 * losses["adversarial"] + losses["features"]
    return losses | {"loss": total}


def train_vocoder(speech: Path, directory: Path, plan: VocoderPlan | None = None) -> None:
    """Trains, or goes on training, the vocoder.

    Args:
        speech: Shards of the teacher.
        directory: Where the run is kept.
        plan: Length and batch.
    """
    plan = plan or VocoderPlan()
    if plan.compiled:
        compile_loops(training=True)
    torch.manual_seed(plan.seed)
    model = Adversaries()
    groups: list[dict[str, Any]] = [
        {"params": list(model.generator.parameters())},
        {"params": list(model.discriminator.parameters()), "lr_scale": 0.5},
    ]
    optimizer = torch.optim.AdamW(
        groups,
        betas=(0.8, 0.99),
        weight_decay=0.01,
    )
    run = Run(directory, model, optimizer)
    run.resume()
    schedule = Schedule(
        peak=plan.peak, steps=plan.steps, warmup_steps=100, decay_steps=plan.steps // 3
    )
    segments = Segments(speech, plan)
    losses = functools.partial(vocoder_losses, model, segments, plan)
    for _ in run.train(schedule, losses):
        pass


def export_tensors(directory: Path) -> dict[str, Tensor]:
    """Returns the trained vocoder's tensors under their published names."""
    state = trained(directory)
    prefix = "generator."
    return {
        "token2wav.code2wav_bigvgan_model." + name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }
