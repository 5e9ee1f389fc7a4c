"""Stage `talker`: from Thinker vectors to codec tokens, by teacher forcing.

Knows: the training objective and its noises. Codes of the past are replaced at random, so that the
Talker trusts the text more than its own history; prompts are cut at random, so that a conversation
of any length may come before; vectors are blurred, and some replies have nothing but their
spelling, because a Thinker's vectors tell one sentence from all others and invite learning it by
heart. A code near the right one is nearly right: the loss says so, and embeddings begin where the
codec's centres lie. Does not know where vectors come from: `vectors.py` computes them once, because
the Thinker stays fixed.
"""

import copy
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from model.config import OmniConfig
from model.precision import half_precision
from model.recipes.omni_mini.codec import CODES, Codec
from model.recipes.omni_mini.talker_data import Example, lay_out
from model.recipes.omni_mini.thinker_base import base_tokenizer
from model.recipes.omni_mini.training import Run, Schedule, attend_written_out, trained
from model.talker import Talker
from model.tokenizer import Tokenizer

CODE_NOISE = 0.25
VECTOR_NOISE = 0.1
SPELLING_ONLY = 0.25
VALIDATION_EXAMPLES = 48
# Thinker vectors have a root mean square of 0.13.
_CODEC_EMBEDDING_STD = 0.15
_PROJECTION_GAIN = 6.0
_SPELLING_STD = 0.12


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Thinker vectors of one example: `prompt` `[p, D]` of the conversation before, `reply`
    `[n, D]`, and the token ids `[p]` and `[n]` that they are of.
    """

    prompt: Tensor
    reply: Tensor
    prompt_ids: Tensor
    reply_ids: Tensor


def batches(examples: Sequence[Example], *, tokens: int, rng: random.Random) -> Iterator[list[int]]:
    """Yields for ever batches of example numbers of like length, about `tokens` targets each."""
    while True:
        order = sorted(
            range(len(examples)), key=lambda i: len(examples[i].targets) * rng.uniform(0.9, 1.1)
        )
        groups: list[list[int]] = [[]]
        for index in order:
            if groups[-1] and (len(groups[-1]) + 1) * len(examples[index].targets) > tokens:
                groups.append([])
            groups[-1].append(index)
        rng.shuffle(groups)
        yield from groups


def prompt_length(rng: random.Random) -> int | None:
    """Draws how much of the prompts a batch sees: all in a few batches, else the last positions."""
    return None if rng.random() < 0.15 else rng.randint(3, 8)


def noisy(targets: Tensor, rate: float, neighbours: Tensor, generator: torch.Generator) -> Tensor:
    """Draws every code (never the advance tokens) anew among its neighbours, and a share of them
    among all: `[k]` to `[k]`.
    """
    codes = targets < CODES
    near = torch.multinomial(neighbours[targets * codes], 1, generator=generator)[:, 0]
    hit = torch.rand(targets.shape, generator=generator) < rate
    drawn = torch.where(hit, torch.randint(CODES, targets.shape, generator=generator), near)
    return torch.where(codes, drawn, targets)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What training spoils; nothing, as measured.

    Attributes:
        codes: Share of the past's codes that are replaced at random; with 0 all stay as they are.
        vectors: Standard deviation of what is added to Thinker vectors.
        spelling_only: Share of examples whose reply vectors are left out, spelling kept.
    """

    codes: float = 0.0
    vectors: float = 0.0
    spelling_only: float = 0.0


TRAINING_NOISE = Noise(codes=CODE_NOISE, vectors=VECTOR_NOISE, spelling_only=SPELLING_ONLY)


class TalkerObjective:
    """The loss of a batch of examples."""

    def __init__(
        self,
        talker: Talker,
        examples: Sequence[Example],
        vectors: Sequence[Vectors],
        special: Tensor,
        neighbours: Tensor,
    ) -> None:
        """Binds the data.

        Args:
            talker: The network.
            examples: What to learn.
            vectors: Of each example.
            special: `[2, D]` embeddings of text start and text end.
            neighbours: `Codec.neighbours`.
        """
        self.talker, self.examples, self.vectors, self.special = talker, examples, vectors, special
        self.neighbours = neighbours

    def __call__(
        self, batch: Sequence[int], *, noise: Noise, rng: random.Random, seed: int
    ) -> dict[str, Tensor]:
        """Returns `loss` (mean cross-entropy with neighbours, nats a step), `code` (of the very
        codes alone) and `advance` (of when to ask for text).
        """
        generator = torch.Generator().manual_seed(seed)
        rows: list[Tensor] = []
        goals: list[Tensor] = []
        kept = prompt_length(rng)
        for index in batch:
            targets = torch.tensor(self.examples[index].targets)
            prompt, reply = self._spoilt(self.vectors[index], kept, noise, generator, rng)
            past = targets[:-1]
            if noise.codes:
                past = noisy(past, noise.codes, self.neighbours, generator)
            embedding = self.talker.model.embed_tokens
            rows.append(lay_out(prompt, reply, self.special, embedding, past, targets))
            goals.append(torch.cat([torch.full((len(rows[-1]) - len(targets),), -100), targets]))
        inputs = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)  # [B, T, D]
        goal = torch.nn.utils.rnn.pad_sequence(
            goals, batch_first=True, padding_value=-100
        )  # [B, T]
        positions = torch.arange(inputs.shape[1]).expand(3, len(batch), -1)
        logits = self.talker.decode(inputs, positions, attend_written_out)  # [B, T, vocabulary]
        wanted = goal != -100
        found, goal = logits[wanted].float().log_softmax(-1), goal[wanted]
        exact = nll_loss(found, goal, reduction="none")
        codes = goal < CODES
        near = -(self.neighbours[goal[codes]] * found[codes, :CODES]).sum(-1)
        return {
            "loss": (near.sum() + exact[~codes].sum()) / len(goal),
            "code": exact[codes].detach().mean(),
            "advance": exact[~codes].detach().mean(),
        }

    def _spoilt(
        self,
        vectors: Vectors,
        kept: int | None,
        noise: Noise,
        generator: torch.Generator,
        rng: random.Random,
    ) -> tuple[Tensor, Tensor]:
        """The vectors of prompt and reply as the Talker gets them, spelling included."""
        begin = 0 if kept is None else max(0, len(vectors.prompt) - kept)
        both = torch.cat([vectors.prompt[begin:], vectors.reply]).float()
        if noise.vectors:
            both = both + noise.vectors * torch.randn(both.shape, generator=generator)
        length = len(vectors.prompt) - begin
        if rng.random() < noise.spelling_only:
            both[length:] = 0
        ids = torch.cat([vectors.prompt_ids[begin:], vectors.reply_ids])
        both = self.talker.spelled(both, ids)
        return both[:length], both[length:]


def train_talker(
    config: OmniConfig,
    directory: Path,
    examples: Sequence[Example],
    vectors: Sequence[Vectors],
    special: Tensor,
    codec: Codec,
    schedule: Schedule,
    *,
    validation: int = VALIDATION_EXAMPLES,
    batch_tokens: int = 2_000,
    seed: int = 0,
) -> Run:
    """Trains or goes on training; the last examples are kept for validation.

    Returns:
        The finished run, its model trained.
    """
    torch.manual_seed(seed)
    talker = Talker.of(config)
    if talker.spelling is not None:
        talker.spelling.learn_letters(Tokenizer(base_tokenizer()))
    balance(talker, codec)
    decayed = [p for p in talker.parameters() if p.ndim >= 2]
    plain = [p for p in talker.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    run = Run(directory, talker, torch.optim.AdamW(groups, lr=schedule.peak, betas=(0.9, 0.98)))
    run.resume()
    held = list(range(len(examples) - validation, len(examples)))
    objective = TalkerObjective(talker, examples, vectors, special, codec.neighbours())
    rng = random.Random(seed + run.step)
    source = batches(examples[: held[0]], tokens=batch_tokens, rng=rng)

    def losses(step: int) -> dict[str, Tensor]:
        with half_precision():
            return objective(
                next(source), noise=TRAINING_NOISE, rng=rng, seed=seed * 1_000_003 + step
            )

    for step in run.train(schedule, losses):
        if step % 200 == 0:
            run.log(**validate(objective, held))
    return run


@torch.no_grad()
def balance(talker: Talker, codec: Codec) -> None:
    """Starts text and codes at like strength, lest embeddings drown the Thinker's vectors."""
    table = talker.model.embed_tokens.weight
    table.normal_(std=_CODEC_EMBEDDING_STD)
    table[:CODES] = codec.embeddings(table.shape[1], _CODEC_EMBEDDING_STD)
    talker.thinker_to_talker_proj.weight.mul_(_PROJECTION_GAIN)
    if talker.spelling is not None:
        talker.spelling.places.weight.normal_(std=_SPELLING_STD)


@torch.no_grad()
def validate(objective: TalkerObjective, held: Sequence[int]) -> dict[str, float]:
    """Measures held-out examples, with their own text and (control) with another's text: the
    difference is what the text is worth.
    """
    objective.talker.eval()
    own = objective(held, noise=Noise(), rng=random.Random(0), seed=0)
    vectors = list(objective.vectors)
    kept = [objective.vectors[i] for i in held]
    for index, other in zip(held, kept[1:] + kept[:1], strict=True):
        vectors[index] = other
    shuffled = copy.copy(objective)
    shuffled.vectors = vectors
    wrong = shuffled(held, noise=Noise(), rng=random.Random(0), seed=0)
    objective.talker.train()
    return {
        "validation_code": float(own["code"]),
        "validation_advance": float(own["advance"]),
        "validation_code_wrong_text": float(wrong["code"]),
    }


def export_tensors(directory: Path) -> dict[str, Tensor]:
    """Returns the trained Talker under its published names (`talker.…`)."""
    state = trained(directory)
    return {f"talker.{name}": tensor for name, tensor in state.items()}
