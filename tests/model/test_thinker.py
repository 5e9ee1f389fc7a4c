"""The laws of the Thinker: pieces equal the whole, mates do not matter, the past can be cut."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.config import OmniConfig
from model.kv_cache import KVCache
from model.thinker import Thinker, talker_vectors
from tests.model import tiny

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}  # float32; sums run in another order


@pytest.fixture(scope="module")
def thinker() -> Thinker:
    made = Thinker(tiny.config(inputs=["text"]).thinker)
    tiny.randomise(made)
    return made


def _sequence(thinker: Thinker, tokens: int, seed: int) -> tuple[Tensor, Tensor]:
    """Embeddings [1, T, D] and position ids [3, 1, T] whose axes part in the middle."""
    random = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, tiny.TEXT_IDS, (1, tokens), generator=random)
    positions = torch.arange(tokens).repeat(3, 1)
    positions[1:, tokens // 2 :] += torch.randint(0, 9, (2, tokens - tokens // 2), generator=random)
    return thinker.embed(ids).detach(), positions[:, None]


def _cache(thinker: Thinker, slots: int = 4) -> KVCache:
    return KVCache(thinker.config.text, slots=slots, capacity_tokens=64)


@torch.no_grad()
@settings(max_examples=25, deadline=None)
@given(pieces=st.lists(st.integers(1, 7), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_prefill_in_pieces_is_the_whole(thinker: Thinker, pieces: list[int], seed: int) -> None:
    embeds, positions = _sequence(thinker, sum(pieces), seed)
    cache, got = _cache(thinker), []
    for piece_embeds, piece_positions in zip(
        embeds.split(pieces, dim=1), positions.split(pieces, dim=2), strict=True
    ):
        got.append(thinker.step(piece_embeds, piece_positions, cache, [2]))
    torch.testing.assert_close(torch.cat(got, 1), thinker(embeds, positions).hidden, **TOLERANCE)
    assert cache.lengths == [0, 0, sum(pieces), 0]


@torch.no_grad()
@settings(max_examples=20, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=2, max_size=4),
    new=st.lists(st.integers(0, 5), min_size=4, max_size=4),
    order=st.permutations(range(4)),
)
def test_mates_of_other_lengths_change_nothing(
    thinker: Thinker, lengths: list[int], new: list[int], order: list[int]
) -> None:
    rows, slots, width = len(lengths), list(order[: len(lengths)]), max(*new, 1)
    counts = new[:rows]
    cache, alone = _cache(thinker), []
    embeds = torch.full((rows, width, thinker.config.text.hidden_size), 9.0)
    positions = torch.zeros(3, rows, width, dtype=torch.int64)
    for b, (length, count) in enumerate(zip(lengths, counts, strict=True)):
        own_embeds, own_positions = _sequence(thinker, length + count, seed=b)
        alone.append(thinker(own_embeds, own_positions).hidden[0, length:] if count else None)
        if length:
            thinker.step(own_embeds[:, :length], own_positions[:, :, :length], cache, [slots[b]])
        embeds[b, :count] = own_embeds[0, length:]
        positions[:, b, :count] = own_positions[:, 0, length:]
    hidden = thinker.step(embeds, positions, cache, slots, counts)
    for b, expected in enumerate(alone):
        if expected is not None:
            torch.testing.assert_close(hidden[b, : counts[b]], expected, **TOLERANCE)
        assert cache.lengths[slots[b]] == lengths[b] + counts[b]


@torch.no_grad()
@settings(max_examples=15, deadline=None)
@given(kept=st.integers(0, 12), dropped=st.integers(1, 8), after=st.integers(1, 6))
def test_a_cut_past_leaves_no_trace(thinker: Thinker, kept: int, dropped: int, after: int) -> None:
    embeds, positions = _sequence(thinker, kept + after, seed=5)
    stray, stray_positions = _sequence(thinker, dropped, seed=6)
    cache = _cache(thinker)
    if kept:
        thinker.step(embeds[:, :kept], positions[:, :, :kept], cache, [0])
    thinker.step(stray, stray_positions + kept, cache, [0])
    cache.truncate(0, kept)
    hidden = thinker.step(embeds[:, kept:], positions[:, :, kept:], cache, [0])
    expected = thinker(embeds, positions).hidden[:, kept:]
    torch.testing.assert_close(hidden, expected, **TOLERANCE)


@torch.no_grad()
def test_a_copied_slot_goes_on_like_its_source(thinker: Thinker) -> None:
    embeds, positions = _sequence(thinker, 12, seed=7)
    cache = _cache(thinker)
    thinker.step(embeds[:, :8], positions[:, :, :8], cache, [0])
    cache.copy(0, 3)
    hidden = thinker.step(embeds[:, 8:], positions[:, :, 8:], cache, [3])
    torch.testing.assert_close(hidden, thinker(embeds, positions).hidden[:, 8:], **TOLERANCE)


@torch.no_grad()
def test_bf16_decode_is_near_float32(thinker: Thinker) -> None:
    embeds, positions = _sequence(thinker, 10, seed=8)
    expected = thinker(embeds, positions).logits
    small = Thinker(thinker.config)
    small.load_state_dict(thinker.state_dict())
    small = small.to(torch.bfloat16)
    cache = KVCache(small.config.text, slots=1, capacity_tokens=16, dtype=torch.bfloat16)
    steps = [
        small.logits(
            small.step(embeds[:, t : t + 1].bfloat16(), positions[:, :, t : t + 1], cache, [0])
        )
        for t in range(10)
    ]
    error = (torch.cat(steps, 1).float() - expected).std() / expected.std()
    assert error < 0.05  # bf16 keeps 8 bits


def test_media_positions_give_the_hidden_state_alone() -> None:
    embeds, hidden = torch.full((2, 3), 10.0), torch.ones(2, 3)
    got = talker_vectors(embeds, hidden, torch.tensor([False, True]))
    assert got.tolist() == [[11.0] * 3, [1.0] * 3]


def test_tied_embeddings_are_one_tensor() -> None:
    data = tiny.config_dict()
    data["thinker_config"]["text_config"]["tie_word_embeddings"] = True
    data["omnilive"] = {"inputs": ["text"]}
    tied = Thinker(OmniConfig.from_dict(data).thinker)
    assert tied.lm_head.weight is tied.model.embed_tokens.weight
