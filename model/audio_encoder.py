"""Log-mel frames to vectors in the Thinker's embedding space, one 2 s block at a time.

Knows the network (parameter names as published, prefix `thinker.audio_tower.`), how a clip is cut
into blocks of `2 * n_window` mel frames, and how blocks of several clips share a batch. Does not
know samples (`model.mel`), token ids, or where in the prompt the vectors go.

Blocks never look at each other: convolution, positions and attention start afresh in each. So
streaming is exact: whatever the chunking of the frames, the same blocks are encoded.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.errors import ConfigError, InputError
from model.figures import AudioEncoderConfig


def audio_tokens(mel_frames: int) -> int:
    """Thinker positions of a clip: four mel frames make one, a rest of one or two makes none."""
    return (mel_frames + 1) // 2 // 2


class AudioAttention(nn.Module):
    """Bidirectional attention inside a block; the key projection has no bias, as in Whisper."""

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        width = config.d_model
        self.num_heads = config.encoder_attention_heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Mixes `hidden` [B, T, D]; `mask` [B, 1, 1, T] is True where a key may be looked at."""
        B, T, D = hidden.shape
        query, key, value = (
            proj(hidden).view(B, T, self.num_heads, -1).transpose(1, 2)  # [B, H, T, D / H]
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(B, T, D))
        return out


class AudioLayer(nn.Module):
    """Attention and a GELU feed-forward, each behind its own layer norm."""

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        width = config.d_model
        self.self_attn = AudioAttention(config)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, config.encoder_ffn_dim)
        self.fc2 = nn.Linear(config.encoder_ffn_dim, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """One layer over `hidden` [B, T, D]; `mask` as in the attention."""
        hidden = hidden + self.self_attn(self.self_attn_layer_norm(hidden), mask)
        out: Tensor = hidden + self.fc2(F.gelu(self.fc1(self.final_layer_norm(hidden))))
        return out


@dataclass(slots=True)
class AudioEncoderState:
    """The mel frames of one clip that do not fill a block yet, `pending` [bins, n]."""

    pending: Tensor

    def reset(self) -> None:
        """Forgets the clip; the state is as new."""
        self.pending = self.pending[:, :0]


class AudioEncoder(nn.Module):
    """The audio tower of the Thinker.

    Source: `Qwen2_5OmniAudioEncoder` of transformers; Whisper's encoder (arXiv 2212.04356) on 2 s
    blocks, with a pooling of two and a projection behind it.

    Raises:
        ConfigError: heads do not divide the width, or a pooled pair would straddle two blocks.
    """

    positions: Tensor

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        _check(config)
        self.config = config
        width = config.d_model
        self.conv1 = nn.Conv1d(config.num_mel_bins, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2, padding=1)
        # Positions restart in every block: a block's worth of the published table is all we read.
        self.register_buffer("positions", _sinusoids(config.n_window, width), persistent=False)
        # Part of the published checkpoint; its forward pass never reads it, and neither does ours.
        self.audio_bos_eos_token = nn.Embedding(2, config.output_dim)
        self.layers = nn.ModuleList(AudioLayer(config) for _ in range(config.encoder_layers))
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Linear(width, config.output_dim)

    def hidden_states_50hz(self, mel: Tensor, lengths: Sequence[int]) -> Tensor:
        """What the last layer says of every 20 ms, before pooling, norm and projection.

        Args:
            mel: [B, bins, T] with T at most one block, rows right-padded with anything.
            lengths: mel frames that count in each row, 1..T.

        Returns:
            [B, ceil(max(lengths) / 2), d_model]; row b is valid up to ceil(lengths[b] / 2).

        Raises:
            InputError: the shape or a length does not fit the config.
        """
        self._check_blocks(mel, lengths)
        longest = max(lengths)
        mel = mel[:, :, :longest].to(self.conv1.weight.dtype)
        frames, halves = _validity(lengths, longest, mel.device)
        if frames is not None:
            mel = mel.masked_fill(~frames, 0.0)
        hidden = F.gelu(self.conv1(mel))
        if frames is not None:
            hidden = hidden.masked_fill(~frames, 0.0)  # conv1's bias filled the padding again
        hidden = F.gelu(self.conv2(hidden)).transpose(1, 2)  # [B, T / 2, D]
        hidden = hidden + self.positions[: hidden.shape[1]].to(hidden.dtype)
        for layer in self.layers:
            hidden = layer(hidden, halves)
        return hidden

    def pool_and_project(self, hidden: Tensor) -> Tensor:
        """The 50 Hz states [B, T, d_model] to Thinker vectors [B, T // 2, output_dim] at 25 Hz."""
        B, T, D = hidden.shape
        pooled = hidden[:, : T // 2 * 2].reshape(B, T // 2, 2, D).mean(dim=2)
        out: Tensor = self.proj(self.ln_post(pooled))
        return out

    def encode_padded(self, mel: Tensor, lengths: Sequence[int]) -> Tensor:
        """Blocks of several clips at once, for training and serving.

        Args:
            mel: [B, bins, T], T at most one block, rows right-padded.
            lengths: mel frames that count in each row.

        Returns:
            [B, T / 4, output_dim]; row b is valid up to `audio_tokens(lengths[b])`.
        """
        return self.pool_and_project(self.hidden_states_50hz(mel, lengths))

    def encode_blocks(self, blocks: Sequence[Tensor]) -> list[Tensor]:
        """Encodes blocks [bins, T] of any clips in one batch -> [audio_tokens(T), output_dim]."""
        if not blocks:
            return []
        lengths = [block.shape[1] for block in blocks]
        longest = max(lengths)
        mel = torch.stack([F.pad(block, (0, longest - block.shape[1])) for block in blocks])
        encoded = self.encode_padded(mel, lengths)
        return [row[: audio_tokens(length)] for row, length in zip(encoded, lengths, strict=True)]

    def forward(self, mel: Tensor) -> Tensor:
        """A whole clip: [bins, T] log-mel frames -> [audio_tokens(T), output_dim]."""
        blocks = torch.split(mel, self.config.block_frames, dim=1) if mel.shape[1] else ()
        return self._joined(self.encode_blocks(blocks))

    def init_state(self) -> AudioEncoderState:
        """The state of a clip of which nothing has come."""
        weight = self.conv1.weight
        empty = torch.zeros(self.config.num_mel_bins, 0, dtype=weight.dtype, device=weight.device)
        return AudioEncoderState(pending=empty)

    def step(self, state: AudioEncoderState, mel: Tensor) -> Tensor:
        """Takes the clip's next frames [bins, n]; gives the vectors of the blocks they filled."""
        frames = torch.cat([state.pending, mel.to(state.pending)], dim=1)
        whole = frames.shape[1] // self.config.block_frames * self.config.block_frames
        # A copy, so that the state does not hold a long chunk alive for its tail.
        state.pending = frames[:, whole:].clone()
        blocks = torch.split(frames[:, :whole], self.config.block_frames, dim=1) if whole else ()
        return self._joined(self.encode_blocks(blocks))

    def flush(self, state: AudioEncoderState) -> Tensor:
        """The clip is over: gives the part block's vectors, and the state is as new."""
        blocks = [state.pending] if state.pending.shape[1] else []
        vectors = self._joined(self.encode_blocks(blocks))
        state.reset()
        return vectors

    def _joined(self, encoded: Sequence[Tensor]) -> Tensor:
        if not encoded:
            return self.proj.weight.new_zeros(0, self.config.output_dim)
        return torch.cat(list(encoded))

    def _check_blocks(self, mel: Tensor, lengths: Sequence[int]) -> None:
        bins, block = self.config.num_mel_bins, self.config.block_frames
        if mel.dim() != 3 or mel.shape[1] != bins:
            raise InputError(f"mel has shape {tuple(mel.shape)}; the encoder takes [B, {bins}, T]")
        if len(lengths) != mel.shape[0]:
            raise InputError(f"{len(lengths)} lengths for {mel.shape[0]} blocks")
        limit = min(block, mel.shape[2])
        if not all(1 <= length <= limit for length in lengths):
            raise InputError(f"block lengths {list(lengths)} are outside 1..{limit} mel frames")


def _check(config: AudioEncoderConfig) -> None:
    if config.d_model % config.encoder_attention_heads or config.d_model % 2:
        raise ConfigError(
            f"d_model {config.d_model} must be even and a multiple of "
            f"encoder_attention_heads {config.encoder_attention_heads}"
        )
    if config.n_window % 2:
        raise ConfigError(f"n_window must be even (pairs are pooled), got {config.n_window}")
    if config.n_window > config.max_source_positions:
        raise ConfigError(
            f"n_window {config.n_window} is above max_source_positions "
            f"{config.max_source_positions}"
        )


def _sinusoids(length: int, width: int) -> Tensor:
    """Whisper's fixed positions [length, width]: sines, then cosines."""
    # Named device: under a meta-device context this table still has its values.
    half = torch.arange(width // 2, dtype=torch.float32, device="cpu")
    rates = torch.exp(half * -(math.log(10000.0) / (width // 2 - 1)))
    angles = torch.arange(length, dtype=torch.float32, device="cpu")[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _validity(
    lengths: Sequence[int], longest: int, device: torch.device
) -> tuple[Tensor | None, Tensor | None]:
    """Masks of mel frames [B, 1, T] and 20 ms positions [B, 1, 1, T / 2]; None if all are full."""
    if min(lengths) == longest:
        return None, None
    counts = torch.tensor(list(lengths), device=device)[:, None]
    frames = torch.arange(longest, device=device) < counts  # [B, T]
    halves = frames[:, ::2]  # position i covers frames 2i and 2i + 1
    return frames[:, None], halves[:, None, None]
