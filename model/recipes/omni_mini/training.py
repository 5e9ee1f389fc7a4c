"""What every training stage shares: the step counter, the learning-rate schedule, the saved state
and the curve.

A run lives in one directory: `state.pt` (model, optimiser, step; written beside and renamed, so a
killed run resumes from its last save) and `curve.jsonl` (one line a report).
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.weights import TensorFiles

_log = logging.getLogger("omnilive.recipes.training")

Losses = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Warm-up, plateau, and a linear decay at the end.

    Attributes:
        peak: Learning rate of the plateau.
        steps: Whole length.
        warmup_steps: Linear rise.
        decay_steps: Linear fall to zero that ends at `steps`.
        final_share: Share of the peak below which it does not fall.
    """

    peak: float
    steps: int
    warmup_steps: int = 100
    decay_steps: int = 0
    final_share: float = 0.0

    def at(self, step: int) -> float:
        """Returns the learning rate of a step."""
        rise = min(1.0, (step + 1) / max(1, self.warmup_steps))
        left = (self.steps - step) / self.decay_steps if self.decay_steps else 1.0
        return self.peak * rise * min(1.0, max(self.final_share, left))


def published(checkpoint: Path, prefix: str) -> dict[str, Tensor]:
    """Reads the tensors of a checkpoint whose names begin with `prefix`, without it, in float32."""
    with TensorFiles(checkpoint) as files:
        names = [name for name in files.shapes if name.startswith(prefix)]
        return {name.removeprefix(prefix): files.read(name).float() for name in names}


def attend_written_out(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Causal attention, an `Attend`: its backward on a CPU is much faster than the fused one."""
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5  # [B, heads, T, T]
    later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    out: Tensor = scores.masked_fill(later, -torch.inf).softmax(-1) @ value
    return out


def saved(path: Path) -> dict[str, Any]:
    """Reads a run's `state.pt`: `model`, `optimizer` and `step`.

    Raises:
        ValueError: It is another version's; names the file.
    """
    state: dict[str, Any] = torch.load(path, weights_only=True)
    if absent := {"model", "optimizer", "step"} - set(state):
        raise ValueError(
            f"{path} was saved by another version of the recipe (it lacks "
            f"{', '.join(sorted(absent))}); move it away to begin anew"
        )
    return state


def trained(directory: Path) -> dict[str, Tensor]:
    """Reads what the run in `directory` has trained so far."""
    tensors: dict[str, Tensor] = saved(directory / "state.pt")["model"]
    return tensors


@dataclass(slots=True)
class Run:
    """One resumable training run."""

    directory: Path
    model: nn.Module
    optimizer: torch.optim.Optimizer
    save_every_s: float = 120.0
    report_steps: int = 20
    step: int = 0
    _found: dict[str, list[float]] = field(default_factory=dict)
    _saved_at_s: float = field(default_factory=time.monotonic)
    _reported_at_s: float = field(default_factory=time.monotonic)

    def resume(self) -> bool:
        """Loads the last saved state; returns whether there was one.

        The learning rates stay those of this run.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / "state.pt"
        if not path.exists():
            return False
        state = saved(path)
        self.model.load_state_dict(state["model"])
        scales = [group.get("lr_scale", 1.0) for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, scale in zip(self.optimizer.param_groups, scales, strict=True):
            group["lr_scale"] = scale
        self.step = state["step"]
        return True

    def start_from(self, checkpoint: Path, prefix: str) -> None:
        """Begins with the weights of a checkpoint instead of random ones.

        Args:
            checkpoint: A directory in the published layout.
            prefix: Of the network's tensors there, "talker." say.
        """
        self.model.load_state_dict(published(checkpoint, prefix))

    def save(self) -> None:
        """Writes the state; a reader never sees half of it."""
        partial = self.directory / "state.pt.partial"
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        torch.save(state, partial)
        partial.rename(self.directory / "state.pt")
        self._saved_at_s = time.monotonic()

    def train(
        self, schedule: Schedule, losses: Callable[[int], Losses], *, clip: float = 1.0
    ) -> Iterator[int]:
        """Steps the optimiser until the schedule ends; a gradient that is not finite is left out.

        Args:
            schedule: Learning rates; a parameter group's `lr_scale` multiplies them.
            losses: Maps the step to named losses; the one called `loss` is minimised.
            clip: Largest gradient norm.

        Yields:
            The number of steps done, after each.
        """
        self.model.train()
        while self.step < schedule.steps:
            for group in self.optimizer.param_groups:
                group["lr"] = schedule.at(self.step) * group.get("lr_scale", 1.0)
            found = losses(self.step)
            torch.autograd.backward(found["loss"])
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), clip)
            if norm.isfinite():
                self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.step += 1
            self._note({name: float(value.detach()) for name, value in found.items()})
            if time.monotonic() - self._saved_at_s > self.save_every_s:
                self.save()
            yield self.step
        self.save()

    def log(self, **values: float) -> None:
        """Appends one line to the curve and prints it."""
        row = {"step": self.step} | {name: round(value, 5) for name, value in values.items()}
        with (self.directory / "curve.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        _log.info("%s", row)

    def _note(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._found.setdefault(name, []).append(value)
        if self.step % self.report_steps == 0:
            now_s = time.monotonic()
            means = {name: sum(found) / len(found) for name, found in self._found.items()}
            spent_s = now_s - self._reported_at_s
            self.log(**means, seconds_a_step=spent_s / len(self._found["loss"]))
            self._found, self._reported_at_s = {}, now_s
