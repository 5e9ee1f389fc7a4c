"""The Talker: the model that turns the Thinker's vectors into codec tokens.

Knows its decoder and the order in which it takes vectors (`TalkerFeed`). Does not know how a codec
token is drawn (`model.sampling`) or what it sounds like (`model.token2wav`).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor, nn

from model.config import OmniConfig, TalkerConfig
from model.kv_cache import KVCache
from model.layers import Attend, Decoder, Projection, attend_causally
from model.spelling import Spelling


class Talker(nn.Module):
    """Projection, decoder and codec head under their published names.

    `spelling` is an extra of our own checkpoints.

    Source: Qwen2_5OmniTalkerForConditionalGeneration.
    """

    def __init__(self, config: TalkerConfig, spelling: Spelling | None = None) -> None:
        super().__init__()
        self.config = config
        self.spelling = spelling
        self.thinker_to_talker_proj = Projection(config.embedding_size, config.decoder.hidden_size)
        self.model = Decoder(config.decoder, config.embedding_size)
        self.codec_head = Projection(
            config.decoder.hidden_size, config.decoder.vocab_size, bias=False
        )

    @property
    def end_codes(self) -> frozenset[int]:
        """Codes that end a reply; the reference takes codec-pad for an end as well."""
        return frozenset((self.config.tts_codec_end_token_id, self.config.tts_codec_pad_token_id))

    @property
    def forbidden_codes(self) -> frozenset[int]:
        """Codes that are never drawn."""
        return frozenset((self.config.tts_codec_start_token_id,))

    @property
    def prompt_codes(self) -> frozenset[int]:
        """Codes that stand before a reply, so that the repetition penalty counts them as seen."""
        config = self.config
        return frozenset(
            (
                config.tts_codec_mask_token_id,
                config.tts_codec_pad_token_id,
                config.tts_codec_start_token_id,
            )
        )

    @classmethod
    def of(cls, config: OmniConfig) -> Self:
        """The Talker of a checkpoint, with the spelling that its section "omnilive" asks for."""
        letters = config.omnilive.talker_spelling_letters
        if letters is None:
            return cls(config.talker)
        size = config.thinker.text.vocab_size
        return cls(config.talker, Spelling(size, letters, config.talker.embedding_size))

    def spelled(self, vectors: Tensor, token_ids: Tensor) -> Tensor:
        """Adds the spelling, if there is one, to Thinker vectors.

        Args:
            vectors: [..., embedding_size].
            token_ids: [...] int64 text tokens that they are of.

        Returns:
            [..., embedding_size].
        """
        return vectors if self.spelling is None else vectors + self.spelling(token_ids)

    def codec_embed(self, ids: Tensor) -> Tensor:
        """Codec token embeddings: [...] int64 -> [..., embedding_size]."""
        out: Tensor = self.model.embed_tokens(ids)
        return out

    def forward(self, inputs: Tensor, position_ids: Tensor) -> Tensor:
        """The whole sequence at once, causally: the reference for `step`.

        Args:
            inputs: [B, T, embedding_size]; Thinker vectors plus codec embeddings.
            position_ids: [3, B, T] int64.

        Returns:
            [B, T, vocab] logits.
        """
        return self.decode(inputs, position_ids, attend_causally)

    def step(
        self,
        inputs: Tensor,
        position_ids: Tensor,
        cache: KVCache,
        slots: Sequence[int],
        counts: Sequence[int] | None = None,
    ) -> Tensor:
        """Appends positions to slots; see `Thinker.step`.

        Returns:
            [B, T, vocab] logits; padding holds no meaning.

        Raises:
            ContextFullError: a slot has no room; no slot has changed.
        """
        width = inputs.shape[1]
        append = cache.begin(slots, [width] * len(slots) if counts is None else counts, width)
        logits = self.decode(inputs, position_ids, append)
        append.commit()
        return logits

    def decode(self, inputs: Tensor, position_ids: Tensor, attend: Attend) -> Tensor:
        """The maths of `step`, with whatever `attend` keeps the past: logits [B, T, vocab]."""
        hidden = self.model(self.thinker_to_talker_proj(inputs), position_ids, attend)
        logits: Tensor = self.codec_head(hidden)
        return logits


@dataclass(frozen=True, kw_only=True)
class FeedVectors:
    """The fixed vectors of a Talker reply, each [embedding_size].

    `text_*` are embeddings of the Thinker's (`text_bos` of the voice's own token), `codec_*` the
    Talker's.
    """

    text_bos: Tensor
    text_eos: Tensor
    text_pad: Tensor
    codec_pad: Tensor
    codec_bos: Tensor


@dataclass(slots=True)
class TalkerFeed:
    """Which input the Talker takes next, for one reply.

    The reply opens with two positions (text-begin with codec-pad, first vector with codec-begin);
    then each step takes the next vector, after the last one the text-end vector, then text-pad for
    ever. With an advance token, a step takes the next vector only if the code before it was that
    token, and holds the one it has otherwise: each step sees the text that is being spoken.

    Attributes:
        talker: whose codec embeddings are added.
        vectors: the fixed vectors.
        advance_token_id: see above; None for the published models.

    Source: Qwen2_5OmniForConditionalGeneration.generate.
    """

    talker: Talker
    vectors: FeedVectors
    advance_token_id: int | None = None
    _waiting: deque[Tensor] = field(default_factory=deque)
    _held: Tensor | None = None
    _finished: bool = False

    def push(self, vector: Tensor) -> None:
        """Adds the Thinker vector [embedding_size] of the next reply token, its end token not."""
        assert not self._finished, "push after finish"
        self._waiting.append(vector)

    def finish(self) -> None:
        """Says that the reply has no more vectors."""
        assert not self._finished, "finish twice"
        self._finished = True
        self._waiting.append(self.vectors.text_eos)

    def starved(self, previous_code: int | None) -> bool:
        """Whether `next_input` must wait for a vector that has not come."""
        return self.takes(previous_code) and not self._waiting and not self._finished

    def next_input(self, previous_code: int | None) -> Tensor:
        """The Talker's next input.

        Args:
            previous_code: the codec token drawn last; None at the reply's opening.

        Returns:
            [1, embedding_size], or [2, embedding_size] at the opening.
        """
        assert not self.starved(previous_code), "no vector to take"
        if self._held is None or self.takes(previous_code):
            self._held = self._next_text()
        text = self._held
        if previous_code is None:
            opening = self.vectors.text_bos + self.vectors.codec_pad
            return torch.stack((opening, text + self.vectors.codec_bos))
        code = torch.tensor([previous_code], device=text.device)
        return text + self.talker.codec_embed(code)

    def takes(self, previous_code: int | None) -> bool:
        """Whether `next_input` takes the next vector, or holds the one it has."""
        opening_or_published = previous_code is None or self.advance_token_id is None
        return opening_or_published or previous_code == self.advance_token_id

    def _next_text(self) -> Tensor:
        return self._waiting.popleft() if self._waiting else self.vectors.text_pad
