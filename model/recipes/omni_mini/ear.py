"""The ear in training: the audio tower with its letter head, and recordings cut into blocks.

Knows how utterances become dense groups of equal mel blocks and how block outputs are put back in
order, the letters and their alignment. Does not know the Thinker, nor what a training step
minimises (`letters.py`, `hearing.py`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.audio_encoder import AudioEncoder
from model.figures import AudioEncoderConfig
from model.mel import LogMel
from model.recipes.omni_mini.hearing_data import SAMPLE_RATE_HZ, Utterance, augment
from model.recipes.omni_mini.whisper_start import load_whisper_encoder

LETTERS = "-abcdefghijklmnopqrstuvwxyz' "  # the first is CTC's blank
# Recordings are padded to half seconds: blocks then come in four lengths and need no mask.
GRAIN_SAMPLES = SAMPLE_RATE_HZ // 2
# whisper-base's sizes; `output_dim` is the Thinker's width.
TOWER = AudioEncoderConfig(
    num_mel_bins=80,
    d_model=512,
    encoder_layers=6,
    encoder_attention_heads=8,
    encoder_ffn_dim=2048,
    max_source_positions=1500,
    n_window=100,
    output_dim=576,
)


def letters_of(text: str) -> list[int]:
    """The letter classes of a text: lower case, all but letters and apostrophes is one space."""
    plain = re.sub(r"[^a-z']+", " ", text.lower()).strip()
    return [LETTERS.index(letter) for letter in plain]


def greedy_letters(log_probs: Tensor) -> str:
    """Reads CTC output `[T, letters]`: best letter a frame, repeats joined, blanks left out."""
    best = torch.unique_consecutive(log_probs.argmax(-1)).tolist()
    return "".join(LETTERS[i] for i in best if i)


class Ear(nn.Module):
    """The audio tower plus a letter head on its 50 Hz states (before pooling)."""

    def __init__(self, config: AudioEncoderConfig = TOWER) -> None:
        super().__init__()
        self.tower = AudioEncoder(config)
        self.mel = LogMel(config.num_mel_bins, config.block_frames)
        self.letter_norm = nn.LayerNorm(config.d_model)
        self.letter_head = nn.Linear(config.d_model, len(LETTERS))

    def start_from_whisper(self) -> None:
        """Gives the tower whisper-base's weights; `proj` and the unused bos/eos rows stay."""
        weights = load_whisper_encoder(len(self.tower.layers))
        left = self.tower.load_state_dict(weights, strict=False)
        assert not left.unexpected_keys
        assert {name.split(".")[0] for name in left.missing_keys} == {"proj", "audio_bos_eos_token"}

    def hidden(self, batch: "Batch") -> Tensor:
        """Runs every block on its own and joins them: `[B, T, width]` at 50 Hz, zero-padded."""
        pieces: dict[tuple[int, int], Tensor] = {}
        for group in batch.groups:
            frames = group.mel.shape[2]
            states = self.tower.hidden_states_50hz(group.mel, [frames] * len(group.places))
            pieces.update(zip(group.places, states, strict=True))
        rows = [
            torch.cat([pieces[row, block] for block in range(count)])
            for row, count in enumerate(batch.block_counts)
        ]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True)

    def letters(self, hidden: Tensor) -> Tensor:
        """Log-probabilities of letters `[B, T, letters]`, float32."""
        logits: Tensor = self.letter_head(self.letter_norm(hidden))
        return logits.float().log_softmax(-1)


@dataclass(frozen=True, kw_only=True)
class BlockGroup:
    """Mel blocks of one length `[n, bins, frames]` and whose they are: (row, block number)."""

    mel: Tensor
    places: list[tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some utterances, cut. `lengths` are at 50 Hz."""

    texts: list[str]
    groups: list[BlockGroup]
    block_counts: list[int]
    lengths: Tensor


def make_batch(
    utterances: Sequence[Utterance], mel: LogMel, rng: np.random.Generator | None
) -> Batch:
    """Spoils (unless `rng` is None), pads to half seconds, takes log-mel, cuts 2 s blocks."""
    groups: dict[int, tuple[list[Tensor], list[tuple[int, int]]]] = {}
    counts, lengths = [], []
    for row, utterance in enumerate(utterances):
        samples = plain(utterance.samples) if rng is None else augment(utterance.samples, rng)
        samples = np.pad(samples, (0, -len(samples) % GRAIN_SAMPLES))
        blocks = mel.running(torch.from_numpy(samples)).split(mel.block_frames, dim=1)
        for number, block in enumerate(blocks):
            mels, places = groups.setdefault(block.shape[1], ([], []))
            mels.append(block)
            places.append((row, number))
        counts.append(len(blocks))
        lengths.append(sum(block.shape[1] for block in blocks) // 2)
    return Batch(
        texts=[utterance.text for utterance in utterances],
        groups=[
            BlockGroup(mel=torch.stack(mels), places=places) for mels, places in groups.values()
        ],
        block_counts=counts,
        lengths=torch.tensor(lengths),
    )


def plain(samples: np.ndarray) -> np.ndarray:
    """A recording as it is, with 0.3 s of silence before and after, float32."""
    edge = int(0.3 * SAMPLE_RATE_HZ)
    return np.pad(samples.astype(np.float32) / 32768, edge)


def letter_loss(log_probs: Tensor, batch: Batch) -> Tensor:
    """CTC loss a letter, averaged over utterances."""
    targets = [torch.tensor(letters_of(text)) for text in batch.texts]
    sizes = torch.tensor([len(target) for target in targets])
    losses = F.ctc_loss(
        log_probs.transpose(0, 1),
        torch.cat(targets),
        batch.lengths,
        sizes,
        reduction="none",
        zero_infinity=True,
    )
    return (losses / sizes).mean()


def align(log_probs: Tensor, targets: Sequence[int]) -> list[int]:
    """Finds the likeliest path of CTC output `[T, classes]` through `targets` (Viterbi).

    Returns:
        For each target the last frame that speaks it; empty when they do not fit into T frames.
    """
    labels = torch.zeros(2 * len(targets) + 1, dtype=torch.long)
    labels[1::2] = torch.tensor(list(targets))
    emit = log_probs[:, labels].double().numpy()
    jump = np.zeros(len(labels), bool)  # a blank may be skipped between two different labels
    jump[3::2] = labels.numpy()[3::2] != labels.numpy()[1:-2:2]
    score = np.full(len(labels), -np.inf)
    score[:2] = emit[0, :2]
    back = np.zeros(emit.shape, np.int8)
    for frame in range(1, len(emit)):
        one = np.concatenate([[-np.inf], score[:-1]])
        two = np.where(jump, np.concatenate([[-np.inf, -np.inf], score[:-2]]), -np.inf)
        options = np.stack([score, one, two])
        back[frame] = options.argmax(0)
        score = options.max(0) + emit[frame]
    state = len(labels) - 1 if score[-1] > score[-2] else len(labels) - 2
    if not np.isfinite(score[state]):
        return []
    ends = [-1] * len(targets)
    for frame in range(len(emit) - 1, -1, -1):
        if state % 2 and ends[state // 2] < 0:
            ends[state // 2] = frame
        state -= int(back[frame, state])
    return ends


def word_errors(heard: str, said: str) -> tuple[int, int]:
    """(edit distance in words, words said)."""
    a, b = heard.split(), said.split()
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1], len(b)
