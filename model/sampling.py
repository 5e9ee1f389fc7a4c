"""Draws one token from logits.

Knows the order of the cuts (repetition penalty, forbidden tokens, temperature, top-k, top-p), which
is the reference's. Does not know what the tokens mean. Each sampler has its own random stream, so
that a conversation's draws do not depend on who shares its batch.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from model.config import SamplingConfig


class Sampler:
    """The random stream and the history of one sequence.

    Args:
        config: how to draw.
        vocab_size: how many logits there are.
        seed: of the random stream.
        seen: tokens that count as repeated from the start (the prompt's).
        forbidden: tokens that are never drawn.

    Source: transformers' RepetitionPenalty, SuppressTokens, Temperature, TopK and TopP processors.
    """

    def __init__(
        self,
        config: SamplingConfig,
        *,
        vocab_size: int,
        seed: int = 0,
        seen: Iterable[int] = (),
        forbidden: Iterable[int] = (),
    ) -> None:
        self.config = config
        self._random = torch.Generator().manual_seed(seed)
        self._seen = torch.zeros(vocab_size, dtype=torch.bool)
        self._seen[sorted(set(seen))] = True
        self._forbidden = torch.tensor(sorted(set(forbidden)), dtype=torch.long)

    def draw(self, logits: Tensor) -> int:
        """The next token, which is remembered as seen.

        Args:
            logits: [vocab], any float dtype, any device.
        """
        token = self._pick(self.scores(logits))
        self._seen[token] = True
        return token

    def draw_among(self, logits: Tensor, tokens: Sequence[int]) -> int:
        """The next token, one of these few, which is remembered as seen.

        Args:
            logits: [vocab], any float dtype, any device.
            tokens: Different ones, at least one; forbidden or not.
        """
        ids = torch.tensor(tokens)
        token = tokens[self._pick(self.scores_among(logits, ids))]
        self._seen[token] = True
        return token

    def scores(self, logits: Tensor) -> Tensor:
        """Logits in float32 on the CPU after the penalty, forbidden ones at -inf."""
        scores = self._penalised(logits, self._seen)
        if len(self._forbidden):
            scores = scores.index_fill(0, self._forbidden, -torch.inf)
        return scores

    def scores_among(self, logits: Tensor, ids: Tensor) -> Tensor:
        """The same of these tokens alone, int64 [n] on the CPU -> [n]; none is forbidden."""
        return self._penalised(logits[ids.to(logits.device)], self._seen[ids])

    def candidates(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (over temperature, falling) and ids of what survives top-k and top-p."""
        count = min(self.config.top_k or len(scores), len(scores))
        values, tokens = torch.topk(scores / self.config.temperature, count)
        if self.config.top_p < 1:
            # Mass of this candidate and all smaller ones: the tail within 1 - top_p goes.
            tail = values.softmax(-1).flip(0).cumsum(0).flip(0)
            kept = max(int((tail > 1 - self.config.top_p).sum()), 1)
            values, tokens = values[:kept], tokens[:kept]
        return values, tokens

    def _pick(self, scores: Tensor) -> int:
        """The place of the one that is drawn."""
        if self.config.temperature == 0:
            return int(scores.argmax())
        values, places = self.candidates(scores)
        return int(places[torch.multinomial(values.softmax(-1), 1, generator=self._random)])

    def _penalised(self, logits: Tensor, seen: Tensor) -> Tensor:
        scores = logits.detach().float().cpu()
        penalty = self.config.repetition_penalty
        if penalty == 1:
            return scores
        punished = torch.where(scores < 0, scores * penalty, scores / penalty)
        return torch.where(seen, punished, scores)
