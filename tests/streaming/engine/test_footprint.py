"""Memory: what conversations take, what they give back, and a start that could not end well."""

import dataclasses
import sys
from pathlib import Path

import pytest
import torch

from model.errors import ConfigError
from model.omni import OmniModel
from streaming.engine import footprint
from streaming.engine.engine import Engine
from streaming.engine.footprint import GIB, check_fits, free_bytes, give_back_unused
from streaming.engine.memory import Memory
from tests.streaming.engine.driver import SETTINGS

CPU = torch.device("cpu")
MEMINFO = "MemTotal:       24000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8388608 kB\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which a machine says what it has."""
    monkeypatch.setattr(footprint, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(footprint, "CGROUP", tmp_path)
    return tmp_path


def test_what_a_machine_has_is_what_nobody_uses(machine: Path) -> None:
    assert free_bytes(CPU) is None
    (machine / "meminfo").write_text(MEMINFO)
    assert free_bytes(CPU) == 8 * GIB


def test_a_container_has_what_its_limit_leaves(machine: Path) -> None:
    (machine / "meminfo").write_text(MEMINFO)
    (machine / "memory.current").write_text(f"{3 * GIB}\n")
    (machine / "memory.stat").write_text(f"anon {2 * GIB}\ninactive_file {GIB}\n")
    (machine / "memory.max").write_text("max\n")
    assert free_bytes(CPU) == 8 * GIB
    (machine / "memory.max").write_text(f"{4 * GIB}\n")
    assert free_bytes(CPU) == 2 * GIB


def test_caches_that_do_not_fit_are_refused_by_name() -> None:
    sizes = {"max_conversations": 80, "context_tokens": 8192}
    check_fits(2 * GIB, 2 * GIB, **sizes)
    check_fits(2 * GIB, None, **sizes)
    text = r"max_conversations 80 of context_tokens 8192 each can take 20\.5 GiB .* 17\.0 GiB"
    with pytest.raises(ConfigError, match=text):
        check_fits(20 * GIB + GIB // 2, 17 * GIB, **sizes)


def test_an_engine_without_room_for_its_conversations_does_not_start(
    model: OmniModel, machine: Path
) -> None:
    (machine / "meminfo").write_text("MemAvailable: 1024 kB\n")
    settings = dataclasses.replace(SETTINGS, max_conversations=1024, context_tokens=4096)
    with pytest.raises(ConfigError, match="max_conversations 1024 of context_tokens 4096"):
        Engine(model, settings)


def test_a_context_beyond_the_checkpoints_positions_is_refused_by_name(model: OmniModel) -> None:
    positions = model.config.thinker.text.max_position_embeddings
    settings = dataclasses.replace(SETTINGS, context_tokens=positions)
    assert Engine(model, settings).ready.context_tokens == positions
    settings = dataclasses.replace(SETTINGS, context_tokens=positions + 1)
    text = rf"context_tokens {positions + 1}\b.* max_position_embeddings {positions}\b"
    with pytest.raises(ConfigError, match=text):
        Engine(model, settings)


def test_the_size_that_is_foreseen_is_that_of_the_caches(model: OmniModel) -> None:
    figures = {"slots": 3, "capacity_tokens": 100, "speech_codes": 50}
    memory = Memory(model, **figures)
    caches = (memory.thinker, memory.talker)
    there = sum(tensor.nbytes for cache in caches for tensor in (cache.k, cache.v))
    assert Memory.size_bytes(model, **figures) == there


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")
def test_what_the_heap_keeps_is_given_back() -> None:
    between, pieces = [], []
    for _ in range(2000):
        pieces.append(bytearray(100_000))
        between.append(bytearray(100))  # keeps the heap from shrinking by itself
    taken = resident_bytes()
    del pieces
    give_back_unused()
    assert taken - resident_bytes() > 150_000_000
    assert len(between) == 2000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
