"""Stage A: the tower learns to spell what it hears (CTC over letters at 50 Hz), block by block.

Knows the training loop that stage B shares: what is resumed, logged and measured. Does not know the
Thinker.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

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

_log = logging.getLogger("omnilive.recipes.letters")


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
    save_every_s: float = 150.0
    measure_every_steps: int = 200
    seed: int = 11
    stop_at_unix_s: float = math.inf
    frozen: tuple[str, ...] = ()  # parameters whose names begin so are left as they are


Loss = Callable[[Ear, Batch, int], tuple[Tensor, dict[str, float]]]
Measure = Callable[[Ear], dict[str, float]]


def letters_only(ear: Ear, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
    """Stage A's loss."""
    loss = letter_loss(ear.letters(ear.hidden(batch)), batch)
    return loss, {"letters": loss.item()}


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


def rate_share(step: int, plan: TrainingPlan) -> float:
    """Share of the learning rate at a step: rises, stays, falls over `cooldown_steps`."""
    rise = min(1.0, (step + 1) / plan.warmup_steps)
    fall = min(1.0, (plan.steps - step) / max(1, plan.cooldown_steps))
    return rise * max(plan.final_rate_share, fall)


def train_ear(
    ear: Ear,
    utterances: Sequence[Utterance],
    plan: TrainingPlan,
    directory: Path,
    loss_of: Loss,
    measure: Measure,
) -> int:
    """Trains until `plan.steps`, continuing from `directory/state.pt` if it is there.

    Every step's losses go to `directory/curve.jsonl`, measurements too.

    Returns:
        The number of steps done so far, by this call and earlier ones.
    """
    directory.mkdir(parents=True, exist_ok=True)
    # `proj` starts from nothing, as the heads do; the rest of the tower from whisper.
    for name, parameter in ear.named_parameters():
        parameter.requires_grad_(not name.startswith(plan.frozen))
    tower = [p for name, p in ear.named_parameters() if _is_old(name)]
    heads = [p for name, p in ear.named_parameters() if not _is_old(name)]
    optimiser = torch.optim.AdamW(
        [{"params": tower, "base": plan.tower_rate}, {"params": heads, "base": plan.head_rate}],
        betas=(0.9, 0.98), weight_decay=0.01, fused=True,
    )  # fmt: skip
    step = resume(directory, ear, optimiser)
    saved_s = started_s = time.monotonic()
    while step < plan.steps and time.time() < plan.stop_at_unix_s:
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * rate_share(step, plan)
        chosen, rng = pick(utterances, plan, step)
        batch = make_batch(chosen, ear.mel, rng)
        with half_precision():
            loss, parts = loss_of(ear, batch, step)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(ear.parameters(), 1.0).item()
        if math.isfinite(norm):
            optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        step += 1
        row: dict[str, float] = {
            "step": step,
            **parts,
            "norm": norm,
            "s": time.monotonic() - started_s,
        }
        if step % plan.measure_every_steps == 0:
            row |= measure(ear)
            _log.info("%s", row)
        with (directory / "curve.jsonl").open("a") as file:
            file.write(json.dumps({k: round(v, 4) for k, v in row.items()}) + "\n")
        if time.monotonic() - saved_s > plan.save_every_s:
            save(directory, ear, optimiser, step)
            saved_s = time.monotonic()
    save(directory, ear, optimiser, step)
    return step


def _is_old(name: str) -> bool:
    return name.startswith("tower.") and not name.startswith("tower.proj.")


def save(directory: Path, ear: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Writes the state beside its place and renames it: a killed run never leaves half a file."""
    partial = directory / "state.part"
    torch.save(
        {"ear": ear.state_dict(), "optimiser": optimiser.state_dict(), "step": step}, partial
    )
    partial.rename(directory / "state.pt")


def resume(directory: Path, ear: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Loads the state if there is one; returns the steps done."""
    path = directory / "state.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    ear.load_state_dict(state["ear"])
    rates = [group["base"] for group in optimiser.param_groups]
    optimiser.load_state_dict(state["optimiser"])
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["base"] = rate
    return int(state["step"])
