"""The static decode step beside the ordinary one; captured only where there is a GPU."""

import pytest
import torch
from torch import Tensor

from model.cuda_graphs import GraphedDecode
from model.errors import ContextFullError
from model.kv_cache import KVCache
from model.talker import Talker
from tests.model import tiny

WIDTH = tiny.config().talker.embedding_size


def _talker(device: str) -> Talker:
    made = Talker(tiny.config().talker)
    tiny.randomise(made)
    return made.to(device)


def _inputs(rows: int, device: str) -> Tensor:
    return torch.randn(rows, 1, WIDTH, generator=torch.Generator().manual_seed(rows)).to(device)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@torch.no_grad()
def test_static_steps_are_the_ordinary_ones(device: str) -> None:
    talker = _talker(device)
    caches = [
        KVCache(talker.config.decoder, slots=4, capacity_tokens=12, device=device) for _ in range(2)
    ]
    prompt = torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(1)).to(device)
    positions = torch.arange(5, device=device).expand(3, 2, 5)
    for cache in caches:
        talker.step(prompt, positions, cache, [2, 0], [5, 3])
    graphed = GraphedDecode(talker.decode, caches[0], width=WIDTH, row_counts=(1, 3))
    for rows in ([2, 0], [0], [1, 2, 0], [1]):
        inputs = _inputs(len(rows), device)
        at = torch.tensor([caches[1].lengths[slot] for slot in rows], device=device)
        at = at.view(1, -1, 1).expand(3, -1, -1)
        expected = talker.step(inputs, at, caches[1], rows)
        torch.testing.assert_close(graphed.step(inputs, at, rows), expected, rtol=1e-4, atol=1e-4)
    assert caches[0].lengths == caches[1].lengths


@torch.no_grad()
def test_a_full_slot_is_refused_before_anything_changes() -> None:
    talker = _talker("cpu")
    cache = KVCache(talker.config.decoder, slots=3, capacity_tokens=4)
    graphed = GraphedDecode(talker.decode, cache, width=WIDTH, row_counts=(2,))
    talker.step(torch.zeros(1, 4, WIDTH), torch.zeros(3, 1, 4, dtype=torch.int64), cache, [1])
    with pytest.raises(ContextFullError, match="5 positions wanted, capacity is 4"):
        graphed.step(_inputs(2, "cpu"), torch.zeros(3, 2, 1, dtype=torch.int64), [0, 1])
    assert cache.lengths == [0, 4, 0]
