"""Stage B: the tower's vectors come to lie where the Thinker's own token embeddings lie.

At a 25 Hz frame after a token of the text has been spoken the vector should be that token's
embedding, everywhere else one fixed "blank" (the embedding of a space). Knows where tokens end (at
first, from the letters' alignment), the loss, and the tensors this leaves for the checkpoint. Does
not know the Thinker's layers (`adapt.py`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from model.precision import half_precision
from model.recipes.omni_mini.ear import (
    Batch,
    Ear,
    align,
    letter_loss,
    letters_of,
    make_batch,
    word_errors,
)
from model.recipes.omni_mini.hearing_data import Utterance
from model.recipes.omni_mini.training import Losses, trained

TOWER_PREFIX = "thinker.audio_tower."
_WORD = re.compile(r"[A-Za-z']+")


@dataclass(frozen=True, kw_only=True)
class Spelling:
    """A text as the Thinker should hear it: token ids, and the index of the letter ending each."""

    ids: list[int]
    last_letters: list[int]


class Speller:
    """Turns texts to the tokens that can be heard: words only, each with its leading space.

    Punctuation is not heard. A sentence's first word loses its capital unless the texts show it
    capital elsewhere.
    """

    def __init__(self, tokenizer: Tokenizer, texts: Iterable[str]) -> None:
        self._tokenizer = tokenizer
        inner = Counter(word for text in texts for word, first in _words(text) if not first)
        self._names = {word for word in inner if word[0].isupper()} | {"I"}

    def spell(self, text: str) -> Spelling:
        """The tokens of `text` and where each ends among `letters_of(text)`."""
        ids: list[int] = []
        last: list[int] = []
        before = -2  # index of the letter before the word's space
        for word, first in _words(text):
            written = word if not first or word in self._names else word[0].lower() + word[1:]
            encoding = self._tokenizer.encode(" " + written, add_special_tokens=False)
            for token, (_, end) in zip(encoding.ids, encoding.offsets, strict=True):
                ids.append(token)
                last.append(before + end)  # `end` counts the space
            before += len(word) + 1
        return Spelling(ids=ids, last_letters=[max(0, i) for i in last])


def _words(text: str) -> list[tuple[str, bool]]:
    """Words and whether each begins a sentence."""
    found = []
    first = True
    for piece in re.findall(r"[A-Za-z']+|[.!?]", text):
        if _WORD.fullmatch(piece):
            found.append((piece, first))
        first = not _WORD.fullmatch(piece)
    return found


class TokenTargets(nn.Module):
    """The classes a frame may be: blank, or one of the tokens that occur in training.

    A class's score falls with the squared distance of the frame's vector to its embedding, so that
    what is classified well also lies close.
    """

    embeddings: Tensor  # [1 + tokens, D]; row 0 is the blank
    ids: Tensor  # [1 + tokens]; the token id of each class

    def __init__(self, table: Tensor, blank_id: int, ids: Sequence[int]) -> None:
        super().__init__()
        chosen = torch.tensor([blank_id, *ids])
        self.register_buffer("ids", chosen)
        self.register_buffer("embeddings", table[chosen].float().clone(), persistent=False)
        self._class_of = {token: index for index, token in enumerate([blank_id, *ids]) if index}
        self.log_sharpness = nn.Parameter(torch.tensor(1.0))

    def classes(self, ids: Sequence[int]) -> list[int]:
        """Class numbers of token ids; all of them must be known."""
        return [self._class_of[token] for token in ids]

    def knows(self, ids: Sequence[int]) -> bool:
        """Whether every id is a class."""
        return all(token in self._class_of for token in ids)

    def log_probs(self, vectors: Tensor) -> Tensor:
        """Log-probability of each class: [..., D] -> [..., 1 + tokens], float32."""
        centre = self.embeddings.mean(0)
        table = self.embeddings - centre
        scores = F.linear(vectors - centre, table).float() - table.square().sum(-1) / 2
        return (self.log_sharpness.exp() * scores).log_softmax(-1)


class HearingEar(Ear):
    """An ear with token classes besides letters."""

    def __init__(self, targets: TokenTargets, speller: Speller) -> None:
        super().__init__()
        self.targets = targets
        self.speller = speller

    def start_from_letters(self, state: dict[str, Tensor]) -> None:
        """Takes stage A's weights; the projection starts at the blank."""
        left = self.load_state_dict(state, strict=False)
        assert not left.unexpected_keys
        with torch.no_grad():
            self.tower.proj.weight.mul_(0.1)
            self.tower.proj.bias.copy_(self.targets.embeddings[0])


def place(frames: Sequence[int], count: int) -> list[int]:
    """Moves frames apart so that each token has one of its own, in order, all below `count`.

    Returns:
        The frames; empty when there are more tokens than frames.
    """
    if len(frames) > count:
        return []
    placed: list[int] = []
    for frame in frames:
        placed.append(max(frame, placed[-1] + 1) if placed else frame)
    for index in range(len(placed) - 1, -1, -1):
        limit = count - (len(placed) - index)
        placed[index] = min(placed[index], limit)
    return placed


def frame_classes(ear: HearingEar, batch: Batch, letters: Tensor, frames: int) -> Tensor:
    """What each 25 Hz frame should be: class numbers `[B, frames]`, -1 after an utterance's end.

    Args:
        ear: For its spelling and classes.
        batch: The utterances.
        letters: Letter log-probabilities at 50 Hz.
        frames: Of the longest utterance.
    """
    wanted = torch.full((len(batch.texts), frames), -1)
    for row, (text, length) in enumerate(zip(batch.texts, batch.lengths.tolist(), strict=True)):
        spelling = ear.speller.spell(text)
        count = length // 2
        ends = align(letters[row, :length], letters_of(text))
        placed = place([ends[i] // 2 for i in spelling.last_letters] if ends else [], count)
        if placed:
            wanted[row, :count] = 0
            wanted[row, placed] = torch.tensor(ear.targets.classes(spelling.ids))
    return wanted


def token_loss(ear: HearingEar, batch: Batch, tokens: Tensor) -> Tensor:
    """CTC over tokens, twice a frame's share, averaged over utterances."""
    rows = [torch.tensor(ear.targets.classes(ear.speller.spell(text).ids)) for text in batch.texts]
    lengths = batch.lengths // 2
    losses = F.ctc_loss(
        tokens.transpose(0, 1),
        torch.cat(rows),
        lengths,
        torch.tensor([len(row) for row in rows]),
        reduction="none",
        zero_infinity=True,
    )
    return 2 * (losses / lengths).mean()


@dataclass(frozen=True, kw_only=True)
class HearingLoss:
    """Stage B's loss: first frames are classified where the letters say that a token ends, then
    CTC over tokens finds out itself which frames are whose.

    To say the very frame is more than anybody can: going on with it, tokens were mistaken more
    often after 60 steps (45 %) than before (33 %), with CTC alone less (23 %).

    Attributes:
        letters_share: Weight of the letters, which go on as long as they are needed.
        blank_share: Weight of a blank frame beside a token's.
        letters_steps: Steps in which the letters say where tokens end.
    """

    letters_share: float = 0.5
    blank_share: float = 0.3
    letters_steps: int = 200

    def __call__(self, ear: Ear, batch: Batch, step: int) -> Losses:
        """The loss and its parts."""
        assert isinstance(ear, HearingEar)
        hidden = ear.hidden(batch)
        vectors = ear.tower.pool_and_project(hidden).float()
        tokens = ear.targets.log_probs(vectors)
        ctc = token_loss(ear, batch, tokens)
        if step >= self.letters_steps:
            return {"loss": ctc}
        letters = ear.letters(hidden)
        spelled = letter_loss(letters, batch)
        wanted = frame_classes(ear, batch, letters.detach(), tokens.shape[1])
        spoken = wanted > 0
        weights = torch.where(spoken, 1.0, self.blank_share) * (wanted >= 0)
        likely = tokens.gather(-1, wanted.clamp(min=0)[..., None])[..., 0]
        frames = -(likely * weights).sum() / weights.sum()
        apart = (vectors - ear.targets.embeddings[wanted.clamp(min=0)]).square().sum(-1)
        distance = (apart * weights).sum() / weights.sum()
        loss = self.letters_share * spelled + frames + 0.1 * distance
        return {"loss": loss, "tokens": ctc, "letters": spelled, "frames": frames}


def heard_tokens(log_probs: Tensor) -> list[int]:
    """Greedy classes of `[T, classes]`: repeats joined, blanks left out."""
    return [i for i in torch.unique_consecutive(log_probs.argmax(-1)).tolist() if i]


@torch.no_grad()
def token_errors(ear: HearingEar, utterances: Sequence[Utterance]) -> dict[str, float]:
    """Greedy token error rate by voice."""
    counts: dict[str, list[int]] = {}
    for start in range(0, len(utterances), 16):
        some = utterances[start : start + 16]
        batch = make_batch(some, ear.mel, None)
        with half_precision():
            vectors = ear.tower.pool_and_project(ear.hidden(batch)).float()
            log_probs = ear.targets.log_probs(vectors)
        for utterance, row, length in zip(some, log_probs, batch.lengths.tolist(), strict=True):
            heard = " ".join(str(int(ear.targets.ids[i])) for i in heard_tokens(row[: length // 2]))
            errors, words = word_errors(
                heard, " ".join(map(str, ear.speller.spell(utterance.text).ids))
            )
            count = counts.setdefault(f"ter {utterance.voice}", [0, 0])
            count[0] += errors
            count[1] += words
    return {name: errors / words for name, (errors, words) in counts.items()}


def export_tensors(directory: Path) -> dict[str, Tensor]:
    """The tower of a finished run under its published names.

    Args:
        directory: Stage B's folder, with `state.pt`.
    """
    state = trained(directory)
    prefix = "tower."
    return {
        TOWER_PREFIX + name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }
