"""Stage `export`: trained parts to a checkpoint in the published layout.

Knows how the pieces lie on disk: `config.json`, `tokenizer.json`, one safetensors file a network
(each under 40 MB), `spk_dict.pt`. Matrices of the audio encoder and the Talker are kept as int8
with one scale a row (see `model.weights`), what is left in bfloat16 or, for the vocoder, float32.
The Thinker's base stays in its own package; only what was trained of it ships.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer
from torch import Tensor

from model.recipes.omni_mini import ids, shape
from model.weights import INT8_SCALE

SPEAKER = "Joe"
_INT8_PREFIXES = ("thinker.audio_tower.", "talker.", "thinker_delta.")
_FLOAT32_PREFIXES = ("token2wav.code2wav_bigvgan_model.",)
_MIN_INT8_ELEMENTS = 4_096


def quantise_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rounds a matrix to int8 with a symmetric scale for each row.

    Args:
        weight: `[rows, …]`.

    Returns:
        int8 of the same shape and float32 scales `[rows]`.
    """
    scale = weight.float().flatten(1).abs().amax(dim=1).clamp(min=1e-12) / 127
    broadcast = scale.reshape(-1, *[1] * (weight.ndim - 1))
    return (weight.float() / broadcast).round().to(torch.int8), scale


def pack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Brings tensors to the form in which they are stored."""
    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        matrix = tensor.ndim >= 2 and tensor.numel() >= _MIN_INT8_ELEMENTS
        if tensor.is_floating_point() and matrix and name.startswith(_INT8_PREFIXES):
            packed[name], packed[name + INT8_SCALE] = quantise_rows(tensor)
        elif tensor.is_floating_point() and not name.startswith(_FLOAT32_PREFIXES):
            packed[name] = tensor.to(torch.bfloat16).contiguous()
        else:
            packed[name] = tensor.contiguous()
    return packed


def tokenizer_with_media(source: Tokenizer) -> Tokenizer:
    """Gives the reserved ids of the Thinker's vocabulary their new names (`ids.SPECIAL_TOKENS`)."""
    data = json.loads(source.to_str())
    names = {number: name for name, number in ids.SPECIAL_TOKENS.items()}
    vocabulary = data["model"]["vocab"]
    for token, number in list(vocabulary.items()):
        if number in names and token != names[number]:
            del vocabulary[token]
            vocabulary[names[number]] = number
    data["added_tokens"] = [t for t in data["added_tokens"] if t["id"] not in names]
    renamed = Tokenizer.from_str(json.dumps(data))
    renamed.add_special_tokens(
        [AddedToken(names[n], special=True, normalized=False) for n in sorted(names)]
    )
    for name, number in ids.SPECIAL_TOKENS.items():
        assert renamed.token_to_id(name) == number, name
    return renamed


def export(
    target: Path,
    parts: Mapping[str, Mapping[str, Tensor]],
    tokenizer: Tokenizer,
    *,
    cond: Tensor,
    ref_mel: Tensor,
) -> dict[str, int]:
    """Writes the checkpoint.

    Args:
        target: Its directory.
        parts: File stem to tensors under published names.
        tokenizer: The Thinker's own, before renaming.
        cond: `[1, enc_emb_dim]` speaker embedding of the one voice.
        ref_mel: `[1, T, 80]` of the voice, which the DiT is conditioned on.

    Returns:
        Bytes of each file written.
    """
    target.mkdir(parents=True, exist_ok=True)
    (target / "config.json").write_text(json.dumps(shape.config_dict(), indent=1) + "\n")
    tokenizer_with_media(tokenizer).save(str(target / "tokenizer.json"))
    for stem, tensors in parts.items():
        save_file(pack(tensors), target / f"{stem}.safetensors")
    speaker = {"cond": cond, "ref_mel": ref_mel, "bos_token": ids.TALKER_TEXT_BOS}
    torch.save({SPEAKER: speaker}, target / "spk_dict.pt")
    return {path.name: path.stat().st_size for path in sorted(target.iterdir()) if path.is_file()}
