"""Tensors of a checkpoint: where they are, whether they fit, and their way into the networks.

Knows the published layout on disk (a directory or a hub id, sharded safetensors with an index) and
reports everything that does not fit at once, by name. Does not know what any tensor is for.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from model.errors import CheckpointError

_log = logging.getLogger("omnilive.model.weights")

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""

_INDEX = "model.safetensors.index.json"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.jinja", "spk_dict.pt"]
# Constants that follow from the config; older files of the library stored some of them.
_CONSTANTS = (".inv_freq", ".filter")
# Our own checkpoints keep large matrices as int8 beside float32 scales, one a row, under this name.
INT8_SCALE = ".int8_scale"
_LISTED = 20  # names a message shows of each kind


class TensorSource(Protocol):
    """Named tensors that can be asked for one by one."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Name and shape of every tensor."""
        ...

    def read(self, name: str) -> Tensor:
        """The tensor, on the CPU."""
        ...


def checkpoint_directory(path_or_hub_id: str | Path) -> Path:
    """The directory of a checkpoint, fetched from the hub when a hub id is given.

    Raises:
        CheckpointError: neither a directory nor a hub id, or the hub does not give it.
    """
    path = Path(path_or_hub_id)
    if path.is_dir():
        return path
    if not _HUB_ID.fullmatch(str(path_or_hub_id)):
        raise CheckpointError(f"{path_or_hub_id} is neither a directory nor a hub id (owner/name)")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(path_or_hub_id), allow_patterns=_HUB_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"{path_or_hub_id} is no directory, and the hub does not give it: {error}"
        ) from error


class TensorFiles:
    """The safetensors files of a directory; use as a context manager.

    Args:
        directory: where they are.

    Raises:
        CheckpointError: a file is absent, or is not whole.
    """

    def __init__(self, directory: Path) -> None:
        self._stack = ExitStack()
        self._file_of: dict[str, Any] = {}
        self._scale_of: dict[str, Any] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        try:
            for path in _tensor_files(directory):
                self._open(path)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> "TensorFiles":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, name: str) -> Tensor:
        """The tensor `name`, on the CPU; one kept as int8 comes back as float32."""
        tensor: Tensor = self._file_of[name].get_tensor(name)
        if name not in self._scale_of:
            return tensor
        scale: Tensor = self._scale_of[name].get_tensor(name + INT8_SCALE)
        return tensor.float() * scale.reshape(-1, *[1] * (tensor.ndim - 1))

    def _open(self, path: Path) -> None:
        try:
            file = self._stack.enter_context(safe_open(path, framework="pt"))
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"cannot read {path}: {error}") from error
        for name in file.keys():  # noqa: SIM118 - not a mapping
            if name.endswith(INT8_SCALE):
                self._scale_of[name.removesuffix(INT8_SCALE)] = file
                continue
            if name in self._file_of:
                raise CheckpointError(f"{path} repeats the tensor {name}")
            self._file_of[name] = file
            self.shapes[name] = tuple(file.get_slice(name).get_shape())


def _tensor_files(directory: Path) -> list[Path]:
    index = directory / _INDEX
    if not index.exists():
        found = sorted(directory.glob("*.safetensors"))
        if not found:
            raise CheckpointError(f"{directory} holds no safetensors file")
        return found
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        elsewhere = [name for name in names if Path(name).name != name]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{index} is not an index of safetensors files: {error}") from error
    if elsewhere:
        raise CheckpointError(f"{index} names files outside its directory: {_some(elsewhere)}")
    absent = [name for name in names if not (directory / name).is_file()]
    if absent:
        raise CheckpointError(f"{index} names files that are not there: {_some(absent)}")
    return [directory / name for name in names]


class Tensors:
    """Tensors in memory as a `TensorSource`."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Name and shape of every tensor."""
        return {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def read(self, name: str) -> Tensor:
        """The tensor `name`."""
        return self._tensors[name]


class Selected:
    """The tensors of a source whose names pass.

    Args:
        source: all of them.
        keep: says of a name whether it passes.
    """

    def __init__(self, source: TensorSource, keep: Callable[[str], bool]) -> None:
        self._source = source
        self.shapes = {name: shape for name, shape in source.shapes.items() if keep(name)}

    def read(self, name: str) -> Tensor:
        """The tensor `name`."""
        return self._source.read(name)


class EmptyWeights(TorchFunctionMode):
    """While active, new modules leave their weights unfilled; buffers are computed as ever.

    The pages of an unfilled tensor are never touched, so building a network that is about to be
    loaded costs neither its time nor its memory.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Skips the functions of torch.nn.init."""
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
        return func(*args, **(kwargs or {}))


def load_tensors(
    networks: nn.Module,
    sources: list[TensorSource],
    *,
    dtype_of: Callable[[str], torch.dtype],
    device: torch.device,
    progress: Progress | None = None,
) -> None:
    """Fills every parameter of `networks` from the sources.

    Args:
        networks: its `state_dict` names are the published ones.
        sources: together they hold each tensor once.
        dtype_of: the dtype in which the tensor of that name is kept.
        device: where parameters and buffers go.
        progress: see `Progress`.

    Raises:
        CheckpointError: lists missing, surplus and misshapen tensors by name; nothing was loaded.
    """
    parameters = dict(networks.named_parameters())  # a tied tensor appears under its first name
    tied = set(networks.state_dict(keep_vars=True)) - set(parameters)
    owner: dict[str, TensorSource] = {name: src for src in sources for name in src.shapes}
    _check_fit(
        {name: tuple(parameter.shape) for name, parameter in parameters.items()},
        {name: src.shapes[name] for name, src in owner.items() if name not in tied},
    )
    done, total = 0, sum(parameter.numel() for parameter in parameters.values())
    for name, parameter in parameters.items():
        parameter.requires_grad_(False)
        parameter.data = owner[name].read(name).to(device=device, dtype=dtype_of(name), copy=True)
        done += parameter.numel()
        if progress:
            progress("loading weights", done / total)
    for module_name, module in networks.named_modules():
        for name, buffer in module.named_buffers(recurse=False):
            dtype = dtype_of(f"{module_name}.{name}") if buffer.is_floating_point() else None
            setattr(module, name, buffer.to(device=device, dtype=dtype))


def _check_fit(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]
) -> None:
    surplus = (name for name in found.keys() - expected.keys() if not name.endswith(_CONSTANTS))
    problems = {
        "missing": sorted(expected.keys() - found.keys()),
        "surplus": sorted(surplus),
        "misshapen": [
            f"{name} {list(found[name])} instead of {list(expected[name])}"
            for name in sorted(expected.keys() & found.keys())
            if expected[name] != found[name]
        ],
    }
    if any(problems.values()):
        text = "; ".join(f"{len(v)} {k}: {_some(v)}" for k, v in problems.items() if v)
        raise CheckpointError(f"the weights do not fit the config: {text}")


def _some(names: list[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
