"""The Thinker: the model that reads text, sound and pictures and writes text.

Knows its encoders, its decoder, its unembedding, and how its vectors are made for the Talker. Does
not know templates, positions or turns: it is given embeddings and position ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from model.audio_encoder import AudioEncoder
from model.config import ThinkerConfig
from model.kv_cache import KVCache
from model.layers import Attend, Decoder, Projection
from model.vision_encoder import VisionEncoder


@dataclass(frozen=True, kw_only=True)
class ThinkerOutput:
    """What the offline pass gives.

    Attributes:
        hidden: [B, T, D] after the final norm.
        logits: [B, T, vocab].
    """

    hidden: Tensor
    logits: Tensor


class Thinker(nn.Module):
    """Encoders, decoder and unembedding under their published names.

    Source: Qwen2_5OmniThinkerForConditionalGeneration.
    """

    def __init__(self, config: ThinkerConfig) -> None:
        super().__init__()
        self.config = config
        self.audio_tower = AudioEncoder(config.audio)
        self.visual = VisionEncoder(config.vision) if config.vision is not None else None
        self.model = Decoder(config.text)
        self.lm_head = Projection(config.text.hidden_size, config.text.vocab_size, bias=False)
        if config.text.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def embed(self, ids: Tensor) -> Tensor:
        """Text embeddings: [...] int64 -> [..., D]."""
        out: Tensor = self.model.embed_tokens(ids)
        return out

    def forward(self, embeds: Tensor, position_ids: Tensor) -> ThinkerOutput:
        """The whole sequence at once, causally: the reference for `step`.

        Args:
            embeds: [B, T, D]; text embeddings and encoder outputs in their places.
            position_ids: [3, B, T] int64.
        """
        hidden = self.model(embeds, position_ids)
        return ThinkerOutput(hidden=hidden, logits=self.logits(hidden))

    def step(
        self,
        embeds: Tensor,
        position_ids: Tensor,
        cache: KVCache,
        slots: Sequence[int],
        counts: Sequence[int] | None = None,
    ) -> Tensor:
        """Appends positions to slots: prefill in pieces and batched decode are the same call.

        Args:
            embeds: [B, T, D]; rows may be padded on the right.
            position_ids: [3, B, T] int64.
            cache: where the rows' pasts are.
            slots: the row's slot, each at most once.
            counts: real positions of each row, T by default.

        Returns:
            [B, T, D] hidden states after the final norm; padding holds no meaning.

        Raises:
            ContextFullError: a slot has no room; no slot has changed.
        """
        width = embeds.shape[1]
        append = cache.begin(slots, [width] * len(slots) if counts is None else counts, width)
        hidden = self.decode(embeds, position_ids, append)
        append.commit()
        return hidden

    def decode(self, embeds: Tensor, position_ids: Tensor, attend: Attend) -> Tensor:
        """The maths of `step`, with whatever `attend` keeps the past: [B, T, D] -> [B, T, D]."""
        hidden: Tensor = self.model(embeds, position_ids, attend)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., D] -> [..., vocab]."""
        out: Tensor = self.lm_head(hidden)
        return out


def talker_vectors(embeds: Tensor, hidden: Tensor, is_media: Tensor) -> Tensor:
    """What the Talker is told about each position: embedding plus hidden state.

    At positions of sound and pictures it is the hidden state alone.

    Args:
        embeds: [..., D] the Thinker's inputs.
        hidden: [..., D] its hidden states there.
        is_media: [...] bool.

    Returns:
        [..., D].

    Source: Qwen2_5OmniForConditionalGeneration.generate.
    """
    return hidden + embeds.masked_fill(is_media[..., None], 0)
