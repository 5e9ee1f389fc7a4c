"""Patches of images and videos to vectors in the Thinker's embedding space.

Knows the network (parameter names as published, prefix `thinker.visual.`), which patches may look
at each other, and where a patch stands in its picture. Does not know pixels
(`model.vision_input`), token ids, or where in the prompt the vectors go.

Patches come as merge groups: each run of `spatial_merge_size`² patches is a square of neighbours
and becomes one vector. Most layers attend within windows of `window_size` pixels, those of
`fullatt_block_indexes` within a whole temporal step, and no layer beyond it. So streaming is exact:
a video encoded in any runs of whole temporal steps gives the vectors of the whole.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.errors import ConfigError, InputError
from model.figures import VisionEncoderConfig
from model.layers import RMSNorm
from model.positions import Grid

_NORM_EPS = 1e-6
_ROPE_THETA = 10_000.0


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the patches of a batch of pictures go.

    Attributes:
        order: [groups] merge groups in window order; `inverse` undoes it.
        places: [patches, 2] row and column of each patch, in window order.
        windows: for each window length, the patches [n, length] of the windows that have it.
        steps: the same for whole temporal steps.
    """

    order: Tensor
    inverse: Tensor
    places: Tensor
    windows: tuple[Tensor, ...]
    steps: tuple[Tensor, ...]


class VisionAttention(nn.Module):
    """Bidirectional attention among the patches of one segment, turned by row and column."""

    def __init__(self, config: VisionEncoderConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.num_heads = config.num_heads
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, hidden: Tensor, turn: Tensor, segments: Sequence[Tensor]) -> Tensor:
        """Mixes `hidden` [N, D] within each segment.

        Args:
            hidden: [N, D].
            turn: [2, N, D / heads] cosine and sine of each patch's rotation.
            segments: index sets [n, length]; together they hold every patch once.
        """
        N, D = hidden.shape
        query, key, value = (
            proj(hidden).view(N, self.num_heads, -1) for proj in (self.q, self.k, self.v)
        )  # [N, H, D / H]
        query, key = _rotated(query, turn), _rotated(key, turn)
        mixed = torch.empty_like(value)
        for members in segments:
            q, k, v = (part[members].transpose(1, 2) for part in (query, key, value))
            mixed[members] = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        out: Tensor = self.proj(mixed.reshape(N, D))
        return out


class VisionFeedForward(nn.Module):
    """SwiGLU with biases."""

    def __init__(self, config: VisionEncoderConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """The feed-forward over `hidden` [..., D]."""
        out: Tensor = self.down_proj(F.silu(self.gate_proj(hidden)) * self.up_proj(hidden))
        return out


class VisionBlock(nn.Module):
    """Attention and feed-forward, each behind its own RMS norm."""

    def __init__(self, config: VisionEncoderConfig) -> None:
        super().__init__()
        self.norm1 = RMSNorm(config.hidden_size, _NORM_EPS)
        self.norm2 = RMSNorm(config.hidden_size, _NORM_EPS)
        self.attn = VisionAttention(config)
        self.mlp = VisionFeedForward(config)

    def forward(self, hidden: Tensor, turn: Tensor, segments: Sequence[Tensor]) -> Tensor:
        """One layer over `hidden` [N, D]; arguments as in the attention."""
        hidden = hidden + self.attn(self.norm1(hidden), turn, segments)
        out: Tensor = hidden + self.mlp(self.norm2(hidden))
        return out


class PatchEmbedding(nn.Module):
    """One vector for each patch of two frames' pixels."""

    def __init__(self, config: VisionEncoderConfig) -> None:
        super().__init__()
        kernel = (config.temporal_patch_size, config.patch_size, config.patch_size)
        self.proj = nn.Conv3d(
            config.in_channels, config.hidden_size, kernel_size=kernel, stride=kernel, bias=False
        )

    def forward(self, patches: Tensor) -> Tensor:
        """Patches [N, channels × frames × rows × columns] -> [N, D]."""
        # A convolution whose stride is its kernel, on input already cut: one matrix product.
        return F.linear(patches.to(self.proj.weight.dtype), self.proj.weight.flatten(1))


class PatchMerger(nn.Module):
    """A merge group's patches, side by side, to one Thinker vector."""

    def __init__(self, config: VisionEncoderConfig) -> None:
        super().__init__()
        self.width = config.hidden_size * config.spatial_merge_size**2
        self.ln_q = RMSNorm(config.hidden_size, _NORM_EPS)
        self.mlp = nn.Sequential(
            nn.Linear(self.width, self.width),
            nn.GELU(),
            nn.Linear(self.width, config.out_hidden_size),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Patches [N, D] -> vectors [N / merge², out_hidden_size]."""
        out: Tensor = self.mlp(self.ln_q(hidden).view(-1, self.width))
        return out


class VisionEncoder(nn.Module):
    """The visual tower of the Thinker.

    Source: `Qwen2_5OmniVisionEncoder` of transformers; Qwen2.5-VL (arXiv 2502.13923), 2.1.1.

    Raises:
        ConfigError: figures that do not divide each other.
    """

    def __init__(self, config: VisionEncoderConfig) -> None:
        super().__init__()
        _check(config)
        self.config = config
        self.patch_embed = PatchEmbedding(config)
        self.blocks = nn.ModuleList(VisionBlock(config) for _ in range(config.depth))
        self.merger = PatchMerger(config)

    def forward(self, patches: Tensor, grids: Sequence[Grid]) -> Tensor:
        """Encodes images and videos, one after the other, in one batch.

        Args:
            patches: [N, patch values] as `model.vision_input` lays them out.
            grids: of each picture its temporal steps, rows and columns of patches; N in all.

        Returns:
            [N / merge², out_hidden_size] in the order of the placeholders.

        Raises:
            InputError: patches and grids do not fit each other or the config.
        """
        self._check_patches(patches, grids)
        config = self.config
        layout = _layout(tuple(grids), config, patches.device)
        group = config.spatial_merge_size**2
        turn = _turns(layout.places, config.hidden_size // config.num_heads)
        hidden = self.patch_embed(patches)  # [N, D]
        hidden = hidden.view(-1, group, hidden.shape[1])[layout.order].flatten(0, 1)
        for index, block in enumerate(self.blocks):
            whole = index in config.fullatt_block_indexes
            hidden = block(hidden, turn, layout.steps if whole else layout.windows)
        out: Tensor = self.merger(hidden)[layout.inverse]
        return out

    def _check_patches(self, patches: Tensor, grids: Sequence[Grid]) -> None:
        config = self.config
        values = config.in_channels * config.temporal_patch_size * config.patch_size**2
        if patches.dim() != 2 or patches.shape[1] != values:
            raise InputError(
                f"patches have shape {list(patches.shape)}; the encoder takes [N, {values}]"
            )
        for grid in grids:
            _, rows, columns = grid
            side = config.spatial_merge_size
            if min(grid) < 1 or rows % side or columns % side:
                raise InputError(f"grid {grid} must be positive, and rows and columns fill {side}s")
        expected = sum(steps * rows * columns for steps, rows, columns in grids)
        if patches.shape[0] != expected or not grids:
            raise InputError(f"{patches.shape[0]} patches for grids {list(grids)} of {expected}")


def _check(config: VisionEncoderConfig) -> None:
    if config.hidden_size % config.num_heads or config.hidden_size // config.num_heads % 4:
        raise ConfigError(
            f"hidden_size {config.hidden_size} must be num_heads {config.num_heads} times "
            "a multiple of 4"
        )
    if config.window_size < config.patch_size * config.spatial_merge_size:
        raise ConfigError(
            f"window_size {config.window_size} is smaller than a merged patch of "
            f"{config.patch_size * config.spatial_merge_size} pixels"
        )
    if wrong := [index for index in config.fullatt_block_indexes if index >= config.depth]:
        raise ConfigError(f"fullatt_block_indexes {wrong} are not below depth {config.depth}")


@lru_cache(maxsize=32)
def _layout(grids: tuple[Grid, ...], config: VisionEncoderConfig, device: torch.device) -> Layout:
    """The layout of pictures with these grids; a live camera asks for the same one every time."""
    # Kept from one call to the next, so these must be ordinary tensors whoever asks first.
    with torch.inference_mode(False):
        return _new_layout(grids, config, device)


def _new_layout(
    grids: tuple[Grid, ...], config: VisionEncoderConfig, device: torch.device
) -> Layout:
    side = config.spatial_merge_size
    window = config.window_size // side // config.patch_size  # in merge groups
    keys, places = [], []
    for picture, (steps, rows, columns) in enumerate(grids):
        step, row, column = torch.cartesian_prod(
            torch.arange(steps), torch.arange(rows // side), torch.arange(columns // side)
        ).unbind(1)
        key = torch.stack([torch.full_like(step, picture), step, row // window, column // window])
        keys.append(key.T)
        inner = torch.cartesian_prod(torch.arange(side), torch.arange(side))
        corner = torch.stack([row, column], 1)[:, None] * side
        places.append(corner + inner)  # [groups, side², 2]
    key = torch.cat(keys)  # [groups, 4]: picture, step, and the window's row and column
    _, window_of = torch.unique(key, dim=0, return_inverse=True)
    _, step_of = torch.unique(key[:, :2], dim=0, return_inverse=True)
    order = torch.argsort(window_of, stable=True)
    return Layout(
        order=order.to(device),
        inverse=torch.argsort(order).to(device),
        places=torch.cat(places)[order].flatten(0, 1).to(device),
        windows=_segments(window_of[order], side**2, device),
        steps=_segments(step_of[order], side**2, device),
    )


def _segments(segment_of: Tensor, group: int, device: torch.device) -> tuple[Tensor, ...]:
    """Runs of equal entries as patch indices, gathered by length so that each is one batch."""
    lengths = torch.unique_consecutive(segment_of, return_counts=True)[1].tolist()
    by_length: dict[int, list[Tensor]] = defaultdict(list)
    start = 0
    for length in lengths:
        by_length[length].append(torch.arange(start, start + length * group))
        start += length * group
    return tuple(torch.stack(runs).to(device) for runs in by_length.values())


def _turns(places: Tensor, head_dim: int) -> Tensor:
    """Cosine and sine [2, N, head_dim]: half of the pairs turn by row, half by column."""
    quarter = torch.arange(0, head_dim // 2, 2, dtype=torch.float32, device=places.device)
    rates = _ROPE_THETA ** -(quarter / (head_dim // 2))
    angles = (places[..., None] * rates).flatten(1).repeat(1, 2)  # [N, head_dim]
    return torch.stack([angles.cos(), angles.sin()])


def _rotated(heads: Tensor, turn: Tensor) -> Tensor:
    """Turns pairs (i, i + half) of `heads` [N, H, d]; in float32, as the reference does."""
    cosine, sine = turn[:, :, None]  # [N, 1, d]
    wide = heads.float()
    first, second = wide.chunk(2, dim=-1)
    turned: Tensor = wide * cosine + torch.cat([-second, first], dim=-1) * sine
    return turned.to(heads.dtype)
