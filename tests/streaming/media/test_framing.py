"""Frames."""

from streaming.media.formats import PCM_24K, PCMU
from streaming.media.framing import frame_bytes


def test_a_frame_of_20_ms():
    assert frame_bytes(PCM_24K, 20) == 960
    assert frame_bytes(PCMU, 20) == 160
