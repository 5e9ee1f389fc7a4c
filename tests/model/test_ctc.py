"""Prefix beam search against every path, and in pieces against the whole."""

import itertools
import math
from collections import defaultdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.ctc import NO_FRAMES, log_add, read_on

BLANK = 1


def chances(frames: int, classes: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(frames, classes, generator=random)).log_softmax(-1)


def by_every_path(log_probs: Tensor) -> dict[tuple[int, ...], float]:
    """The probability of each reading, summed over all paths that collapse to it."""
    found: dict[tuple[int, ...], float] = defaultdict(float)
    frames, classes = log_probs.shape
    for path in itertools.product(range(classes), repeat=frames):
        reading = tuple(token for token, _ in itertools.groupby(path) if token != BLANK)
        found[reading] += math.exp(
            sum(float(row[i]) for row, i in zip(log_probs, path, strict=True))
        )
    return found


@settings(max_examples=20, deadline=None)
@given(frames=st.integers(1, 5), seed=st.integers(0, 99))
def test_with_room_for_all_each_reading_has_the_sum_of_its_paths(frames: int, seed: int) -> None:
    log_probs = chances(frames, 3, seed)
    beam = read_on(NO_FRAMES, log_probs, blank_id=BLANK, width=999, log_floor=-math.inf)
    wanted = by_every_path(log_probs)
    assert {reading.tokens for reading in beam} == wanted.keys()
    for reading in beam:
        assert math.exp(reading.log_prob) == pytest.approx(wanted[reading.tokens], rel=1e-4)
    scores = [reading.log_prob for reading in beam]
    assert scores == sorted(scores, reverse=True)


@settings(max_examples=20, deadline=None)
@given(pieces=st.lists(st.integers(0, 6), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_frames_in_pieces_read_as_the_whole(pieces: list[int], seed: int) -> None:
    log_probs = chances(sum(pieces), 6, seed)
    whole = read_on(NO_FRAMES, log_probs, blank_id=BLANK, width=4, tokens_a_frame=3)
    beam = NO_FRAMES
    for piece in log_probs.split(pieces):
        beam = read_on(beam, piece, blank_id=BLANK, width=4, tokens_a_frame=3)
    assert beam == whole
    assert len(beam) <= 4


def test_a_token_said_twice_needs_a_blank_between() -> None:
    one, blank = torch.tensor([-9.0, -9.0, 0.0]), torch.tensor([-9.0, 0.0, -9.0])
    long = torch.stack([one, one]).log_softmax(-1)
    twice = torch.stack([one, blank, one]).log_softmax(-1)
    assert read_on(NO_FRAMES, long, blank_id=BLANK)[0].tokens == (2,)
    assert read_on(NO_FRAMES, twice, blank_id=BLANK)[0].tokens == (2, 2)


def test_log_add_takes_what_cannot_be() -> None:
    assert log_add(-math.inf, -math.inf) == -math.inf
    assert log_add(-math.inf, 0.5) == 0.5
    assert log_add(math.log(2), math.log(3)) == pytest.approx(math.log(5))
