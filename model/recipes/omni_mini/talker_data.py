"""Stage `talker`, data: what the Talker hears and must say, step by step.

The mini Talker asks for its text: it emits the advance token when it wants the next Thinker vector,
and holds the one it has until then (`Extras.talker_text_advance_token_id`). The teacher's word
times say when: a token's vector is asked for just before the code in which the token begins to
sound. So the Talker always looks at what it is saying, however long the reply, and has no alignment
to learn.
"""

import bisect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from model.recipes.omni_mini.codec import CODES_A_SECOND

CODEC_PAD, CODEC_START, CODEC_END, CODEC_MASK, CODEC_ADVANCE, CODEC_VOCABULARY = (
    1024,
    1025,
    1026,
    1027,
    1028,
    1032,
)


@dataclass(frozen=True, kw_only=True)
class Example:
    """One utterance as the Talker learns it.

    Attributes:
        question: What the utterance answers, or "".
        text: The utterance.
        token_ids: Thinker tokens of the text, `[n]`.
        targets: What the Talker emits: codes, advance tokens, the end token, `[k]`.
    """

    question: str
    text: str
    token_ids: list[int]
    targets: list[int]


def token_starts_s(
    text: str, offsets: Sequence[tuple[int, int]], words: Sequence[tuple[int, float]]
) -> list[float]:
    """Spreads the words' times over the tokens by letters.

    Args:
        text: The utterance.
        offsets: `(first, end)` characters of each token.
        words: `(first character, start in seconds)` of each word, then `(len(text), end of
            speech)`.

    Returns:
        The start of each token in seconds, never decreasing.
    """
    characters = [w[0] for w in words]
    times = [w[1] for w in words]
    starts: list[float] = []
    for first, end in offsets:
        while first < end - 1 and text[first].isspace():
            first += 1
        i = min(max(0, bisect.bisect_right(characters, first) - 1), len(words) - 2)
        width = max(1, characters[i + 1] - characters[i])
        start = times[i] + (times[i + 1] - times[i]) * (first - characters[i]) / width
        starts.append(max(start, starts[-1] if starts else 0.0))
    return starts


def schedule(starts_s: Sequence[float], end_s: float, codes: Sequence[int]) -> list[int]:
    """Interleaves codes with advance tokens.

    Args:
        starts_s: Start of each of the n tokens.
        end_s: End of the last one.
        codes: The utterance's codes, 25 a second.

    Returns:
        n advance tokens (for vectors 1 … n - 1 and the text-end vector) among the codes, then the
        end token. Vector 0 needs none: it comes with the codec start token.
    """
    begins = [int(s * CODES_A_SECOND) for s in (*starts_s[1:], end_s)]
    targets: list[int] = []
    asked = 0
    for index, code in enumerate(codes):
        wanted = bisect.bisect_right(begins, index)  # tokens that sound by this code
        targets += [CODEC_ADVANCE] * (wanted - asked)
        asked = wanted
        targets.append(int(code))
    targets += [CODEC_ADVANCE] * (len(begins) - asked)
    return [*targets, CODEC_END]


def read_examples(
    speech: Path, codes: Path, tokenizer: Tokenizer, *, banned: frozenset[str] = frozenset()
) -> list[Example]:
    """Reads every shard that has both speech and codes, leaving out the banned texts (the held-out
    replies).
    """
    examples = []
    for path in sorted(codes.glob("[0-9][0-9][0-9][0-9].npz")):
        shard = np.load(path)
        rows = [
            json.loads(line)
            for line in (speech / path.with_suffix(".jsonl").name).read_text().splitlines()
        ]
        flat, offsets = shard["codes"], shard["offsets"]
        for row, begin, end in zip(rows, offsets[:-1], offsets[1:], strict=True):
            text = row["text"]
            encoding = tokenizer.encode(text, add_special_tokens=False)
            if text in banned or len(encoding.ids) < 2:
                continue
            starts = token_starts_s(text, encoding.offsets, row["words"])
            targets = schedule(starts, row["words"][-1][1], flat[begin:end].tolist())
            examples.append(
                Example(
                    question=row.get("question", ""),
                    text=text,
                    token_ids=encoding.ids,
                    targets=targets,
                )
            )
    return examples


def lay_out(
    prompt: Tensor,
    reply: Tensor,
    special: Tensor,
    codec_embedding: torch.nn.Embedding,
    inputs: Tensor,
    targets: Tensor,
    *,
    advance_token_id: int = CODEC_ADVANCE,
    opening_codes: tuple[int, int] = (CODEC_PAD, CODEC_START),
) -> Tensor:
    """Builds the Talker's input vectors for one example, as `TalkerFeed` would have given them.

    Args:
        prompt: `[p, D]` Thinker vectors of the conversation so far.
        reply: `[n, D]` Thinker vectors of the reply.
        special: `[2, D]` Thinker embeddings of text start and text end.
        codec_embedding: The Talker's own.
        inputs: `[k - 1]` what it emitted (with the noise of training), all but the last target.
        targets: `[k]` what it should emit; decides where vectors are taken.
        advance_token_id: The token that asks for the next vector.
        opening_codes: Codec pad and codec start.

    Returns:
        `[p + 1 + k, D]`: the last k positions predict the targets.
    """
    text_start, text_end = special
    taken = (targets[:-1] == advance_token_id).long().cumsum(0)
    queue = torch.cat([reply, text_end[None]])  # [n + 1, D]
    held = queue[taken.clamp(max=len(queue) - 1)]
    opening = torch.stack([text_start, reply[0]]) + codec_embedding(torch.tensor(opening_codes))
    return torch.cat([prompt, opening, held + codec_embedding(inputs)])
