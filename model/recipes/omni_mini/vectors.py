"""What the fixed Thinker tells the Talker about each utterance, computed once."""

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

from model.recipes.omni_mini import ids
from model.recipes.omni_mini.shape import SYSTEM_PROMPT
from model.recipes.omni_mini.talker import Vectors
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
    return [*out, ids.IM_START, *tokenizer.encode("assistant\n").ids]


@torch.inference_mode()
def compute_vectors(
    thinker: Thinker, tokenizer: Tokenizer, examples: Sequence[Example], *, batch: int = 24
) -> list[Vectors]:
    """Runs the Thinker over every conversation, teacher-forced.

    Returns:
        Vectors of each example, bfloat16, in the order given.
    """
    found: list[Vectors | None] = [None] * len(examples)
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].token_ids))
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        prompts = [prompt_ids(tokenizer, examples[i].question) for i in chosen]
        rows = [
            torch.tensor(p + examples[i].token_ids) for p, i in zip(prompts, chosen, strict=True)
        ]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        embeds = thinker.embed(padded)
        positions = torch.arange(padded.shape[1]).expand(3, len(chosen), -1)
        vectors = embeds + thinker.model(embeds, positions)  # [B, T, D]
        for row, prompt, ids_row, index in zip(vectors, prompts, rows, chosen, strict=True):
            kept = row[: len(ids_row)].to(torch.bfloat16)
            found[index] = Vectors(
                prompt=kept[: len(prompt)].clone(), reply=kept[len(prompt) :].clone()
            )
    return [vectors for vectors in found if vectors is not None]


def special_vectors(thinker: Thinker) -> Tensor:
    """Returns the embeddings of text start and text end: `[2, D]` float32."""
    wanted = torch.tensor([ids.TALKER_TEXT_BOS, ids.TALKER_TEXT_EOS])
    return thinker.embed(wanted).detach().float()
