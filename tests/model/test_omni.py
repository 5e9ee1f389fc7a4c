import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from model import omni
from model.config import OmniConfig
from model.errors import CheckpointError, ConfigError, InputError
from model.omni import OmniModel, load_checkpoint, load_speakers
from model.vision_input import IMAGE_BOUNDS, PixelBounds
from tests import checkpoint
from tests.model import text


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    return checkpoint.write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def model(directory: Path) -> OmniModel:
    return load_checkpoint(directory, dtype="float32")


def _stored(directory: Path) -> dict[str, torch.Tensor]:
    shards = directory.glob("*.safetensors")
    return {name: tensor for shard in shards for name, tensor in load_file(shard).items()}


def test_every_stored_tensor_is_in_its_network(directory: Path, model: OmniModel) -> None:
    for name, stored in _stored(directory).items():
        network, _, rest = name.partition(".")
        assert torch.equal(getattr(model, network).get_parameter(rest), stored), name


def test_nothing_is_left_to_train_or_on_another_device(model: OmniModel) -> None:
    for network in (model.thinker, model.talker, model.token2wav):
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())
        tensors = [*network.parameters(), *network.buffers()]
        assert {tensor.device.type for tensor in tensors} == {"cpu"}


def test_constants_are_computed_though_weights_are_not_drawn(
    directory: Path, model: OmniModel
) -> None:
    drawn = omni.Networks(OmniConfig.load(directory))
    loaded = dict(model.thinker.named_buffers()) | dict(model.token2wav.named_buffers())
    expected = dict(drawn.thinker.named_buffers()) | dict(drawn.token2wav.named_buffers())
    assert loaded.keys() == expected.keys()
    for name, buffer in expected.items():
        assert torch.equal(loaded[name], buffer), name


def test_bf16_is_for_thinker_and_talker_only(directory: Path) -> None:
    model = load_checkpoint(directory, dtype="bfloat16")
    assert model.dtype is torch.bfloat16
    for network in (model.thinker, model.talker):
        assert {p.dtype for p in network.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in model.token2wav.parameters()} == {torch.float32}


def test_auto_dtype_follows_the_hardware(directory: Path, monkeypatch: Any) -> None:
    for able, expected in (
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": True, "amx_bf16": True}, torch.float32),
        ({"avx2": True, "avx512_bf16": False}, torch.float32),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert load_checkpoint(directory).dtype is expected


def test_voices(model: OmniModel) -> None:
    assert tuple(model.speakers) == checkpoint.VOICES
    assert model.speaker().name == checkpoint.VOICES[0]
    assert model.speaker("Bob").name == "Bob"
    with pytest.raises(InputError, match="voice 'Eve' is unknown; choices: Ada, Bob"):
        model.speaker("Eve")


def test_the_bounds_of_images_are_the_checkpoints(directory: Path, tmp_path: Path) -> None:
    data = {"min_pixels": 3136, "max_pixels": 12_845_056}
    sees, blind = tmp_path / "sees", shutil.copytree(directory, tmp_path / "blind")
    sees.mkdir()
    checkpoint.write_checkpoint(sees, sees=True)
    assert load_checkpoint(sees, dtype="float32").image_bounds == IMAGE_BOUNDS
    for copy, bounds in ((sees, PixelBounds(**data)), (blind, IMAGE_BOUNDS)):
        (copy / "preprocessor_config.json").write_text(json.dumps(data))
        assert load_checkpoint(copy, dtype="float32").image_bounds == bounds


def test_the_solver_of_the_config_is_used(model: OmniModel) -> None:
    assert model.token2wav.solver == model.config.omnilive.solver
    assert model.config.omnilive.solver.method == "euler"


def test_progress_reaches_one(directory: Path) -> None:
    seen: list[float] = []
    load_checkpoint(directory, progress=lambda what, share: seen.append(share))
    assert seen[-1] == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "tpu"}, "device is 'tpu'; choices: cpu, cuda, cuda:N"),
        ({"device": "mps"}, "device is 'mps'; choices: cpu, cuda, cuda:N"),
        ({"device": "cuda:99"}, "device is 'cuda:99'; there are"),
        ({"dtype": "int8"}, "dtype is 'int8'; choices: auto, float32, bfloat16"),
    ],
)
def test_an_option_that_will_not_do_is_named(
    directory: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        load_checkpoint(directory, **options)


def test_weights_of_another_config_are_refused_by_name(directory: Path, tmp_path: Path) -> None:
    for file in ("config.json", "tokenizer.json", "spk_dict.pt"):
        (tmp_path / file).write_bytes((directory / file).read_bytes())
    tensors = _stored(directory)
    del tensors["talker.codec_head.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"1 missing: talker\.codec_head\.weight"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("voices", "says"),
    [
        ([], "must hold a dict of voices, got list"),
        ({}, "must hold a dict of voices"),
        ({"Ada": {"cond": torch.zeros(1, 16)}}, "must have cond, ref_mel and bos_token"),
        ({"Ada": {"cond": torch.zeros(1, 3)}}, r"cond must be \[1, 16\]"),
        ({"Ada": {"ref_mel": torch.zeros(60, 80)}}, r"ref_mel must be \[1, frames, 80\]"),
        ({"Ada": {"bos_token": 10_000}}, "bos_token 10000 is no token of the vocabulary"),
        ({"Ada": {"bos_token": "a"}}, "bos_token 'a' is no token"),
        ({"Ada": {"bos_token": None}}, "bos_token None is no token"),
        ({"Ada": {"bos_token": torch.tensor([1, 2])}}, "is no token"),
        ({"Ada": {"ref_mel": torch.zeros(1, 0, 80)}}, r"ref_mel must be \[1, frames, 80\]"),
        ({"Ada": {"ref_mel": torch.zeros(2, 60, 80)}}, r"ref_mel must be \[1, frames, 80\]"),
        ({"Ada": {"cond": torch.full((1, 16), torch.nan)}}, "must be finite"),
        ({3: {}}, "voice 3 .* the name must be a string"),
    ],
)
def test_voices_that_do_not_fit_are_refused(tmp_path: Path, voices: Any, says: str) -> None:
    whole = {"cond": torch.zeros(1, 16), "ref_mel": torch.zeros(1, 60, 80), "bos_token": 1}
    if isinstance(voices, dict) and "must have" not in says:
        voices = {name: {**whole, **entry} for name, entry in voices.items()}
    torch.save(voices, tmp_path / "spk_dict.pt")
    config = OmniConfig.from_dict(checkpoint.config_dict(text.backend()))
    with pytest.raises(CheckpointError, match=says):
        load_speakers(tmp_path / "spk_dict.pt", config, torch.device("cpu"))


def test_voices_are_data_not_programs(tmp_path: Path) -> None:
    """A pickle that would call something is not read."""
    torch.save({"Ada": Path("x")}, tmp_path / "spk_dict.pt")
    config = OmniConfig.from_dict(checkpoint.config_dict(text.backend()))
    with pytest.raises(CheckpointError, match="cannot read the voices"):
        load_speakers(tmp_path / "spk_dict.pt", config, torch.device("cpu"))


def test_control_tokens_that_mean_two_things_are_all_named(directory: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(directory, tmp_path / "copy")
    data = json.loads((copy / "config.json").read_text())
    thinker = data["thinker_config"]
    audio, start = thinker["audio_token_index"], thinker["audio_start_token_id"]
    thinker["audio_token_index"], thinker["audio_start_token_id"] = start, audio
    (copy / "config.json").write_text(json.dumps(data))
    with pytest.raises(CheckpointError) as failure:
        load_checkpoint(copy)
    said = str(failure.value)
    assert f"audio_token_index is {start} in config.json, <|AUDIO|> is {audio}" in said
    assert f"audio_start_token_id is {audio} in config.json, <|audio_bos|> is {start}" in said
