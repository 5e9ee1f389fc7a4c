"""Single rows through a decoder on a CPU: weights in bfloat16, arithmetic in float32, compiled.

A decode step multiplies every weight once, so that it takes as long as reading the weights does:
half as many bytes are half the time. What is computed from them is float32 throughout, so that with
weights that bfloat16 can hold (`rounded`), a step gives what a pass over many positions gives, to
float tolerance. Each row goes through by itself and never meets its batch mates.

Knows the maths of one decoder layer around its attention, and of one projection. Does not know
where the past is kept: `model.layers.Attend` does.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from model.compiling import OPTIONS

# More rows than this are quicker together, as one product of float32 matrices.
MAX_ROWS = 4


def rounded(weight: Tensor) -> Tensor:
    """The nearest values that bfloat16 has, in float32."""
    return weight.bfloat16().float()


def is_rounded(weight: Tensor) -> bool:
    """Tells whether a float32 weight loses nothing as bfloat16."""
    return weight.dtype == torch.float32 and torch.equal(weight, rounded(weight))


def takes(x: Tensor) -> bool:
    """Tells whether `x` [..., D] is what this module is for."""
    few = x.numel() <= MAX_ROWS * x.shape[-1]
    return few and x.dtype == torch.float32 and not torch.is_grad_enabled()


def project(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A projection of few rows: x [..., D], weight [E, D] bfloat16, bias [E] -> [..., E]."""
    rows = x.reshape(-1, x.shape[-1])
    outs = [_compiled(_projection)(row, weight, bias) for row in rows]
    return torch.stack(outs).view(*x.shape[:-1], -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedLayer:
    """The weights of one decoder layer, those that take the same input side by side.

    Attributes:
        head_dim: of its attention.
        kv_heads: of its attention.
        eps: of both norms.
        norm: [D], before the attention.
        qkv: [(heads + 2 kv_heads) * head_dim, D] bfloat16.
        qkv_bias: of it.
        out: [D, heads * head_dim] bfloat16.
        second_norm: [D], before the feed-forward part.
        gate_up: [2 I, D] bfloat16.
        down: [D, I] bfloat16.
    """

    head_dim: int
    kv_heads: int
    eps: float
    norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor
    out: Tensor
    second_norm: Tensor
    gate_up: Tensor
    down: Tensor

    def attention_inputs(self, x: Tensor, angles: tuple[Tensor, Tensor]) -> list[Tensor]:
        """Gives query, key and value of x, each [B, its heads, 1, head_dim], rotated."""
        compiled = _compiled(_attention_inputs)
        rows = [
            compiled(row, *turn, self.norm, self.qkv, self.qkv_bias, self.kv_heads, self.eps)
            for row, *turn in zip(x.unbind(), *(part.unbind() for part in angles), strict=True)
        ]
        return [torch.stack(parts) for parts in zip(*rows, strict=True)]

    def output(self, x: Tensor, attended: Tensor) -> Tensor:
        """Goes on from x [B, 1, D] and its attention [B, heads, 1, head_dim] to [B, 1, D]."""
        compiled = _compiled(_layer_output)
        rest = self.out, self.second_norm, self.gate_up, self.down, self.eps
        rows = [compiled(*row, *rest) for row in zip(x.unbind(), attended.unbind(), strict=True)]
        return torch.stack(rows)


@functools.cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    # One program for each shape of weights: with sizes as constants its loops have no tails.
    return torch.compile(function, dynamic=False, options=OPTIONS)


def _projection(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Takes x [D] and weight [E, D] to [E]: one loop, which converts as it sums."""
    out = (weight.float() * x).sum(-1)
    return out if bias is None else out + bias


def _attention_inputs(
    x: Tensor,
    cos: Tensor,
    signed_sin: Tensor,
    norm: Tensor,
    qkv: Tensor,
    bias: Tensor,
    kv_heads: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Takes x [1, D] and angles [1, 1, head_dim]; gives each [its heads, 1, head_dim]."""
    normed = F.rms_norm(x[0], norm.shape, norm, eps)
    heads = _projection(normed, qkv, bias).view(-1, 1, cos.shape[-1])
    turning, value = heads[:-kv_heads], heads[-kv_heads:]
    turned = turning * cos + turning.roll(cos.shape[-1] // 2, dims=-1) * signed_sin
    return turned[:-kv_heads], turned[-kv_heads:], value


def _layer_output(
    x: Tensor,
    attended: Tensor,
    out: Tensor,
    norm: Tensor,
    gate_up: Tensor,
    down: Tensor,
    eps: float,
) -> Tensor:
    """Takes x [1, D] and attended [heads, 1, head_dim] to [1, D]."""
    hidden = x[0] + _projection(attended.flatten(), out, None)
    gate, up = _projection(F.rms_norm(hidden, norm.shape, norm, eps), gate_up, None).chunk(2)
    return (hidden + _projection(F.silu(gate) * up, down, None))[None]
