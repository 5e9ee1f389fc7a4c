"""What the fixed Thinker tells the Talker about each utterance, computed once."""

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

from model.recipes.omni_mini import ids
from model.recipes.omni_mini.shape import SYSTEM_PROMPT
from model.recipes.omni_mini.talker_data import Example
from model.thinker import Thinker

_NO_QUESTION = "Say something."


def prompt_ids(tokenizer: Tokenizer, question: str) -> list[int]:
    """Returns the conversation before a reply: system, the question, the opening of the reply."""
    segments = (f"system\n{SYSTEM_PROMPT}", f"user\n{question or _NO_QUESTION}")
    out: list[int] = []
    for segment in segments:
        out += [
            ids.IM_START,
            *tokenizer.encode(segment).ids,
            ids.IM_END,
            *tokenizer.encode("\n").ids,
        ]
    return [*out, *opening_ids(tokenizer)]


def opening_ids(tokenizer: Tokenizer) -> list[int]:
    """Returns the opening of a reply: all that stands before an utterance that answers nothing."""
    return [ids.IM_START, *tokenizer.encode("assistant\n").ids]


def context_ids(tokenizer: Tokenizer, example: Example) -> list[int]:
    """Returns what the Thinker reads before an utterance of the training data."""
    question = example.question
    return prompt_ids(tokenizer, question) if question else opening_ids(tokenizer)


@torch.inference_mode()
def compute_vectors(
    thinker: Thinker, tokenizer: Tokenizer, examples: Sequence[Example], *, batch: int = 24
) -> list[tuple[Tensor, Tensor]]:
    """Runs the Thinker over every conversation, teacher-forced.

    Returns:
        Vectors of the conversation before each example `[p, D]` and of the example `[n, D]`,
        bfloat16, in the order given.
    """
    found: dict[int, tuple[Tensor, Tensor]] = {}
    contexts = [context_ids(tokenizer, example) for example in examples]
    order = sorted(
        range(len(examples)), key=lambda i: len(contexts[i]) + len(examples[i].token_ids)
    )
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        prompts = [contexts[i] for i in chosen]
        rows = [torch.tensor(contexts[i] + examples[i].token_ids) for i in chosen]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        embeds = thinker.embed(padded)
        positions = torch.arange(padded.shape[1]).expand(3, len(chosen), -1)
        vectors = embeds + thinker.model(embeds, positions)  # [B, T, D]
        for row, prompt, ids_row, index in zip(vectors, prompts, rows, chosen, strict=True):
            kept = row[: len(ids_row)].to(torch.bfloat16)
            found[index] = (kept[: len(prompt)].clone(), kept[len(prompt) :].clone())
    return [found[index] for index in range(len(examples))]


def special_vectors(thinker: Thinker) -> Tensor:
    """Returns the embeddings of text start and text end: `[2, D]` float32."""
    wanted = torch.tensor([ids.TALKER_TEXT_BOS, ids.TALKER_TEXT_EOS])
    return thinker.embed(wanted).detach().float()
