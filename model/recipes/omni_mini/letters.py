"""Stage A: the tower learns to spell what it hears (CTC over letters at 50 Hz), block by block.

Knows how an ear is trained, which stage B shares. Does not know the Thinker.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.precision import half_precision
from model.recipes.omni_mini.ear import (
    LETTERS,
    Batch,
    Ear,
    greedy_letters,
    letter_loss,
    letters_of,
    make_batch,
    word_errors,
)
from model.recipes.omni_mini.hearing_data import Utterance
from model.recipes.omni_mini.training import Losses, Run, Schedule


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How long and how fast to train; everything random comes from `seed` and the step's number."""

    steps: int
    tower_rate: float = 1.5e-4
    head_rate: float = 2e-3
    warmup_steps: int = 40
    final_rate_share: float = 0.1
    cooldown_steps: int = 150
    batch_utterances: int = 12
    measure_every_steps: int = 200
    seed: int = 11
    frozen: tuple[str, ...] = ()  # parameters whose names begin so are left as they are

    @property
    def schedule(self) -> Schedule:
        """Learning rates of the heads."""
        return Schedule(
            peak=self.head_rate,
            steps=self.steps,
            warmup_steps=self.warmup_steps,
            decay_steps=self.cooldown_steps,
            final_share=self.final_rate_share,
        )


Loss = Callable[[Ear, Batch, int], Losses]
Measure = Callable[[Ear], dict[str, float]]


def letters_only(ear: Ear, batch: Batch, step: int) -> Losses:
    """Stage A's loss."""
    return {"loss": letter_loss(ear.letters(ear.hidden(batch)), batch)}


@torch.no_grad()
def letter_errors(ear: Ear, utterances: Sequence[Utterance]) -> dict[str, float]:
    """Greedy word error rate by voice, without any language model."""
    counts: dict[str, list[int]] = {}
    for start in range(0, len(utterances), 16):
        some = utterances[start : start + 16]
        batch = make_batch(some, ear.mel, None)
        with half_precision():
            log_probs = ear.letters(ear.hidden(batch))
        for utterance, row, length in zip(some, log_probs, batch.lengths.tolist(), strict=True):
            said = "".join(LETTERS[i] for i in letters_of(utterance.text))
            errors, words = word_errors(greedy_letters(row[:length]), said)
            count = counts.setdefault(f"wer {utterance.voice}", [0, 0])
            count[0] += errors
            count[1] += words
    return {name: errors / words for name, (errors, words) in counts.items()}


def pick(
    utterances: Sequence[Utterance], plan: TrainingPlan, step: int
) -> tuple[list[Utterance], np.random.Generator]:
    """The utterances of a step, of like length, and the randomness to spoil them with."""
    rng = np.random.default_rng([plan.seed, step])
    drawn = rng.integers(len(utterances), size=plan.batch_utterances * 4)
    ordered = sorted((utterances[i] for i in drawn), key=lambda u: len(u.samples))
    first = int(rng.integers(4)) * plan.batch_utterances
    return ordered[first : first + plan.batch_utterances], rng


def train_ear(
    ear: Ear,
    utterances: Sequence[Utterance],
    plan: TrainingPlan,
    directory: Path,
    loss_of: Loss,
    measure: Measure,
) -> int:
    """Trains until `plan.steps`, continuing from `directory/state.pt` if it is there.

    Losses go to `directory/curve.jsonl`, measurements too.

    Returns:
        The number of steps done so far, by this call and earlier ones.
    """
    run = Run(directory, ear, _optimiser(ear, plan))
    run.resume()

    def losses(step: int) -> Losses:
        chosen, rng = pick(utterances, plan, step)
        batch = make_batch(chosen, ear.mel, rng)
        with half_precision():
            return loss_of(ear, batch, step)

    for step in run.train(plan.schedule, losses):
        if step % plan.measure_every_steps == 0:
            run.log(**measure(ear))
    return run.step


def _optimiser(ear: Ear, plan: TrainingPlan) -> torch.optim.Optimizer:
    for name, parameter in ear.named_parameters():
        parameter.requires_grad_(not name.startswith(plan.frozen))
    tower = [p for name, p in ear.named_parameters() if _is_old(name)]
    heads = [p for name, p in ear.named_parameters() if not _is_old(name)]
    groups: list[dict[str, Any]] = [
        {"params": tower, "lr_scale": plan.tower_rate / plan.head_rate},
        {"params": heads},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01, fused=True)


def _is_old(name: str) -> bool:
    """Whether it begins with whisper's weights; `proj` starts from nothing, as the heads do."""
    return name.startswith("tower.") and not name.startswith("tower.proj.")
