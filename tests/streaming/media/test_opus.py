"""Opus for one voice: what goes in comes out, and the length of any packet is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.media.errors import CodecError
from streaming.media.opus import (
    BIT_RATE,
    FRAME_BYTES,
    FRAME_SAMPLES,
    FRAME_TICKS,
    MAX_PACKET_TICKS,
    OpusDecoder,
    OpusEncoder,
    packet_ticks,
)


def tone(frames, hz=440):
    t = np.arange(frames * FRAME_SAMPLES) / 24_000
    return (8_000 * np.sin(2 * np.pi * hz * t)).astype("<i2").tobytes()


def encoded(pcm):
    encoder = OpusEncoder()
    return [encoder.encode(pcm[i : i + FRAME_BYTES]) for i in range(0, len(pcm), FRAME_BYTES)]


def test_a_tone_survives_in_mono_at_the_speech_rate():
    packets = encoded(tone(50))
    decoder = OpusDecoder()
    sound = np.frombuffer(b"".join(map(decoder.decode, packets)), dtype="<i2")
    assert len(sound) == 50 * FRAME_TICKS
    spectrum = np.abs(np.fft.rfft(sound[9_600:].astype(float) * np.hanning(len(sound) - 9_600)))
    assert abs(spectrum.argmax() * 48_000 / (len(sound) - 9_600) - 440) < 5
    assert 0.7 < sound.std() / (8_000 / np.sqrt(2)) < 1.3
    assert all(not packet[0] & 4 for packet in packets), "the stereo bit"
    assert sum(map(len, packets)) * 8 <= 1.5 * BIT_RATE


def test_every_packet_of_ours_is_one_frame_long():
    assert {packet_ticks(packet) for packet in encoded(tone(5))} == {FRAME_TICKS}


@pytest.mark.parametrize(
    ("payload", "ms"),
    [(b"", 20), (b"\x08", 20), (b"\x18", 60), (b"\x80", 2.5), (b"\xf8", 20), (b"\xf9", 40)],
)
def test_lengths_of_known_packets(payload, ms):
    assert packet_ticks(payload) == ms * 48


@given(st.binary(max_size=40))
def test_any_bytes_have_a_bounded_length_and_a_clear_fate(payload):
    assert 0 < packet_ticks(payload) <= MAX_PACKET_TICKS
    try:
        sound = OpusDecoder().decode(payload)
    except CodecError:
        return
    assert len(sound) <= MAX_PACKET_TICKS * 2
