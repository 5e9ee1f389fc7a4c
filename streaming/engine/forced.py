"""A sampler whose first tokens are given, as a reply's are that must be a function call.

Knows how many of them are still to come. Does not know what they mean.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from torch import Tensor

from model.sampling import Sampler


class ForcedSampler:
    """Draws `first` in order, whatever the logits are, and then what `sampler` draws."""

    def __init__(self, sampler: Sampler, first: Sequence[int] = ()) -> None:
        self._sampler = sampler
        self._first = deque(first)

    def draw(self, logits: Tensor) -> int:
        """The next token, of logits [vocab]."""
        return self._first.popleft() if self._first else self._sampler.draw(logits)
