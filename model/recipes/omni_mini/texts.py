"""Stage `texts`: what people ask and what the Thinker answers, in the Thinker's own words.

Questions come from templates (`questions.py`) and from the Thinker itself, which writes a user's
turn when its chat template is left open there. Replies are its greedy answers. Knows batches,
sampling and what is kept; writes `questions.json` (training and held-out), `replies.jsonl`
(`[question, reply, finished]` each) and `heldout_replies.json`.
"""

import json
import random
import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from model.config import SamplingConfig
from model.kv_cache import KVCache
from model.recipes.omni_mini import ids
from model.recipes.omni_mini.questions import openings, split_questions
from model.recipes.omni_mini.vectors import prompt_ids
from model.sampling import Sampler
from model.thinker import Thinker

REPLY_TOKENS = 24
_QUESTION_TOKENS = 14
_QUESTION = re.compile(r"^[A-Za-z' ,]+[?.]$")
_REPLY_SAMPLING = SamplingConfig(temperature=0.0, repetition_penalty=1.1)
_QUESTION_SAMPLING = SamplingConfig(temperature=1.0, top_k=200, top_p=0.92)


class Writer:
    """Continues prompts with the Thinker, a batch at a time."""

    def __init__(
        self, thinker: Thinker, tokenizer: Tokenizer, *, batch: int = 64, context_tokens: int = 160
    ) -> None:
        """Sets a KV cache of `batch` slots aside."""
        self.tokenizer, self.batch = tokenizer, batch
        self._thinker = thinker
        self._cache = KVCache(
            thinker.config.text,
            slots=batch,
            capacity_tokens=context_tokens,
            dtype=thinker.lm_head.weight.dtype,
        )

    @torch.inference_mode()
    def write(
        self, prompts: Sequence[Sequence[int]], config: SamplingConfig, *, most: int, seed: int = 0
    ) -> list[list[int]]:
        """Returns the tokens each prompt goes on with, up to its end token (not included) or
        `most`.
        """
        written: list[list[int]] = []
        for start in range(0, len(prompts), self.batch):
            written += self._write(prompts[start : start + self.batch], config, most, seed + start)
        return written

    def _write(
        self, prompts: Sequence[Sequence[int]], config: SamplingConfig, most: int, seed: int
    ) -> list[list[int]]:
        slots = list(range(len(prompts)))
        for slot in slots:
            self._cache.reset(slot)
        size = self._thinker.config.text.vocab_size
        samplers = [Sampler(config, vocab_size=size, seed=seed + slot) for slot in slots]
        shared = self._read_once(prompts)
        counts = [len(p) - shared for p in prompts]
        tails = [torch.tensor(p[shared:]) for p in prompts]
        rows = torch.nn.utils.rnn.pad_sequence(tails, batch_first=True)
        hidden = self._step(rows, [shared] * len(slots), slots, counts)
        last = hidden[torch.arange(len(slots)), torch.tensor(counts) - 1]
        out: list[list[int]] = [[] for _ in prompts]
        alive = slots
        for _ in range(most):
            drawn = [
                samplers[s].draw(row)
                for s, row in zip(alive, self._thinker.logits(last), strict=True)
            ]
            for slot, token in zip(alive, drawn, strict=True):
                if token != ids.IM_END:
                    out[slot].append(token)
            kept = [(s, t) for s, t in zip(alive, drawn, strict=True) if t != ids.IM_END]
            if not kept:
                break
            alive = [s for s, _ in kept]
            tokens = torch.tensor([[t] for _, t in kept])
            last = self._step(
                tokens, [self._cache.lengths[s] for s in alive], alive, [1] * len(alive)
            )[:, 0]
        return out

    def _read_once(self, prompts: Sequence[Sequence[int]]) -> int:
        """Puts what all prompts begin with into every slot; returns its length."""
        columns = zip(*(prompt[:-1] for prompt in prompts), strict=False)
        shared = len(list(takewhile(lambda column: len(set(column)) == 1, columns)))
        if shared:
            self._step(torch.tensor([prompts[0][:shared]]), [0], [0], [shared])
        for slot in range(len(prompts)):
            self._cache.copy(0, slot)
        return shared

    def _step(
        self, rows: Tensor, starts: Sequence[int], slots: Sequence[int], counts: Sequence[int]
    ) -> Tensor:
        positions = torch.tensor(starts)[:, None] + torch.arange(rows.shape[1])
        return self._thinker.step(
            self._thinker.embed(rows), positions.expand(3, -1, -1), self._cache, slots, counts
        )


def write_questions(writer: Writer, *, count: int, seed: int = 1) -> list[str]:
    """Lets the Thinker write what a user might say; keeps short plain sentences, each once."""
    rng = random.Random(seed)
    opening = prompt_ids(writer.tokenizer, "")
    # The prompt without the question, its end and the assistant's opening: up to and including
    # "user\n".
    user = writer.tokenizer.encode("user\n").ids
    head = opening[: _find(opening, user) + len(user)]
    choices = openings()
    found: dict[str, None] = {}
    rounds = 0
    while len(found) < count:
        starts = [rng.choice(choices) for _ in range(writer.batch)]
        prompts = [head + writer.tokenizer.encode(start).ids for start in starts]
        tokens = writer.write(
            prompts, _QUESTION_SAMPLING, most=_QUESTION_TOKENS, seed=seed + 7919 * rounds
        )
        for start, row in zip(starts, tokens, strict=True):
            text = (start + writer.tokenizer.decode(row)).split("\n")[0]
            mark = re.search(r"[?.]", text)
            if (
                mark
                and _QUESTION.match(text := text[: mark.end()].strip())
                and 3 <= len(text.split()) <= 12
            ):
                found[text] = None
        rounds += 1
    return list(found)[:count]


def write_replies(writer: Writer, questions: Sequence[str]) -> list[tuple[str, str, bool]]:
    """Returns `(question, reply, finished)`: greedy answers, cut at `REPLY_TOKENS`."""
    prompts = [prompt_ids(writer.tokenizer, question) for question in questions]
    tokens = writer.write(prompts, _REPLY_SAMPLING, most=REPLY_TOKENS)
    return [
        (question, writer.tokenizer.decode(row).strip(), len(row) < REPLY_TOKENS)
        for question, row in zip(questions, tokens, strict=True)
    ]


def make_texts(
    writer: Writer,
    directory: Path,
    *,
    written: int,
    templated: int | None = None,
    held_out_replies: int | None = None,
) -> None:
    """Runs the stage; a file already there is left as it is.

    Args:
        writer: The Thinker.
        directory: Where the three files go.
        written: How many questions the Thinker writes itself.
        templated: How many of the templated training questions are used; None: all.
        held_out_replies: How many held-out questions are answered; None: all.
    """
    train, held_out = split_questions()
    train = train[:templated]
    (directory / "questions.json").write_text(json.dumps({"train": train, "heldout": held_out}))
    if not (directory / "heldout_replies.json").exists():
        rows = write_replies(writer, held_out[:held_out_replies])
        (directory / "heldout_replies.json").write_text(json.dumps(rows))
    target = directory / "replies.jsonl"
    if target.exists():
        return
    own = [q for q in write_questions(writer, count=written) if q not in set(held_out)]
    questions = train + own
    random.Random(5).shuffle(questions)
    partial = target.with_suffix(".partial")
    with partial.open("w") as file:
        for start in range(0, len(questions), writer.batch):
            for row in write_replies(writer, questions[start : start + writer.batch]):
                file.write(json.dumps(row) + "\n")
    partial.rename(target)


def _find(row: Sequence[int], piece: Sequence[int]) -> int:
    return next(i for i in range(len(row)) if list(row[i : i + len(piece)]) == list(piece))
