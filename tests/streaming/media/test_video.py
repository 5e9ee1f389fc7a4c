"""Pictures by time, bounded in size and number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.media.errors import FrameError
from streaming.media.video import MODEL_PIXELS, Album, FrameSampler, VideoFrame


def frame(at_ms):
    return VideoFrame(pixels=np.zeros((28, 28, 3), dtype=np.uint8), at_ms=at_ms)


def sampler(fps=2.0, max_pixels=1920 * 1080):
    return FrameSampler(fps=fps, max_pixels=max_pixels)


def test_two_a_second_of_thirty_without_drift():
    taking = sampler()
    kept = [at for at in (round(n * 1000 / 30) for n in range(300)) if taking.wants(at)]
    assert len(kept) == 20
    assert all(abs(at - 500 * n) <= 34 for n, at in enumerate(kept))


def test_after_a_pause_the_next_picture_is_kept_and_no_more():
    taking = sampler()
    assert taking.wants(0)
    assert taking.wants(60_000)
    assert not taking.wants(60_033)
    assert taking.wants(60_500)


def test_a_slow_camera_is_taken_whole():
    taking = sampler()
    assert all(taking.wants(at) for at in range(0, 10_000, 1000))


@given(st.integers(28, 4000), st.integers(28, 4000))
def test_sizes_fit_the_model_and_never_grow(columns, rows):
    taking = sampler(max_pixels=4000 * 4000)
    wide, high = taking.size(columns, rows)
    assert wide * high <= MODEL_PIXELS
    assert wide <= columns
    assert high <= rows
    assert wide % 2 == high % 2 == 0
    assert abs(wide / high / (columns / rows) - 1) < 0.1


@pytest.mark.parametrize(
    ("size", "word"), [((2000, 2000), "max_frame_pixels"), ((20, 400), "28"), ((6000, 28), "1:200")]
)
def test_other_sizes_are_refused_by_their_limit(size, word):
    with pytest.raises(FrameError, match=word):
        sampler().size(*size)


def test_pictures_are_handed_out_once_up_to_a_time():
    album = Album(10)
    for at_ms in (0, 500, 1000):
        album.add(frame(at_ms))
    assert [kept.at_ms for kept in album.take(500)] == [0, 500]
    assert [kept.at_ms for kept in album.take()] == [1000]
    assert album.take() == []


@given(st.integers(0, 400))
def test_a_full_album_is_thinned_evenly(count):
    album = Album(16)
    for number in range(count):
        album.add(frame(number * 500))
    kept = [kept.at_ms for kept in album.take()]
    assert len(kept) <= 16
    assert kept[:1] == ([0] if count else [])
    steps = np.diff(kept)
    assert len(set(steps.tolist())) <= 1
    if count > 16:
        assert len(kept) >= 8
