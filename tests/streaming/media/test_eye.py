"""Pictures from files in memory: what they look like, and every bound."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from streaming.media.errors import FrameError
from streaming.media.eye import Eye
from streaming.media.video import MODEL_PIXELS


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def eye(*, max_bytes=2**20, max_pixels=4_000_000, per_minute=1000, clock=None):
    return Eye(
        max_bytes=max_bytes, max_pixels=max_pixels, per_minute=per_minute, clock=clock or Clock()
    )


def picture(columns=80, rows=60):
    y, x = np.mgrid[0:rows, 0:columns]
    return np.stack([x * 255 // columns, y * 255 // rows, (x + y) % 256], -1).astype(np.uint8)


def file_of(pixels, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_what_loses_nothing_is_seen_as_it_is(kind, options):
    assert np.array_equal(eye().image(file_of(picture(), kind, **options)), picture())


def test_a_jpeg_is_seen():
    seen = eye().image(file_of(picture(), "JPEG", quality=95))
    assert seen.shape == (60, 80, 3)
    assert np.abs(seen.astype(int) - picture()).mean() < 8


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "LA"])
def test_other_colours_become_rgb(mode):
    file = io.BytesIO()
    Image.fromarray(picture()).convert(mode).save(file, "PNG")
    assert eye().image(file.getvalue()).shape == (60, 80, 3)


def test_a_cameras_picture_is_no_larger_than_the_model_sees():
    large = file_of(picture(1920, 1080), "JPEG")
    for seen in (eye().frame(large), eye().image(large, low=True)):
        rows, columns, _ = seen.shape
        assert rows * columns <= MODEL_PIXELS
        assert columns / rows == pytest.approx(1920 / 1080, rel=0.01)
    assert eye().image(large).shape == (1080, 1920, 3)
    assert eye().frame(file_of(picture())).shape == (60, 80, 3), "nothing is enlarged"


def test_a_very_large_jpeg_is_decoded_at_a_part_of_its_size():
    seen = eye(max_bytes=2**24, max_pixels=12_000_000).image(file_of(picture(3600, 2400), "JPEG"))
    assert seen.shape == (2400, 3600, 3) or seen.shape == (1200, 1800, 3)
    seen = eye(max_bytes=2**24, max_pixels=40_000_000).image(file_of(picture(7200, 4800), "JPEG"))
    assert seen.shape == (2400, 3600, 3)


def bomb(columns, rows):
    """A PNG that says it is enormous, and holds next to nothing."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "invalid_image", "no JPEG, PNG or WebP"),
        (b"no picture", "invalid_image", "no JPEG, PNG or WebP"),
        (file_of(picture())[:-60], "invalid_image", "cannot be decoded"),
        (file_of(picture(), "GIF"), "invalid_image", "no JPEG, PNG or WebP"),
        (bomb(100_000, 100_000), "image_too_large", "max_image_pixels"),
        (bomb(2_000, 2_001), "image_too_large", "4000000 (max_image_pixels)"),
        (bytes(2**20 + 1), "image_too_large", "1048576 (max_image_bytes)"),
        (file_of(picture(20, 60)), "invalid_image", "side below 28"),
        (file_of(picture(6000, 29)), "invalid_image", "1:200"),
    ],
)
def test_what_cannot_be_seen_is_named(data, code, words):
    for look in (eye().image, eye().frame):
        with pytest.raises(FrameError) as failure:
            look(data)
        assert failure.value.code == code
        assert words in str(failure.value)


def test_so_many_a_minute():
    clock = Clock()
    looking = eye(per_minute=2, clock=clock)
    looking.image(file_of(picture()))
    clock.now_s = 30.0
    looking.frame(file_of(picture()))
    with pytest.raises(FrameError, match="2 pictures a minute") as failure:
        looking.image(file_of(picture()))
    assert failure.value.code == "rate_limit_exceeded"
    clock.now_s = 60.0
    looking.image(file_of(picture()))


VALID = [file_of(picture(), kind) for kind in ("PNG", "JPEG", "WEBP")]


@given(
    valid=st.sampled_from(VALID),
    places=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8),
    end=st.integers(0, 10_000),
)
@settings(max_examples=150, deadline=None)
def test_broken_files_raise_one_kind_of_error(valid, places, end):
    data = bytearray(valid[: max(4, end)])
    for place, value in places:
        data[place % len(data)] = value
    try:
        seen = eye(max_pixels=100_000).frame(bytes(data))
    except FrameError:
        return
    assert seen.dtype == np.uint8
    assert seen.shape[0] * seen.shape[1] <= 100_000
