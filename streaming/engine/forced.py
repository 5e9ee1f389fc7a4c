"""A sampler whose first tokens are given, as a reply's are that must be a function call.

Knows how the reply may begin, and lets the model choose only where the beginnings part. Does not
know what they mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from torch import Tensor

from model.sampling import Sampler

Branches: TypeAlias = "dict[int, Branches]"  # each token that may come, and what then may


class ForcedSampler:
    """Draws one of the `openings` to its end, and then what `sampler` draws.

    Where all openings that are still possible go on alike, the logits do not matter.

    Args:
        sampler: draws where there is a choice, and behind the opening.
        openings: Token sequences, none of them the beginning of another; without any, all is
            drawn freely.
    """

    def __init__(self, sampler: Sampler, openings: Iterable[Sequence[int]] = ()) -> None:
        self._sampler = sampler
        self._branches = _branches(openings)

    @property
    def is_forcing(self) -> bool:
        """Whether an opening was begun, or is to be, and is not over."""
        return bool(self._branches)

    def draw(self, logits: Tensor) -> int:
        """The next token, of logits [vocab]."""
        if not self._branches:
            return self._sampler.draw(logits)
        token, *others = self._branches
        if others:
            token = self._sampler.draw_among(logits, [token, *others])
        self._branches = self._branches[token]
        return token


def _branches(openings: Iterable[Sequence[int]]) -> Branches:
    root: Branches = {}
    for opening in openings:
        branches = root
        for token in opening:
            branches = branches.setdefault(token, {})
    return root
