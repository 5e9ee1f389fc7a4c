from pathlib import Path

import pytest
import torch

from model import pages
from model.kv_cache import KVCache
from model.pages import Pages
from tests.model import tiny

pytestmark = pytest.mark.skipif(not pages.CAN_BE_HAD, reason="only on Linux")
PAGE_BYTES = 4096
MIB = 2**20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def test_memory_is_taken_where_it_is_written_and_given_back() -> None:
    before = resident_bytes()
    memory = Pages((4, 64 * MIB), torch.int8)  # 256 MiB
    assert resident_bytes() - before < 8 * MIB
    memory.tensor[:2] = 7
    assert resident_bytes() - before > 120 * MIB
    memory.give_back(64 * MIB, 64 * MIB)
    assert 60 * MIB < resident_bytes() - before < 72 * MIB
    assert memory.tensor[:, -1].tolist() == [7, 0, 0, 0]


def test_a_page_that_is_shared_with_others_stays() -> None:
    memory = Pages((3 * PAGE_BYTES,), torch.int8)
    memory.tensor[:] = 1
    memory.give_back(PAGE_BYTES // 2, 2 * PAGE_BYTES)
    assert memory.tensor[:PAGE_BYTES].all()
    assert not memory.tensor[PAGE_BYTES : 2 * PAGE_BYTES].any()
    assert memory.tensor[2 * PAGE_BYTES :].all()
    memory.give_back(10, 20)  # less than a page
    assert memory.tensor[10] == 1


def test_a_cache_takes_what_its_slots_hold() -> None:
    before = resident_bytes()
    cache = KVCache(tiny.config().thinker.text, slots=8, capacity_tokens=64 * 1024)
    whole = cache.k.nbytes + cache.v.nbytes
    assert whole > 64 * MIB
    assert resident_bytes() - before < whole / 10
    cache.k[:, 2:4] = cache.v[:, 2:4] = 1.0
    cache.lengths[2] = cache.lengths[3] = cache.capacity_tokens
    cache.release(2)
    assert cache.lengths[2] == 0
    assert resident_bytes() - before < whole / 8 + whole / 10
    assert cache.k[:, 3].all()
    assert cache.v[:, 3].all()
