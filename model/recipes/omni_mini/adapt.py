"""Stage C: the Thinker learns to read what the ear writes (low-rank deltas, the base weights stay).

Self-distillation: after a spoken question it should say, word by word with the same probabilities,
what its unchanged self says after the typed one; and under another system prompt it writes the
question down. Knows the deltas, the loss and what is exported; not audio, nor how lessons are made
(`lessons.py`).
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.kv_cache import KVCache
from model.recipes.omni_mini import ids
from model.recipes.omni_mini.lessons import Chat, Lesson
from model.recipes.omni_mini.letters import TrainingPlan
from model.recipes.omni_mini.shape import DELTA_LAYERS
from model.recipes.omni_mini.training import Losses, Run, attend_written_out, trained
from model.thinker import Thinker

_log = logging.getLogger("omnilive.recipes.adapt")

READ_SHARE = 2.0
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class LowRankLinear(nn.Module):
    """A frozen linear layer plus `lora_B @ lora_A`, a delta that can be switched off."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.lora_A = nn.Parameter(
            torch.randn(rank, base.in_features) / math.sqrt(base.in_features)
        )
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, rank))
        self.active = True

    def forward(self, x: Tensor) -> Tensor:
        """Takes [..., in], gives [..., out]."""
        out: Tensor = self.base(x)
        if self.active:
            out = out + F.linear(F.linear(x, self.lora_A.to(x.dtype)), self.lora_B.to(x.dtype))
        return out


class Student(nn.Module):
    """A Thinker whose lower decoder layers carry deltas on every projection.

    Reading a stream is the lower layers' work; the upper ones find what they would find after a
    typed question, and stay as they are.

    Args:
        thinker: With the base weights; its projections are replaced in place.
        rank: Of every delta.
        layers: How many layers, from the first, carry deltas.
    """

    def __init__(self, thinker: Thinker, rank: int = 16, layers: int = DELTA_LAYERS) -> None:
        super().__init__()
        self.thinker = thinker.requires_grad_(False)
        self.read = torch.empty(0)  # [B, T, D] what the layers above the deltas were given last
        stack = thinker.model.layers
        inner = layers < len(stack)
        above = stack[layers].get_submodule("input_layernorm") if inner else thinker.model.norm
        above.register_forward_hook(self._keep)
        self.deltas: dict[str, LowRankLinear] = {}
        for number, layer in enumerate(thinker.model.layers[:layers]):
            for part in ("self_attn", "mlp"):
                parent = layer.get_submodule(part)
                for name in PROJECTIONS:
                    base = getattr(parent, name, None)
                    if isinstance(base, nn.Linear):
                        delta = LowRankLinear(base, rank)
                        setattr(parent, name, delta)
                        self.deltas[f"model.layers.{number}.{part}.{name}.weight"] = delta

    def switch(self, *, active: bool) -> None:
        """Turns all deltas on or off."""
        for delta in self.deltas.values():
            delta.active = active

    def hidden(self, rows: Sequence[Tensor]) -> Tensor:
        """Hidden states of sequences of embeddings `[n, D]`, right-padded: [B, T, D]."""
        embeds = nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
        B, T, _ = embeds.shape
        hidden: Tensor = self.thinker.model(
            embeds, torch.arange(T).expand(3, B, T), attend_written_out
        )
        return hidden

    def _keep(self, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        self.read = output

    def tensors(self) -> dict[str, Tensor]:
        """The deltas under the names the checkpoint gives them."""
        found = {}
        for name, delta in self.deltas.items():
            found[f"thinker_delta.{name}.lora_A"] = delta.lora_A.detach()
            found[f"thinker_delta.{name}.lora_B"] = delta.lora_B.detach()
        return found

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """The reverse of `tensors`."""
        with torch.no_grad():
            for name, delta in self.deltas.items():
                delta.lora_A.copy_(tensors[f"thinker_delta.{name}.lora_A"])
                delta.lora_B.copy_(tensors[f"thinker_delta.{name}.lora_B"])


def distillation_loss(student: Student, chat: Chat, lessons: Sequence[Lesson]) -> Losses:
    """KL from what the base model says to the typed question; cross-entropy of transcripts.

    Behind a heard question the layers above the deltas should find what they find behind a typed
    one: `apart` is how far they are from it, as a share of its power.
    """
    rows, starts = chat.rows(lessons)
    hidden = student.hidden(rows)
    read = student.read
    logits = student.thinker.logits(_reply_states(hidden, starts, lessons)).float().log_softmax(-1)
    wanted = torch.tensor([token for lesson in lessons for token in lesson.reply])
    answers = torch.tensor([not lesson.transcribe for lesson in lessons for _ in lesson.reply])
    nats = F.nll_loss(logits, wanted, reduction="none")
    found = {"loss": nats[~answers].sum() / len(wanted)}
    found |= _means({"copy": ~answers, "answer": answers}, nats, logits.argmax(-1) == wanted)
    places = [i for i, lesson in enumerate(lessons) if not lesson.transcribe]
    if not places:
        return found
    asked = [lessons[i] for i in places]
    before = len(chat.closing)
    taught, typed = _taught(student, chat, asked)
    heard = _reply_states(read[places], [starts[i] for i in places], asked, before)
    divergence = F.kl_div(logits[answers], taught, reduction="none", log_target=True).sum(-1)
    apart = (heard - typed).float().square().mean() / typed.float().square().mean()
    found["loss"] = (
        found["loss"]
        + (divergence.sum() + 0.3 * nats[answers].sum()) / len(wanted)
        + READ_SHARE * apart
    )
    return found | {"divergence": divergence.mean(), "apart": apart}


@torch.no_grad()
def _taught(student: Student, chat: Chat, asked: Sequence[Lesson]) -> tuple[Tensor, Tensor]:
    """What the base model makes of the typed questions: its log-probabilities in the replies, and
    what the layers above the deltas find there.
    """
    student.switch(active=False)
    rows, starts = chat.rows(asked, typed=True)
    logits = student.thinker.logits(_reply_states(student.hidden(rows), starts, asked))
    typed = _reply_states(student.read, starts, asked, len(chat.closing))
    student.switch(active=True)
    return logits.float().log_softmax(-1), typed


def _means(kinds: dict[str, Tensor], nats: Tensor, right: Tensor) -> dict[str, Tensor]:
    """For the curve: nats and hits of each kind of token that there is."""
    return {
        f"{name} {what}": values[which].float().mean().detach()
        for name, which in kinds.items()
        for what, values in (("nll", nats), ("right", right))
        if which.any()
    }


def _reply_states(
    hidden: Tensor, starts: Sequence[int], lessons: Sequence[Lesson], before: int = 1
) -> Tensor:
    """The states that predict the replies, of all lessons one after another: [N, D].

    Each begins `before` places before its reply; the last place before it predicts the first token.
    """
    pieces = [
        row[start - before : start - 1 + len(lesson.reply)]
        for row, start, lesson in zip(hidden, starts, lessons, strict=True)
    ]
    return torch.cat(pieces)


@torch.no_grad()
def greedy(
    student: Student, chat: Chat, lessons: Sequence[Lesson], max_tokens: int = 24
) -> list[str]:
    """The student's own replies, the likeliest token each time, without penalties."""
    thinker = student.thinker
    prompts = [chat.prompt(lesson) for lesson in lessons]
    counts = [len(prompt) for prompt in prompts]
    slots = range(len(prompts))
    cache = KVCache(
        thinker.config.text,
        slots=len(prompts),
        capacity_tokens=max(counts) + max_tokens,
        dtype=chat.table.dtype,
        device=chat.table.device,
    )
    embeds = nn.utils.rnn.pad_sequence(prompts, batch_first=True)
    positions = torch.arange(embeds.shape[1]).expand(3, *embeds.shape[:2])
    hidden = thinker.step(embeds, positions, cache, slots, counts)
    states = torch.stack([row[count - 1] for row, count in zip(hidden, counts, strict=True)])
    said: list[list[int]] = [[] for _ in lessons]
    for spoken in range(max_tokens):
        tokens = thinker.logits(states).argmax(-1)
        for row, token in zip(said, tokens.tolist(), strict=True):
            row.append(token)
        at = (torch.tensor(counts) + spoken)[:, None].expand(3, -1, 1)
        states = thinker.step(chat.table[tokens][:, None], at, cache, slots)[:, 0]
    return [chat.tokenizer.decode(_until_end(row)) for row in said]


def _until_end(tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(ids.IM_END)] if ids.IM_END in tokens else tokens


Draw = Callable[[np.random.Generator], list[Lesson]]


def train_adaptation(
    student: Student,
    chat: Chat,
    draw: Draw,
    plan: TrainingPlan,
    directory: Path,
    measure: Callable[[], dict[str, float]],
) -> int:
    """Trains the deltas until `plan.steps`, continuing from `directory/state.pt` if it is there.

    Args:
        student: The Thinker with deltas.
        chat: The chat form.
        draw: Draws a step's lessons; the generator it is given depends on seed and step only.
        plan: `head_rate` is the deltas' learning rate.
        directory: For state and curve.
        measure: Called every `plan.measure_every_steps`.

    Returns:
        Steps done so far.
    """
    trained = _Deltas(student)
    optimiser = torch.optim.AdamW(
        trained.parameters(), betas=(0.9, 0.98), weight_decay=0.0, fused=True
    )
    run = Run(directory, trained, optimiser)
    run.resume()

    def losses(step: int) -> Losses:
        torch.manual_seed(plan.seed * 1_000_003 + step)
        return distillation_loss(student, chat, draw(np.random.default_rng([plan.seed, step])))

    for step in run.train(plan.schedule, losses):
        if step % plan.measure_every_steps == 0:
            run.log(**measure())
    return run.step


class _Deltas(nn.Module):
    """Only what is trained, so that a saved state does not carry the Thinker."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        pairs: Iterator[tuple[str, nn.Parameter]] = (
            (f"{name.replace('.', '/')}/{kind}", getattr(delta, f"lora_{kind}"))
            for name, delta in student.deltas.items()
            for kind in "AB"
        )
        self.pairs = nn.ParameterDict(dict(pairs))


def export_tensors(directory: Path) -> dict[str, Tensor]:
    """The deltas of a finished run, in bfloat16, as `thinker_delta.<name>.lora_A` and `.lora_B`."""
    state = trained(directory)
    found = {}
    for key, tensor in state.items():
        name, _, kind = key.removeprefix("pairs.").rpartition("/")
        found[f"thinker_delta.{name.replace('/', '.')}.lora_{kind}"] = tensor.to(torch.bfloat16)
    return found
