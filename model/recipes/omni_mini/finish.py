"""Stage `export` of a run: gathers what each training stage left and writes the checkpoint."""

import logging
from pathlib import Path

import torch

from model.omni import EMBEDDED_CHECKPOINT
from model.recipes.omni_mini import adapt, dit, hearing, talker, vocoder
from model.recipes.omni_mini.export import export
from model.recipes.omni_mini.stages import Work
from model.recipes.omni_mini.thinker_base import base_tokenizer

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
    """Exports the run in `run` to `target`.

    Returns:
        Bytes of each file.
    """
    parts = {
        "thinker-ear": hearing.export_tensors(run / "tokens"),
        "thinker-delta": adapt.export_tensors(run / "adapt"),
        "talker": talker.export_tensors(run / "talker"),
        "token2wav-dit": dit.export_tensors(run / "dit"),
        "token2wav-bigvgan": vocoder.export_tensors(run / "vocoder"),
    }
    voice = torch.load(run / "dit" / "speaker.pt", weights_only=True)
    return export(target, parts, base_tokenizer(), cond=voice["cond"], ref_mel=voice["ref_mel"])
