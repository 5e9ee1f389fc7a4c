import pytest
import torch
from torch import Tensor

from model.errors import ContextFullError
from model.kv_cache import KVCache
from tests.model import tiny


def _cache(slots: int = 3, capacity: int = 8) -> KVCache:
    return KVCache(tiny.config().thinker.text, slots=slots, capacity_tokens=capacity)


def _append(cache: KVCache, slot: int, values: Tensor) -> None:
    """Appends one position a value to `slot`, key and value both filled with it, in every layer."""
    layers, _, heads, _, width = cache.k.shape
    filled = values[None, None, :, None].expand(1, heads, -1, width)
    query = filled.repeat_interleave(2, dim=1)
    append = cache.begin([slot], [len(values)], len(values))
    for layer in range(layers):
        append(layer, query, filled, filled)
    append.commit()


def _held(cache: KVCache, slot: int) -> list[float]:
    (values,) = cache.v[:, slot, :, : cache.lengths[slot]].unique(dim=0)  # every layer the same
    return values[0, :, 0].tolist()


def test_append_truncate_and_append_again() -> None:
    cache = _cache()
    _append(cache, 1, torch.tensor([1.0, 2.0, 3.0]))
    cache.truncate(1, 1)
    _append(cache, 1, torch.tensor([7.0, 8.0]))
    assert cache.lengths == [0, 3, 0]
    assert _held(cache, 1) == [1.0, 7.0, 8.0]


def test_copy_is_a_copy() -> None:
    cache = _cache()
    _append(cache, 0, torch.tensor([1.0, 2.0, 3.0]))
    cache.copy(0, 2, length=2)
    _append(cache, 0, torch.tensor([4.0]))
    _append(cache, 2, torch.tensor([9.0]))
    assert _held(cache, 0) == [1.0, 2.0, 3.0, 4.0]
    assert _held(cache, 2) == [1.0, 2.0, 9.0]


def test_reset_empties_one_slot() -> None:
    cache = _cache()
    _append(cache, 0, torch.tensor([1.0]))
    _append(cache, 1, torch.tensor([2.0]))
    cache.reset(0)
    assert cache.lengths == [0, 1, 0]


def test_what_does_not_fit_is_refused_and_nothing_is_touched() -> None:
    cache = _cache(capacity=4)
    _append(cache, 0, torch.tensor([1.0, 2.0, 3.0]))
    with pytest.raises(ContextFullError, match="5 positions wanted, capacity is 4"):
        cache.begin([1, 0], [2, 2], 2)
    assert cache.lengths == [3, 0, 0]


def test_a_pass_that_is_not_committed_does_not_count() -> None:
    cache = _cache()
    _append(cache, 0, torch.tensor([1.0]))
    cache.begin([0], [2], 2)
    assert cache.lengths[0] == 1


def test_the_same_slot_twice_is_our_bug() -> None:
    with pytest.raises(AssertionError):
        _cache().begin([1, 1], [1, 1], 1)


def test_old_keys_beyond_the_length_are_never_read() -> None:
    cache = _cache()
    cache.k.fill_(float("nan"))
    cache.v.fill_(float("nan"))
    _, _, heads, _, width = cache.k.shape
    x = torch.ones(1, heads, 2, width)
    append = cache.begin([0], [2], 2)
    out = append(0, x.repeat_interleave(2, dim=1), x, x)
    assert torch.isfinite(out).all()
