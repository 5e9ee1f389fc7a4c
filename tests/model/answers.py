"""Makes a random model's answer to a prompt as long as a test wants it."""

from collections.abc import Sequence

from torch import nn

from model.generate import write
from model.omni import OmniModel
from model.prompt import Prompt
from tests.model import tiny


def lengthen(model: OmniModel, prompt: Prompt, words: int, *twins: nn.Linear) -> list[int]:
    """Gives the end token's row of the unembedding to others until the answer has `words` words.

    Args:
        model: changed in place.
        prompt: what it answers.
        words: greedy tokens wanted.
        twins: unembeddings of the same weights, changed alike.

    Returns:
        The answer.
    """
    (end,) = model.text_end_ids
    for spare in range(tiny.TEXT_IDS):
        answer = write(model, prompt, max_tokens=words).text_ids
        if len(answer) == words:
            return answer
        swap((model.thinker.lm_head, *twins), spare, end)
    raise AssertionError("every word ends the answer")


def swap(heads: Sequence[nn.Linear], first: int, second: int) -> None:
    """Exchanges two logits."""
    for head in heads:
        head.weight.data[[first, second]] = head.weight.data[[second, first]]
