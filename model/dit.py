"""The mel transformer: from a noisy mel, codec tokens and a speaker to the velocity of the flow.

Knows one evaluation of the network, over a whole sequence or a window of one: attention is confined
to blocks of `block_size` mel frames, a few layers see one block back and a few one ahead. Does not
know the solver, nor how windows follow each other in a stream (`model.token2wav`).

Only the first head is rotated (the published weights were trained so), and rotation is relative: a
window cut at a block border gives what the whole gives, where it holds all blocks that are looked
at.

Source: "F5-TTS" (Chen et al., 2024) for the backbone, section 2.4 of the Qwen2.5-Omni report for
    the sliding window; parameter names of the reference's `Qwen2_5OmniToken2WavDiTModel`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.figures import DiTConfig
from model.speaker_encoder import SpeakerEncoder

_NORM_EPS = 1e-6
_TIME_FEATURES = 256
_TIME_SCALE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceConditions:
    """What of the conditions belongs to the voice; made once a stream.

    Attributes:
        speaker: `[B, enc_dim]` vector of the speaker's reference mel.
        silence: `[B, enc_dim]` vector of a reference of zeros, for guidance.
        embedding: `[B, enc_emb_dim]` that comes with the voice.
    """

    speaker: Tensor
    silence: Tensor
    embedding: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What the velocity depends on besides time and state; made once a window.

    Attributes:
        codes: `[B, T, emb_dim]` codec embeddings, one a mel frame.
        speaker: `[B, enc_dim]`.
        embedding: `[B, enc_emb_dim]`.
    """

    codes: Tensor
    speaker: Tensor
    embedding: Tensor


class TimeEmbedding(nn.Module):
    """The flow's time, `[B]` in 0..1, to `[B, hidden]`."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.time_mlp = nn.ModuleList(
            [nn.Linear(_TIME_FEATURES, hidden_size), nn.SiLU(), nn.Linear(hidden_size, hidden_size)]
        )

    def forward(self, time: Tensor) -> Tensor:
        """Sinusoids of a thousandfold time, then two layers."""
        half = _TIME_FEATURES // 2
        rates = torch.exp(torch.arange(half, device=time.device) * (-math.log(10_000) / (half - 1)))
        angles = _TIME_SCALE * time.float()[:, None] * rates
        hidden = torch.cat((angles.sin(), angles.cos()), dim=-1).to(time.dtype)
        for layer in self.time_mlp:
            hidden = layer(hidden)
        return hidden


class CodecEmbedding(nn.Module):
    """Codec tokens to one vector a mel frame; row 0 stands for a dropped code."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.repeats = config.repeats
        self.codec_embed = nn.Embedding(config.num_embeds + 1, config.emb_dim)

    def forward(self, codes: Tensor) -> Tensor:
        """`[B, N]` to `[B, N * repeats, emb_dim]`."""
        embedded: Tensor = self.codec_embed(codes)
        return embedded.repeat_interleave(self.repeats, dim=1)


class InputEmbedding(nn.Module):
    """Joins state and conditions frame by frame."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        width = config.mel_dim + config.enc_dim + config.enc_emb_dim + config.emb_dim
        self.proj = nn.Linear(width, config.hidden_size)
        self.spk_encoder = SpeakerEncoder(config)

    def forward(self, state: Tensor, conditions: Conditions) -> Tensor:
        """`[B, T, mel_dim]` to `[B, T, hidden]`."""
        rows, frames, _ = state.shape
        speaker = conditions.speaker[:, None].expand(rows, frames, -1)
        voice = conditions.embedding[:, None].expand(rows, frames, -1)
        joined: Tensor = self.proj(torch.cat((state, speaker, conditions.codes, voice), dim=-1))
        return joined


class AdaptiveNorm(nn.Module):
    """Layer norm whose scale and shift, and four or no further vectors, come from the time.

    Source: AdaLN-Zero of "Scalable Diffusion Models with Transformers" (Peebles and Xie, 2023).
    """

    def __init__(self, hidden_size: int, vectors: int) -> None:
        super().__init__()
        self.vectors = vectors
        self.linear = nn.Linear(hidden_size, vectors * hidden_size)

    def modulation(self, time: Tensor) -> tuple[Tensor, ...]:
        """Returns the vectors of a time embedding `[B, hidden]`, each `[B, 1, hidden]`."""
        vectors: Tensor = self.linear(F.silu(time))[:, None]
        return vectors.chunk(self.vectors, dim=-1)


def modulated(hidden: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm without weights, then scale around one, and shift."""
    return F.layer_norm(hidden, hidden.shape[-1:], eps=_NORM_EPS) * (1 + scale) + shift


class Attention(nn.Module):
    """Attention inside a mask, its first head rotated in interleaved pairs."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        inner = config.head_dim * config.num_attention_heads
        self.head_dim = config.head_dim
        self.to_q = nn.Linear(config.hidden_size, inner)
        self.to_k = nn.Linear(config.hidden_size, inner)
        self.to_v = nn.Linear(config.hidden_size, inner)
        self.to_out = nn.ModuleList([nn.Linear(inner, config.hidden_size)])

    def forward(
        self, hidden: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | None
    ) -> Tensor:
        """`[B, T, hidden]` to the same shape; `mask` is `[T, T]`, added to the scores."""
        batch, frames, _ = hidden.shape
        query, key, value = (
            project(hidden).view(batch, frames, -1, self.head_dim).transpose(1, 2)  # [B, H, T, D]
            for project in (self.to_q, self.to_k, self.to_v)
        )
        query, key = rotate_first_head(query, rotation), rotate_first_head(key, rotation)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        output: Tensor = self.to_out[0](mixed.transpose(1, 2).reshape(batch, frames, -1))
        return output


def rotate_first_head(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotates pairs (0, 1), (2, 3), … of head 0 of `[B, H, T, D]`, in place, by `[T, D / 2]`."""
    cosine, sine = rotation
    even, odd = heads[:, 0, :, 0::2], heads[:, 0, :, 1::2]
    pairs = torch.stack((even * cosine - odd * sine, odd * cosine + even * sine), dim=-1)
    heads[:, 0] = pairs.flatten(-2)
    return heads


class FeedForward(nn.Module):
    """Two layers with GELU between."""

    def __init__(self, hidden_size: int, multiple: int) -> None:
        super().__init__()
        inner = hidden_size * multiple
        # The published names count the activation and the dropout between the two layers.
        self.ff = nn.ModuleDict(
            {"0": nn.Linear(hidden_size, inner), "3": nn.Linear(inner, hidden_size)}
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """`[B, T, hidden]` to the same shape."""
        output: Tensor = self.ff["3"](F.gelu(self.ff["0"](hidden), approximate="tanh"))
        return output


class DiTLayer(nn.Module):
    """Attention and feed-forward, both gated and modulated by the time."""

    def __init__(self, config: DiTConfig, index: int) -> None:
        super().__init__()
        self.looks_back = int(index in config.look_backward_layers)
        self.looks_ahead = int(index in config.look_ahead_layers)
        self.attn_norm = AdaptiveNorm(config.hidden_size, 6)
        self.attn = Attention(config)
        self.ff = FeedForward(config.hidden_size, config.ff_mult)

    @property
    def looks(self) -> bool:
        """Tells whether it looks at any block but a frame's own."""
        return bool(self.looks_back or self.looks_ahead)

    def mask(self, blocks: Tensor) -> Tensor:
        """What keeps a frame from the blocks it must not see, to be added to scores.

        Args:
            blocks: `[T, T]`, block of the column minus block of the row.
        """
        seen = (blocks >= -self.looks_back) & (blocks <= self.looks_ahead)
        return torch.zeros(seen.shape, device=seen.device).masked_fill(~seen, -torch.inf)

    def forward(
        self, hidden: Tensor, time: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | None
    ) -> Tensor:
        """`[B, T, hidden]` to the same shape.

        Args:
            hidden: The stream.
            time: `[B, hidden]`.
            rotation: Cosines and sines, each `[T, D / 2]`.
            mask: Of `mask`; None where the T frames are one block.
        """
        shift, scale, gate, ff_shift, ff_scale, ff_gate = self.attn_norm.modulation(time)
        attended = self.attn(modulated(hidden, shift, scale), rotation, mask)
        hidden = hidden + gate * attended
        output: Tensor = hidden + ff_gate * self.ff(modulated(hidden, ff_shift, ff_scale))
        return output


class DiT(nn.Module):
    """The network of the flow; one call is one evaluation."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        self.time_embed = TimeEmbedding(config.hidden_size)
        self.text_embed = CodecEmbedding(config)
        self.input_embed = InputEmbedding(config)
        self.transformer_blocks = nn.ModuleList(
            DiTLayer(config, index) for index in range(config.num_hidden_layers)
        )
        self.norm_out = AdaptiveNorm(config.hidden_size, 2)
        self.proj_out = nn.Linear(config.hidden_size, config.mel_dim)

    @property
    def back_blocks(self) -> int:
        """Blocks before its own that an output depends on, in one evaluation."""
        return len(self.config.look_backward_layers)

    @property
    def ahead_blocks(self) -> int:
        """Blocks after its own that an output depends on, in one evaluation."""
        return len(self.config.look_ahead_layers)

    def voice(self, reference_mel: Tensor, embedding: Tensor) -> VoiceConditions:
        """Computes a voice's part of the conditions.

        Args:
            reference_mel: `[B, R, mel_dim]` of the speaker.
            embedding: `[B, enc_emb_dim]`.
        """
        encode = self.input_embed.spk_encoder
        return VoiceConditions(
            speaker=encode(reference_mel),
            silence=encode(torch.zeros_like(reference_mel)),
            embedding=embedding,
        )

    def conditions(self, codes: Tensor, voice: VoiceConditions, *, guided: bool) -> Conditions:
        """Computes what does not change from one evaluation to the next.

        Args:
            codes: `[B, N]` codec tokens.
            voice: Of the same B.
            guided: Whether B rows without any condition follow (codes dropped, no speaker, no
                voice).
        """
        speaker, embedding = voice.speaker, voice.embedding
        if guided:
            codes = torch.cat((codes, torch.zeros_like(codes)))
            speaker = torch.cat((speaker, voice.silence))
            embedding = torch.cat((embedding, torch.zeros_like(embedding)))
        return Conditions(codes=self.text_embed(codes), speaker=speaker, embedding=embedding)

    def forward(self, state: Tensor, time: Tensor, conditions: Conditions) -> Tensor:
        """Evaluates the velocity.

        Args:
            state: `[B, T, mel_dim]`; its first frame begins a block.
            time: `[B]`, 0 to 1.
            conditions: Of the same B and T.

        Returns:
            `[B, T, mel_dim]`.
        """
        embedded_time = self.time_embed(time)
        hidden = self.input_embed(state, conditions)
        hidden = self._through_layers(hidden, embedded_time)
        scale, shift = self.norm_out.modulation(embedded_time)
        output: Tensor = self.proj_out(modulated(hidden, shift, scale))
        return output

    def _through_layers(self, hidden: Tensor, time: Tensor) -> Tensor:
        """Runs the layers; where none of another block is looked at, blocks go as a batch."""
        rows, length, width = hidden.shape
        size = self.config.block_size
        frames = torch.arange(length, device=hidden.device)
        block = frames // size
        blocks = block[None, :] - block[:, None]
        cosine, sine = _angles(frames, self.config)
        count, rest = divmod(length, size)
        of_blocks = time.repeat_interleave(count, dim=0)
        for layer in self.transformer_blocks:
            assert isinstance(layer, DiTLayer)
            if rest or layer.looks:
                hidden = layer(hidden, time, (cosine, sine), layer.mask(blocks))
            else:
                parts = hidden.reshape(-1, size, width)
                rotation = cosine[:size], sine[:size]  # relative, so that each block is the first
                hidden = layer(parts, of_blocks, rotation, None).view(rows, length, width)
        return hidden


def _angles(frames: Tensor, config: DiTConfig) -> tuple[Tensor, Tensor]:
    exponents = torch.arange(0, config.head_dim, 2, device=frames.device) / config.head_dim
    angles = frames[:, None].float() * config.rope_theta**-exponents
    return angles.cos(), angles.sin()
