"""Sizes in the headers of coded pictures: of real encoders, forged, and of anything at all."""

import struct

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.media.errors import FrameError
from streaming.media.video_headers import h264_sizes, vp8_sizes

SIDES = [(64, 48), (640, 480), (1920, 1080), (322, 242)]


def coded(codec, columns, rows, options=None, profile=None, pix_fmt="yuv420p"):
    """The first frame of a real encoder."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = columns, rows, pix_fmt
    encoder.options = options or {}
    if profile is not None:
        encoder.profile = profile
    pixels = np.zeros((rows, columns, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pix_fmt)
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    return bytes(packets[0])


def forged_vp8(columns, rows):
    """The head of a key frame that claims a size."""
    return b"\x10\x02\x00\x9d\x01\x2a" + struct.pack("<HH", columns, rows) + bytes(80)


@pytest.mark.parametrize(("columns", "rows"), SIDES)
def test_vp8_of_an_encoder(columns, rows):
    assert list(vp8_sizes(coded("libvpx", columns, rows))) == [(columns, rows)]


def test_vp8_that_is_forged():
    assert list(vp8_sizes(forged_vp8(16_383, 16_383))) == [(16_383, 16_383)]


def test_vp8_between_key_frames_says_nothing():
    frame = bytearray(forged_vp8(640, 480))
    frame[0] |= 1
    assert list(vp8_sizes(bytes(frame))) == []


@pytest.mark.parametrize("profile", ["Baseline", "Main", "High", "High 4:4:4 Predictive"])
@pytest.mark.parametrize(("columns", "rows"), SIDES)
def test_h264_of_an_encoder(columns, rows, profile):
    pix_fmt = "yuv444p" if "4:4:4" in profile else "yuv420p"
    sizes = list(h264_sizes(coded("libx264", columns, rows, profile=profile, pix_fmt=pix_fmt)))
    assert sizes == [(-(-columns // 16) * 16, -(-rows // 16) * 16)]


@pytest.mark.parametrize(
    "options",
    [
        {"x264-params": "interlaced=1"},
        {"x264-params": "cqm=jvt"},  # with scaling lists
    ],
)
def test_h264_of_rarer_kinds(options):
    ((columns, rows),) = h264_sizes(coded("libx264", 640, 480, options, profile="High"))
    assert columns == 640
    assert 480 <= rows <= 512


def test_h264_that_ends_early_cannot_be_read():
    frame = coded("libx264", 640, 480)
    begin = frame.index(b"\0\0\1\x67")
    with pytest.raises(FrameError, match="ends in the middle"):
        list(h264_sizes(frame[: begin + 6]))


STARTS = st.sampled_from([b"\0\0\1" + kind for kind in (b"\x67", b"\x27", b"\x65")])
NALS = st.lists(st.tuples(STARTS, st.binary(max_size=60)))


@given(st.binary(max_size=200) | NALS.map(lambda nals: b"".join(a + b for a, b in nals)))
def test_anything_at_all_has_a_size_or_one_kind_of_error(data):
    for columns, rows in vp8_sizes(data):
        assert 0 <= columns < 2**14
        assert 0 <= rows < 2**14
    try:
        sizes = list(h264_sizes(data))
    except FrameError:
        return
    assert all(columns > 0 and rows > 0 for columns, rows in sizes)
