"""The laws of the Talker, and the order in which it is fed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.kv_cache import KVCache
from model.talker import FeedVectors, Talker, TalkerFeed
from tests.model import tiny

WIDTH = tiny.config().talker.embedding_size
ADVANCE = 7


@pytest.fixture(scope="module")
def talker() -> Talker:
    made = Talker(tiny.config().talker)
    tiny.randomise(made)
    return made


@torch.no_grad()
@settings(max_examples=20, deadline=None)
@given(pieces=st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_step_by_step_is_the_whole(talker: Talker, pieces: list[int]) -> None:
    tokens = sum(pieces)
    inputs = torch.randn(1, tokens, WIDTH, generator=torch.Generator().manual_seed(tokens))
    positions = torch.arange(tokens).expand(3, 1, tokens)
    cache = KVCache(talker.config.decoder, slots=2, capacity_tokens=64)
    got = [
        talker.step(piece, piece_positions, cache, [1])
        for piece, piece_positions in zip(
            inputs.split(pieces, dim=1), positions.split(pieces, dim=2), strict=True
        )
    ]
    torch.testing.assert_close(torch.cat(got, 1), talker(inputs, positions), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_batch_of_decodes_is_each_alone(talker: Talker) -> None:
    lengths = [1, 5, 9]
    cache = KVCache(talker.config.decoder, slots=3, capacity_tokens=16)
    inputs = torch.randn(3, 10, WIDTH, generator=torch.Generator().manual_seed(4))
    positions = torch.arange(10).expand(3, 3, 10)
    talker.step(inputs, positions, cache, [0, 1, 2], lengths)
    last = torch.stack([inputs[b, length] for b, length in enumerate(lengths)])[:, None]
    at = torch.tensor(lengths).view(1, 3, 1).expand(3, 3, 1)
    together = talker.step(last, at, cache, [0, 1, 2])
    for b, length in enumerate(lengths):
        alone = talker(inputs[b : b + 1, : length + 1], positions[:, b : b + 1, : length + 1])
        torch.testing.assert_close(together[b, 0], alone[0, -1], rtol=1e-4, atol=1e-4)


def _one_hot(axis: int) -> Tensor:
    return torch.eye(WIDTH)[axis]


EOS, PAD, BOS, CODEC_PAD, CODEC_BOS = (_one_hot(axis) for axis in range(5))
REPLY = [_one_hot(axis) for axis in range(10, 14)]


def _feed(talker: Talker, advance: int | None = None) -> TalkerFeed:
    vectors = FeedVectors(
        text_bos=BOS, text_eos=EOS, text_pad=PAD, codec_pad=CODEC_PAD, codec_bos=CODEC_BOS
    )
    return TalkerFeed(talker=talker, vectors=vectors, advance_token_id=advance)


def _text_of(talker: Talker, feed: TalkerFeed, code: int) -> Tensor:
    """The Thinker's half of the next input."""
    return (feed.next_input(code)[0] - talker.codec_embed(torch.tensor(code))).round()


@torch.no_grad()
def test_published_order(talker: Talker) -> None:
    feed = _feed(talker)
    for vector in REPLY:
        feed.push(vector)
    feed.finish()
    assert torch.equal(feed.next_input(None), torch.stack((BOS + CODEC_PAD, REPLY[0] + CODEC_BOS)))
    for expected in [*REPLY[1:], EOS, PAD, PAD, PAD]:
        assert torch.equal(_text_of(talker, feed, 3), expected)


@torch.no_grad()
def test_it_starves_until_the_vector_comes(talker: Talker) -> None:
    feed = _feed(talker)
    assert feed.starved(None)
    feed.push(REPLY[0])
    assert not feed.starved(None)
    feed.next_input(None)
    assert feed.starved(5)
    feed.finish()
    assert not feed.starved(5)
    assert torch.equal(_text_of(talker, feed, 5), EOS)
    assert not feed.starved(5)  # pad for ever


@torch.no_grad()
def test_with_an_advance_token_text_is_held_until_it(talker: Talker) -> None:
    feed = _feed(talker, ADVANCE)
    feed.push(REPLY[0])
    feed.push(REPLY[1])
    feed.next_input(None)
    assert torch.equal(_text_of(talker, feed, 3), REPLY[0])
    assert torch.equal(_text_of(talker, feed, ADVANCE), REPLY[1])
    assert torch.equal(_text_of(talker, feed, 3), REPLY[1])
    assert not feed.starved(3)
    assert feed.starved(ADVANCE)
    feed.finish()
    assert torch.equal(_text_of(talker, feed, ADVANCE), EOS)
    assert torch.equal(_text_of(talker, feed, ADVANCE), PAD)


@torch.no_grad()
def test_a_reply_without_words_opens_with_its_end(talker: Talker) -> None:
    feed = _feed(talker)
    feed.finish()
    assert torch.equal(feed.next_input(None)[1], EOS + CODEC_BOS)


def test_pushing_after_the_end_is_our_bug(talker: Talker) -> None:
    feed = _feed(talker)
    feed.finish()
    with pytest.raises(AssertionError, match="push after finish"):
        feed.push(REPLY[0])
