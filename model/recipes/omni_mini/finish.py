"""Stage `export` of a run: gathers what each training stage left and writes the checkpoint."""

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from model.omni import EMBEDDED_CHECKPOINT
from model.recipes.omni_mini import adapt, dit, hearing, talker, vocoder
from model.recipes.omni_mini.export import export
from model.recipes.omni_mini.stages import Work
from model.recipes.omni_mini.thinker_base import base_tokenizer

# File of the checkpoint: the stage that trains it, and what reads the stage's result.
_NETWORKS: dict[str, tuple[str, Callable[[Path], dict[str, Tensor]]]] = {
    "thinker-ear": ("tokens", hearing.export_tensors),
    "thinker-delta": ("adapt", adapt.export_tensors),
    "talker": ("talker", talker.export_tensors),
    "token2wav-dit": ("dit", dit.export_tensors),
    "token2wav-bigvgan": ("vocoder", vocoder.export_tensors),
}

_log = logging.getLogger("omnilive.recipes.export")


def export_checkpoint(work: Work) -> None:
    """Writes the trained parts of a run as a checkpoint.

    A full run becomes the embedded checkpoint; a smoke run stays in its own directory.
    """
    target = work.directory / "checkpoint" if work.smoke else EMBEDDED_CHECKPOINT
    sizes = write_checkpoint(work.directory, target)
    for name, size in sizes.items():
        _log.info("%s: %.1f MB", name, size / 1e6)


def write_checkpoint(run: Path, target: Path) -> dict[str, int]:
    """Exports the run in `run` to `target`; a network that it did not train stays as it is there.

    Returns:
        Bytes of each file.

    Raises:
        FileNotFoundError: A network is neither in the run nor in the target.
    """
    parts = {}
    for stem, (stage, read) in _NETWORKS.items():
        if (run / stage / "state.pt").exists():
            parts[stem] = read(run / stage)
        elif not (target / f"{stem}.safetensors").exists():
            raise FileNotFoundError(f"{run} has not trained the stage {stage!r}")
    voice = torch.load(run / "dit" / "speaker.pt", weights_only=True)
    return export(target, parts, base_tokenizer(), cond=voice["cond"], ref_mel=voice["ref_mel"])
