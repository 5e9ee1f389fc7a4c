"""Stage `codec`: one small codebook for one voice.

A codec token is 40 ms: four mel frames stacked, whitened by a principal-component basis, and
assigned to the nearest of 1,024 k-means centres. The published codec is a learned network; for a
single deterministic voice this keeps all but a few percent of the variance. Only training needs the
codec (to say which codes a recording is); synthesis goes from codes through the DiT.
"""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model.recipes.omni_mini.speech_data import read_shards
from model.speech_mel import HOP_SAMPLES, MEL_BINS, speech_mel

CODES = 1_024
FRAMES_A_CODE = 4
CODE_SAMPLES = FRAMES_A_CODE * HOP_SAMPLES
CODES_A_SECOND = 25
_COMPONENTS = 48


@dataclass(frozen=True, kw_only=True)
class Codec:
    """The trained codebook.

    Attributes:
        mean: `[320]` of stacked mel frames.
        basis: `[320, 48]` principal directions.
        centres: `[1024, 48]`.
    """

    mean: Tensor
    basis: Tensor
    centres: Tensor

    def encode(self, mel: Tensor) -> Tensor:
        """Assigns codes to a mel of whole codes: `[80, 4 N]` to int64 `[N]`."""
        return torch.cdist((_stack(mel) - self.mean) @ self.basis, self.centres).argmin(dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Returns the centres as a (rough) mel: `[N]` to `[80, 4 N]`."""
        stacked = self.centres[codes] @ self.basis.T + self.mean
        return stacked.reshape(-1, MEL_BINS).T

    def save(self, path: Path) -> None:
        """Writes the three tensors."""
        torch.save({"mean": self.mean, "basis": self.basis, "centres": self.centres}, path)

    @classmethod
    def load(cls, path: Path) -> "Codec":
        """Reads what `save` wrote."""
        return cls(**torch.load(path, weights_only=True))


def whole_codes(samples: np.ndarray) -> Tensor:
    """Pads int16 speech to whole codes and scales it to float32 in [-1, 1]: `[S]` to `[960 N]`."""
    padded = np.pad(samples, (0, -len(samples) % CODE_SAMPLES))
    return torch.from_numpy(padded.astype(np.float32) / 32_768)


def train_codec(
    speech: Path, *, max_frames: int = 90_000, iterations: int = 40, seed: int = 0
) -> tuple[Codec, float]:
    """Fits basis and centres on the first shards.

    Returns:
        The codec and the share of the whitened variance that its centres leave unexplained.
    """
    frames: list[Tensor] = []
    for _, samples in read_shards(speech):
        frames.append(_stack(speech_mel(whole_codes(samples))))
        if sum(map(len, frames)) > max_frames:
            break
    stacked = torch.cat(frames)
    mean = stacked.mean(dim=0)
    _, _, directions = torch.linalg.svd(stacked[::7] - mean, full_matrices=False)
    basis = directions[:_COMPONENTS].T.contiguous()
    points = (stacked - mean) @ basis
    generator = torch.Generator().manual_seed(seed)
    # A smoke run has fewer points than centres: some begin as the same point then.
    chosen = torch.randperm(len(points), generator=generator).repeat(-(-CODES // len(points)))
    centres = points[chosen[:CODES]].clone()
    for _ in range(iterations):
        nearest = torch.cdist(points, centres).argmin(dim=1)
        counts = torch.bincount(nearest, minlength=CODES)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        used = counts > 0
        centres[used] = sums[used] / counts[used, None]
        unused = int((~used).sum())
        again = torch.randint(len(points), (unused,), generator=generator)
        centres[~used] = points[again]
    nearest = torch.cdist(points, centres).argmin(dim=1)
    left = float((points - centres[nearest]).square().sum() / points.square().sum())
    return Codec(mean=mean, basis=basis, centres=centres), left


def encode_shards(codec: Codec, speech: Path, codes: Path) -> int:
    """Writes `NNNN.npz` (`codes` int16 concatenated, `offsets`) beside every speech shard that has
    none; returns how many.
    """
    codes.mkdir(parents=True, exist_ok=True)
    made = 0
    for path in sorted(speech.glob("[0-9][0-9][0-9][0-9].npz")):
        target = codes / path.name
        if target.exists():
            continue
        shard = np.load(path)
        audio, offsets = shard["audio"], shard["offsets"]
        rows = [
            codec.encode(speech_mel(whole_codes(audio[begin:end]))).to(torch.int16).numpy()
            for begin, end in pairwise(offsets)
        ]
        partial = target.with_suffix(".tmp.npz")
        np.savez(partial, codes=np.concatenate(rows), offsets=np.cumsum([0, *map(len, rows)]))
        partial.rename(target)
        made += 1
    return made


def describe(directory: Path, left: float) -> None:
    """Writes what the codec keeps beside it."""
    (directory / "codec.json").write_text(
        json.dumps({"codes": CODES, "unexplained_variance": round(left, 4)}) + "\n"
    )


def _stack(mel: Tensor) -> Tensor:
    return mel.T.reshape(-1, FRAMES_A_CODE * MEL_BINS)  # [80, 4 N] -> [N, 320]
