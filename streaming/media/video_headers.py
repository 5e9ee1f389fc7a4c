"""How large a coded picture says it is, before anybody decodes it.

A decoder makes room for the size in the header, 16383 × 16383 pixels in a packet of 20 bytes if it
is told so: nearly a gigabyte. Knows the headers of VP8's key frames and H.264's sequence parameter
sets, no more of either. Source: RFC 6386, 9.1; ITU-T H.264 (08/2021), 7.3.2.1.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from streaming.media.errors import FrameError

Size = tuple[int, int]

_VP8_START = b"\x9d\x01\x2a"
_VP8_HEADER_BYTES = 10
_SIDE = 0x3FFF  # of 16 bits, the two others are a hint for scaling

_NAL_START = re.compile(b"\0\0\1")
_SPS_TYPE = 7
_MACROBLOCK = 16
# Profiles whose parameter sets have a part on chroma and scaling.
_HIGH_PROFILES = frozenset([44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244])
_MAX_POC_CYCLE = 255
_MAX_GOLOMB_ZEROS = 31


def vp8_sizes(frame: bytes) -> Iterator[Size]:
    """Yields the size (columns, rows) in a frame; nothing if it is no key frame."""
    if len(frame) >= _VP8_HEADER_BYTES and not frame[0] & 1 and frame[3:6] == _VP8_START:
        columns = int.from_bytes(frame[6:8], "little") & _SIDE
        rows = int.from_bytes(frame[8:10], "little") & _SIDE
        yield columns, rows


def h264_sizes(frame: bytes) -> Iterator[Size]:
    """Yields the size (columns, rows) of each sequence parameter set in a frame (Annex B).

    Raises:
        FrameError: One of them cannot be read.
    """
    for start in _NAL_START.finditer(frame):
        begin = start.end()
        if begin < len(frame) and frame[begin] & 0x1F == _SPS_TYPE:
            end = frame.find(b"\0\0\1", begin)
            yield _sps_size(frame[begin + 1 : None if end < 0 else end])


def _sps_size(payload: bytes) -> Size:
    bits = _Bits(payload.replace(b"\0\0\3", b"\0\0"))
    profile = bits.take(8)
    bits.take(16)  # constraints, level
    bits.golomb()  # id
    if profile in _HIGH_PROFILES:
        _skip_chroma_and_scaling(bits)
    bits.golomb()  # bits of the frame number
    _skip_picture_order(bits)
    bits.golomb()  # reference frames
    bits.take(1)
    columns = bits.golomb() + 1
    rows = bits.golomb() + 1
    fields = 2 - bits.take(1)  # rows are of a field where pictures may be interlaced
    return columns * _MACROBLOCK, rows * _MACROBLOCK * fields


def _skip_chroma_and_scaling(bits: _Bits) -> None:
    chroma = bits.golomb()
    if chroma == 3:
        bits.take(1)
    bits.golomb()
    bits.golomb()
    bits.take(1)
    if not bits.take(1):
        return
    for index in range(12 if chroma == 3 else 8):
        if bits.take(1):
            _skip_scaling_list(bits, 16 if index < 6 else 64)


def _skip_scaling_list(bits: _Bits, length: int) -> None:
    last = following = 8
    for _ in range(length):
        if following:
            following = (last + bits.signed_golomb()) % 256
        last = following or last


def _skip_picture_order(bits: _Bits) -> None:
    kind = bits.golomb()
    if kind == 0:
        bits.golomb()
    elif kind == 1:
        bits.take(1)
        bits.golomb()
        bits.golomb()
        cycle = bits.golomb()
        if cycle > _MAX_POC_CYCLE:
            raise FrameError(f"a parameter set has a cycle of {cycle}, above {_MAX_POC_CYCLE}")
        for _ in range(cycle):
            bits.golomb()


class _Bits:
    """Bits of a parameter set, the first ones first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        """The next `count` bits as a number."""
        if count > self._left:
            raise FrameError("a parameter set ends in the middle")
        self._left -= count
        return self._value >> self._left & (1 << count) - 1

    def golomb(self) -> int:
        """The next number in Exp-Golomb code, ue(v)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > _MAX_GOLOMB_ZEROS:
                raise FrameError("a parameter set has a number of more than 32 bits")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed_golomb(self) -> int:
        """The next number in signed Exp-Golomb code, se(v)."""
        number = self.golomb()
        return (number + 1) // 2 if number % 2 else -(number // 2)
