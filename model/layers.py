"""The parts of a causal decoder: norm, rotary positions, attention, gated MLP, and their stack.

Knows the maths of one pass over positions it is given. Does not know what was there before: whoever
calls passes an `Attend`, which owns the keys and values (a KV cache's append, or plain causal
attention).
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model import single_rows
from model.compiling import has_compiler
from model.config import DecoderConfig
from model.single_rows import PackedLayer


class Attend(Protocol):
    """Attention of one layer's new positions to everything before them and to themselves."""

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attends.

        Args:
            layer: which layer asks, from 0.
            query: [B, heads, T, head_dim], rotated.
            key: [B, kv_heads, T, head_dim], rotated.
            value: [B, kv_heads, T, head_dim].

        Returns:
            [B, heads, T, head_dim].
        """
        ...


def attend_causally(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The offline `Attend`: the T positions are all there is."""
    return F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)


class RMSNorm(nn.Module):
    """Root-mean-square norm over the last axis.

    Source: Qwen2_5OmniRMSNorm.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Norms x [..., width]."""
        # Under autocast x is narrower than the weight, and only like dtypes take the fused path.
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)


class Projection(nn.Linear):
    """A linear layer that decode steps go through, which can keep a narrow copy for them."""

    def __init__(self, width: int, out_width: int, *, bias: bool = True) -> None:
        super().__init__(width, out_width, bias=bias)
        self.narrow: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., out_width]."""
        if self.narrow is not None and single_rows.takes(x):
            return single_rows.project(x, self.narrow, self.bias)
        return super().forward(x)


class Rotary:
    """Angles of TMRoPE: each pair of a head's channels turns with one of three position axes.

    Source: Qwen2.5-Omni report, section 2.2; Qwen2_5OmniRotaryEmbedding.
    """

    def __init__(self, config: DecoderConfig) -> None:
        # Kept out of the module tree: a cast of the model to bf16 must not round the frequencies.
        pairs = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device="cpu")
        self._frequencies = 1.0 / (config.rope_theta ** (pairs / config.head_dim))
        counts = torch.tensor(config.mrope_section, device="cpu")
        self._axis_of_pair = torch.arange(3, device="cpu").repeat_interleave(counts)

    def __call__(self, position_ids: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosine and signed sine for `rotate`.

        Args:
            position_ids: [3, B, T] int64; temporal, height, width.
            dtype: of the result; the angles are computed in float32.

        Returns:
            Two tensors [B, 1, T, head_dim].
        """
        if self._frequencies.device != position_ids.device:
            self._frequencies = self._frequencies.to(position_ids.device)
            self._axis_of_pair = self._axis_of_pair.to(position_ids.device)
        positions = position_ids[self._axis_of_pair].permute(1, 2, 0)  # [B, T, head_dim / 2]
        angles = positions.float() * self._frequencies
        cos, sin = angles.cos(), angles.sin()
        signed_sin = torch.cat((-sin, sin), dim=-1)[:, None]
        return torch.cat((cos, cos), dim=-1)[:, None].to(dtype), signed_sin.to(dtype)


def rotate(x: Tensor, cos: Tensor, signed_sin: Tensor) -> Tensor:
    """Turns channel pairs (i, i + head_dim / 2) of x [B, heads, T, head_dim]."""
    return x * cos + x.roll(x.shape[-1] // 2, dims=-1) * signed_sin


class Attention(nn.Module):
    """Grouped-query attention with biases on query, key and value.

    Source: Qwen2_5OmniAttention.
    """

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim = config.head_dim
        inner = config.num_attention_heads * config.head_dim
        kv_inner = config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, inner)
        self.k_proj = nn.Linear(config.hidden_size, kv_inner)
        self.v_proj = nn.Linear(config.hidden_size, kv_inner)
        self.o_proj = nn.Linear(inner, config.hidden_size, bias=False)

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor], attend: Attend) -> Tensor:
        """Takes and gives [B, T, D]."""
        query = rotate(self._heads(self.q_proj(x)), *angles)
        key = rotate(self._heads(self.k_proj(x)), *angles)
        value = self._heads(self.v_proj(x))
        out = attend(self.layer, query, key, value)
        merged: Tensor = self.o_proj(out.transpose(1, 2).flatten(2))  # [B, T, heads * head_dim]
        return merged

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)  # [B, heads, T, head_dim]


class SwiGLU(nn.Module):
    """The gated feed-forward part.

    Source: Qwen2MLP.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Takes and gives [..., D]."""
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class DecoderLayer(nn.Module):
    """One pre-norm layer.

    Source: Qwen2_5OmniDecoderLayer.
    """

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, layer)
        self.mlp = SwiGLU(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.packed: PackedLayer | None = None

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor], attend: Attend) -> Tensor:
        """Takes and gives [B, T, D]."""
        if self.packed is not None and x.shape[1] == 1 and single_rows.takes(x):
            attended = attend(self.self_attn.layer, *self.packed.attention_inputs(x, angles))
            return self.packed.output(x, attended)
        x = x + self.self_attn(self.input_layernorm(x), angles, attend)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out

    def pack(self) -> PackedLayer:
        """A copy of the weights for single rows."""
        attention, mlp = self.self_attn, self.mlp
        qkv = attention.q_proj, attention.k_proj, attention.v_proj
        return PackedLayer(
            head_dim=attention.head_dim,
            kv_heads=attention.k_proj.out_features // attention.head_dim,
            eps=self.input_layernorm.eps,
            norm=self.input_layernorm.weight,
            qkv=torch.cat([part.weight for part in qkv]).bfloat16(),
            qkv_bias=torch.cat([part.bias for part in qkv]),
            out=attention.o_proj.weight.bfloat16(),
            second_norm=self.post_attention_layernorm.weight,
            gate_up=torch.cat((mlp.gate_proj.weight, mlp.up_proj.weight)).bfloat16(),
            down=mlp.down_proj.weight.bfloat16(),
        )


class Decoder(nn.Module):
    """Token embedding, layers and final norm: the Thinker's and the Talker's `model`.

    Args:
        config: the decoder's figures.
        embedding_size: width of the token embedding where it is not the layers' (the Talker's).

    Source: Qwen2_5OmniThinkerTextModel, Qwen2_5OmniTalkerModel.
    """

    def __init__(self, config: DecoderConfig, embedding_size: int | None = None) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, embedding_size or config.hidden_size)
        self.layers = nn.ModuleList(
            DecoderLayer(config, layer) for layer in range(config.num_hidden_layers)
        )
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.rotary = Rotary(config)

    def forward(
        self, inputs: Tensor, position_ids: Tensor, attend: Attend = attend_causally
    ) -> Tensor:
        """Hidden states after the final norm.

        Args:
            inputs: [B, T, D] embeddings.
            position_ids: [3, B, T] int64.
            attend: owner of keys and values.

        Returns:
            [B, T, D].
        """
        angles = self.rotary(position_ids, inputs.dtype)
        x = inputs
        for layer in self.layers:
            x = layer(x, angles, attend)
        out: Tensor = self.norm(x)
        return out


def step_matrices(network: nn.Module) -> list[Tensor]:
    """The matrices of a network that its decode steps read: its layers' and its projections'."""
    layers = [module for module in network.modules() if isinstance(module, DecoderLayer)]
    linear = [part for layer in layers for part in layer.modules() if isinstance(part, nn.Linear)]
    projections = [module for module in network.modules() if isinstance(module, Projection)]
    return [part.weight for part in (*linear, *projections)]


@torch.no_grad()
def round_for_steps(network: nn.Module) -> None:
    """Rounds those matrices to what bfloat16 can hold, so that `pack_for_steps` can pack them."""
    for weight in step_matrices(network):
        weight.copy_(single_rows.rounded(weight))


@torch.no_grad()
def pack_for_steps(network: nn.Module) -> bool:
    """Keeps a bfloat16 copy of those matrices for decode steps of few rows (`model.single_rows`).

    Returns:
        False if there is no compiler, they are not float32, or bfloat16 would change them; nothing
        is packed then.
    """
    if not has_compiler("decode steps run"):
        return False
    if not all(single_rows.is_rounded(weight) for weight in step_matrices(network)):
        return False
    for module in network.modules():
        if isinstance(module, DecoderLayer):
            module.packed = module.pack()
        elif isinstance(module, Projection):
            module.narrow = module.weight.bfloat16()
    return True


def step_bytes(network: nn.Module) -> int:
    """Bytes of weights that one decode step of a network reads: those packed, else all its own."""
    packed = any(
        (isinstance(module, DecoderLayer) and module.packed is not None)
        or (isinstance(module, Projection) and module.narrow is not None)
        for module in network.modules()
    )
    narrow = {id(weight) for weight in step_matrices(network)} if packed else set()
    return sum(
        p.numel() * (torch.bfloat16.itemsize if id(p) in narrow else p.element_size())
        for p in network.parameters()
    )
