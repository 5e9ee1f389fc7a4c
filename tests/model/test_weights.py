import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from model.errors import CheckpointError
from model.talker import Talker
from model.weights import (
    EmptyWeights,
    TensorFiles,
    Tensors,
    checkpoint_directory,
    load_tensors,
)
from tests.model import tiny


def _float32(_: str) -> torch.dtype:
    return torch.float32


def _networks() -> nn.Module:
    networks = nn.Module()
    networks.talker = Talker(tiny.config().talker)
    tiny.randomise(networks)
    return networks


def _state() -> dict[str, Tensor]:
    return _networks().state_dict()


def _load(
    networks: nn.Module,
    *sources: Tensors | TensorFiles,
    dtype_of: Callable[[str], torch.dtype] = _float32,
) -> None:
    load_tensors(networks, list(sources), dtype_of=dtype_of, device=torch.device("cpu"))


def _sharded(directory: Path, state: dict[str, Tensor]) -> None:
    names = sorted(state)
    files = {
        "model-1.safetensors": names[: len(names) // 2],
        "model-2.safetensors": names[len(names) // 2 :],
    }
    for file, part in files.items():
        save_file({name: state[name] for name in part}, directory / file)
    index = {"weight_map": {name: file for file, part in files.items() for name in part}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


def test_shards_come_together(tmp_path: Path) -> None:
    state = _state()
    _sharded(tmp_path, state)
    with EmptyWeights():
        networks = nn.Module()
        networks.talker = Talker(tiny.config().talker)
    with TensorFiles(tmp_path) as files:
        _load(networks, files)
    for name, tensor in networks.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    assert not any(parameter.requires_grad for parameter in networks.parameters())


def test_one_file_without_index(tmp_path: Path) -> None:
    save_file(_state(), tmp_path / "model.safetensors")
    with TensorFiles(tmp_path) as files:
        assert files.shapes["talker.codec_head.weight"] == (220, 32)


def test_everything_wrong_is_said_at_once_and_nothing_is_loaded() -> None:
    state = _state()
    before = {k: v.clone() for k, v in state.items()}
    del state["talker.model.norm.weight"]
    del state["talker.codec_head.weight"]
    state["talker.extra.weight"] = torch.zeros(3)
    state["talker.thinker_to_talker_proj.bias"] = torch.zeros(5)
    networks = _networks()
    with pytest.raises(CheckpointError) as caught:
        _load(networks, Tensors(state))
    assert str(caught.value) == (
        "the weights do not fit the config: "
        "2 missing: talker.codec_head.weight, talker.model.norm.weight; "
        "1 surplus: talker.extra.weight; "
        "1 misshapen: talker.thinker_to_talker_proj.bias [5] instead of [32]"
    )
    for name, tensor in networks.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_stored_constants_are_not_surplus() -> None:
    constant = {"talker.model.rotary_emb.inv_freq": torch.zeros(8)}
    _load(_networks(), Tensors(_state()), Tensors(constant))


def test_dtype_is_chosen_by_name() -> None:
    networks = _networks()
    _load(
        networks,
        Tensors(_state()),
        dtype_of=lambda name: torch.bfloat16 if "layers" in name else torch.float32,
    )
    talker = networks.get_submodule("talker")
    assert talker.get_parameter("codec_head.weight").dtype is torch.float32
    assert talker.get_parameter("model.layers.0.mlp.up_proj.weight").dtype is torch.bfloat16


def test_a_tied_tensor_is_loaded_once_and_may_be_stored_twice() -> None:
    networks = nn.Module()
    networks.one = nn.Linear(3, 4, bias=False)
    networks.two = nn.Linear(3, 4, bias=False)
    networks.two.weight = networks.one.weight
    values = torch.arange(12.0).view(4, 3)
    _load(networks, Tensors({"one.weight": values}))
    assert torch.equal(networks.two.weight, values)
    _load(networks, Tensors({"one.weight": values + 1, "two.weight": values + 1}))
    assert torch.equal(networks.two.weight, values + 1)


def test_empty_weights_keep_their_constants() -> None:
    with EmptyWeights():
        model = nn.BatchNorm1d(4)  # a module with buffers
    assert torch.equal(model.running_var, torch.ones(4))


def test_progress_ends_at_one() -> None:
    seen: list[float] = []
    load_tensors(
        _networks(),
        [Tensors(_state())],
        dtype_of=_float32,
        device=torch.device("cpu"),
        progress=lambda what, share: seen.append(share),
    )
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(_state(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"cannot read .*model\.safetensors"):
        TensorFiles(tmp_path)


def test_an_absent_shard_is_named(tmp_path: Path) -> None:
    _sharded(tmp_path, _state())
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"not there: model-2\.safetensors"):
        TensorFiles(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}', '{"weight_map": {"a": 1}}'])
def test_a_broken_index_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match="is not an index"):
        TensorFiles(tmp_path)


def test_a_shard_lies_in_the_checkpoint(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "../other/model.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"outside its directory: \.\./other"):
        TensorFiles(tmp_path)


def test_an_empty_directory_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no safetensors file"):
        TensorFiles(tmp_path)


def test_a_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_file({"x": torch.zeros(1)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(CheckpointError, match="repeats the tensor x"):
        TensorFiles(tmp_path)


def test_neither_directory_nor_hub_id() -> None:
    with pytest.raises(CheckpointError, match="neither a directory nor a hub id"):
        checkpoint_directory("/no/such/place")


def test_a_hub_that_is_out_of_reach_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="the hub does not give it"):
        checkpoint_directory("omnilive/surely-not-cached")
