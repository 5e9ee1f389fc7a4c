"""What stage C is taught with: questions in the chat form, heard or typed, and what should follow.

Streams are vectors at 25 Hz from the finished ear, or made from text alone (`simulate`). Knows the
two system prompts and the places of special tokens. Does not know networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from model.recipes.omni_mini import ids

ANSWER_PROMPT = "You are a voice assistant. Answer in one short sentence."
TRANSCRIBE_PROMPT = "Repeat the user's words exactly."


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What was asked and what should follow.

    Attributes:
        question: As typed.
        reply: Token ids that should follow, with the end token if the reply ended.
        transcribe: Under the transcription prompt; `reply` is then the question itself.
        stream: Vectors at 25 Hz `[n, D]`, or None for a typed question.
    """

    question: str
    reply: list[int]
    transcribe: bool
    stream: Tensor | None


class Chat:
    """Puts lessons into the chat form, as embeddings."""

    def __init__(self, tokenizer: Tokenizer, table: Tensor) -> None:
        self.tokenizer = tokenizer
        self.table = table
        self.opening = {
            True: self.embed(
                f"<|im_start|>system\n{TRANSCRIBE_PROMPT}<|im_end|>\n<|im_start|>user\n"
            ),
            False: self.embed(f"<|im_start|>system\n{ANSWER_PROMPT}<|im_end|>\n<|im_start|>user\n"),
        }
        self.closing = self.embed("<|im_end|>\n<|im_start|>assistant\n")

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, special tokens included where they are written."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def embed(self, text: str) -> Tensor:
        """Embeddings [n, D] of a text."""
        return self.table[torch.tensor(self.ids(text))]

    def prompt(self, lesson: Lesson, *, typed: bool = False) -> Tensor:
        """Everything before the reply: [n, D]; `typed` asks in writing despite a stream."""
        if typed or lesson.stream is None:
            return torch.cat(
                [self.opening[lesson.transcribe], self.embed(lesson.question), self.closing]
            )
        bos, eos = self.table[[ids.AUDIO_BOS]], self.table[[ids.AUDIO_EOS]]
        heard = torch.cat([bos, lesson.stream.to(self.table.dtype), eos])
        return torch.cat([self.opening[lesson.transcribe], heard, self.closing])

    def rows(
        self, lessons: Sequence[Lesson], *, typed: bool = False
    ) -> tuple[list[Tensor], list[int]]:
        """Sequences (prompt, reply without its last token) and the lengths of their prompts."""
        prompts = [self.prompt(lesson, typed=typed) for lesson in lessons]
        rows = [
            torch.cat([prompt, self.table[torch.tensor(lesson.reply[:-1], dtype=torch.long)]])
            for prompt, lesson in zip(prompts, lessons, strict=True)
        ]
        return rows, [len(prompt) for prompt in prompts]


def simulate(
    tokens: Sequence[int],
    table: Tensor,
    blank: Tensor,
    rng: np.random.Generator,
    confusable: Tensor,
) -> Tensor:
    """A stream as the ear might write it, from text alone.

    Tokens at the pace of speech, blanks between, some vectors half-way to another token's, some
    smeared over two frames, now and then one lost or said twice.

    Args:
        tokens: As `Speller` gives them.
        table: The Thinker's embeddings.
        blank: The blank's embedding.
        rng: Draws everything.
        confusable: Token ids that a token may be mistaken for.
    """
    frames = [blank] * int(rng.integers(3, 26))
    pace = rng.uniform(5, 9)  # frames a token
    for token in tokens:
        luck = rng.random()
        if luck < 0.03:
            continue
        vector = table[token].float()
        if luck < 0.25:
            other = table[confusable[rng.integers(len(confusable))]].float()
            vector = torch.lerp(vector, other, float(rng.beta(1, 3)))
        vector = torch.lerp(vector, blank, float(rng.beta(1, 6)))
        frames += [blank] * max(0, int(rng.normal(pace - 1, 2)))
        frames.append(vector)
        if luck > 0.93:
            frames.append(torch.lerp(vector, blank, float(rng.uniform(0, 0.7))))
    frames += [blank] * int(rng.integers(5, 20))
    stream = torch.stack(frames)
    return stream + torch.randn(stream.shape) * float(rng.uniform(0, 0.03))
