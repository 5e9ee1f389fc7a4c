"""Pictures as files in memory: checked, bounded and decoded to RGB.

Knows JPEG, PNG and WebP, and how many pictures, bytes and pixels there may be. Nothing is decoded
before its size is known and allowed. Does not know who sends them or what they show.

A JPEG that is far larger than the model sees is decoded at a half, a quarter or an eighth of its
size, which its format gives for nothing.
"""

from __future__ import annotations

import io
import warnings
from collections import deque
from collections.abc import Callable

import numpy as np
from PIL import Image

from streaming.media.errors import FrameError
from streaming.media.video import MODEL_PIXELS, Pixels, fitted

FORMATS = ("JPEG", "PNG", "WEBP")
MINUTE_S = 60.0
# A JPEG is not decoded to more pixels than it takes to have four times the largest image's.
LARGEST_DRAFT_PIXELS = 4 * 1280 * 28 * 28


class Eye:
    """Looks at the pictures of one client.

    Args:
        max_bytes: size of one as a file.
        max_pixels: of one, decoded.
        frame_pixels: what a camera's picture is scaled down to.
        per_minute: how many.
        clock: seconds.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        max_pixels: int,
        per_minute: int,
        clock: Callable[[], float],
        frame_pixels: int = MODEL_PIXELS,
    ) -> None:
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels
        self._frame_pixels = frame_pixels
        self._per_minute = per_minute
        self._clock = clock
        self._seen_s: deque[float] = deque()

    def image(self, data: bytes, *, low: bool = False) -> Pixels:
        """Decodes a still image; one of `low` detail is scaled to what a video's frame has.

        Raises:
            FrameError: No such file, or beyond a limit; names it.
        """
        self._count()
        with self._opened(data) as image:
            if image.format == "JPEG" and image.width * image.height > LARGEST_DRAFT_PIXELS:
                image.draft("RGB", _side_of(image, LARGEST_DRAFT_PIXELS))
            return _decoded(image, MODEL_PIXELS if low else None)

    def frame(self, data: bytes) -> Pixels:
        """Decodes a camera's picture, scaled to no more than `frame_pixels`.

        Raises:
            FrameError: No such file, or beyond a limit; names it.
        """
        self._count()
        with self._opened(data) as image:
            if image.format == "JPEG":
                image.draft("RGB", _side_of(image, self._frame_pixels))
            return _decoded(image, self._frame_pixels)

    def _count(self) -> None:
        now_s = self._clock()
        while self._seen_s and now_s - self._seen_s[0] >= MINUTE_S:
            self._seen_s.popleft()
        if len(self._seen_s) >= self._per_minute:
            raise FrameError(
                f"more than {self._per_minute} pictures a minute (max_images_per_minute)",
                code="rate_limit_exceeded",
            )
        self._seen_s.append(now_s)

    def _opened(self, data: bytes) -> Image.Image:
        if len(data) > self._max_bytes:
            raise FrameError(
                f"a picture of {len(data)} bytes is larger than {self._max_bytes} "
                "(max_image_bytes)",
                code="image_too_large",
            )
        try:
            with warnings.catch_warnings():
                # Our own bound is lower than the one that Pillow warns of.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(io.BytesIO(data), formats=FORMATS)
        except Image.DecompressionBombError:
            raise FrameError(
                f"a picture has far more than {self._max_pixels} pixels (max_image_pixels)",
                code="image_too_large",
            ) from None
        except Exception as error:  # whatever a broken header makes Pillow raise
            raise FrameError(f"no JPEG, PNG or WebP picture: {error}") from None
        columns, rows = image.size
        if columns * rows > self._max_pixels:
            image.close()
            raise FrameError(
                f"a picture of {columns} × {rows} pixels is larger than {self._max_pixels} "
                "(max_image_pixels)",
                code="image_too_large",
            )
        return image


def _side_of(image: Image.Image, pixels: int) -> tuple[int, int]:
    """The size with no more than `pixels` that a draft must not go below."""
    scale = min(1.0, (pixels / (image.width * image.height)) ** 0.5)
    return max(1, int(image.width * scale)), max(1, int(image.height * scale))


def _decoded(image: Image.Image, max_pixels: int | None) -> Pixels:
    try:
        rgb = image.convert("RGB")
        size = fitted(rgb.width, rgb.height, max_pixels)
        if size != rgb.size:
            rgb = rgb.resize(size, Image.Resampling.BICUBIC)
        return np.asarray(rgb, dtype=np.uint8)
    except FrameError:
        raise
    except Exception as error:  # whatever a broken file makes its decoder raise
        raise FrameError(f"the picture cannot be decoded: {error}") from None
