"""Stage `codec`: one small codebook for one voice.

A codec token is 40 ms: four mel frames stacked, turned into a principal-component basis, and, with
the sounds that the teacher says it makes in them, assigned to the nearest of 1,024 k-means centres.
What lies too low to be heard counts for nothing. The sounds cost a percent of the variance and make
codes say what is spoken: 84 % of the frames have their code's commonest sound, without them 53 %.

The published codec is a learned network; for a single deterministic voice this keeps all but a few
percent of the variance. Only training needs the codec (to say which codes a recording is);
synthesis goes from codes through the DiT.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model.recipes.omni_mini.speech_data import read_shard, read_shards
from model.speech_mel import HOP_SAMPLES, MEL_BINS, speech_mel

CODES = 1_024
FRAMES_A_CODE = 4
CODE_SAMPLES = FRAMES_A_CODE * HOP_SAMPLES
CODES_A_SECOND = 25
_COMPONENTS = 48
# Nats; 60 dB below full scale.
_FLOOR = -7.0
_SOUND_WEIGHT = 8.0
# Squared distance; between most codes and their nearest it is 70.
_NEAR = 25.0

# `(phoneme, start in seconds)` of every sound, as `teacher.Utterance.phones`.
Phones = Sequence[tuple[str, float]]


@dataclass(frozen=True, kw_only=True)
class Codec:
    """The trained codebook.

    Attributes:
        mean: `[320]` of stacked mel frames.
        basis: `[320, 48]` principal directions.
        sounds: The P phonemes that are told apart.
        centres: `[1024, 48 + P]`.
    """

    mean: Tensor
    basis: Tensor
    sounds: list[str]
    centres: Tensor

    def features(self, mel: Tensor, phones: Phones) -> Tensor:
        """Where 40 ms lie among the centres: `[80, 4 N]` to `[N, 48 + P]`."""
        points = (_stack(mel) - self.mean) @ self.basis
        return torch.cat([points, _SOUND_WEIGHT * shares(phones, len(points), self.sounds)], 1)

    def encode(self, mel: Tensor, phones: Phones) -> Tensor:
        """Assigns codes to a mel of whole codes: `[80, 4 N]` to int64 `[N]`."""
        return torch.cdist(self.features(mel, phones), self.centres).argmin(dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Returns the centres as a (rough) mel: `[N]` to `[80, 4 N]`."""
        stacked = self.centres[codes, :_COMPONENTS] @ self.basis.T + self.mean
        return stacked.reshape(-1, MEL_BINS).T

    def embeddings(self, width: int, std: float, *, seed: int = 0) -> Tensor:
        """The centres turned at random into `[1024, width]`: where networks' embeddings start, so
        that what they learn of a code holds for its neighbours.
        """
        generator = torch.Generator().manual_seed(seed)
        turned = self.centres @ torch.randn(self.centres.shape[1], width, generator=generator)
        turned = turned - turned.mean(0)
        return turned * (std / turned.std())

    def neighbours(self) -> Tensor:
        """How well each code stands for each other one: `[1024, 1024]`, rows sum to one."""
        apart = torch.cdist(self.centres, self.centres).square()
        return (-apart / _NEAR).softmax(dim=1)

    def save(self, path: Path) -> None:
        """Writes all of it."""
        torch.save(asdict(self), path)

    @classmethod
    def load(cls, path: Path) -> "Codec":
        """Reads what `save` wrote."""
        return cls(**torch.load(path, weights_only=True))


def whole_codes(samples: np.ndarray) -> Tensor:
    """Pads int16 speech to whole codes and scales it to float32 in [-1, 1]: `[S]` to `[960 N]`."""
    padded = np.pad(samples, (0, -len(samples) % CODE_SAMPLES))
    return torch.from_numpy(padded.astype(np.float32) / 32_768)


def shares(phones: Phones, codes: int, sounds: Sequence[str]) -> Tensor:
    """Says how much of each code's 40 ms each sound takes: `[codes, P]`; unknown ones count as
    none.
    """
    found = torch.zeros(codes, len(sounds))
    starts = [start_s * CODES_A_SECOND for _, start_s in phones]
    for (phone, _), begin, end in zip(phones, starts, [*starts[1:], float(codes)], strict=True):
        for index in range(int(begin), min(codes, int(np.ceil(end)))):
            if phone in sounds:
                share = min(end, index + 1) - max(begin, index)
                found[index, sounds.index(phone)] += max(0.0, share)
    return found


def train_codec(
    speech: Path, *, max_frames: int = 90_000, iterations: int = 40, seed: int = 0
) -> tuple[Codec, float]:
    """Fits basis and centres on the first shards.

    Returns:
        The codec and the share of the variance of mels that its centres leave unexplained.
    """
    frames: list[Tensor] = []
    spoken: list[Phones] = []
    for row, samples in read_shards(speech):
        frames.append(_stack(speech_mel(whole_codes(samples))))
        spoken.append(row["phones"])
        if sum(map(len, frames)) > max_frames:
            break
    stacked = torch.cat(frames)
    mean = stacked.mean(dim=0)
    _, _, directions = torch.linalg.svd(stacked[::7] - mean, full_matrices=False)
    basis = directions[:_COMPONENTS].T.contiguous()
    sounds = sorted({phone for phones in spoken for phone, _ in phones})
    said = torch.cat([shares(p, len(f), sounds) for p, f in zip(spoken, frames, strict=True)])
    points = torch.cat([(stacked - mean) @ basis, _SOUND_WEIGHT * said], dim=1)
    centres = _k_means(points, iterations, torch.Generator().manual_seed(seed))
    heard = points[:, :_COMPONENTS]
    nearest = torch.cdist(points, centres).argmin(dim=1)
    missed = heard - centres[nearest, :_COMPONENTS]
    left = float(missed.square().sum() / heard.square().sum())
    return Codec(mean=mean, basis=basis, sounds=sounds, centres=centres), left


def _k_means(points: Tensor, iterations: int, generator: torch.Generator) -> Tensor:
    """Returns 1,024 centres of `[N, D]`."""
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
    return centres


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
        rows = [
            codec.encode(speech_mel(whole_codes(samples)), row["phones"]).to(torch.int16).numpy()
            for row, samples in read_shard(path)
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
    return mel.clamp(min=_FLOOR).T.reshape(-1, FRAMES_A_CODE * MEL_BINS)  # [80, 4 N] -> [N, 320]
