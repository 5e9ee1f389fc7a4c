"""Frames and when they are due."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.media.formats import PCM_24K, PCMU
from streaming.media.framing import Framer, frame_bytes, paced


def test_a_frame_of_20_ms():
    assert frame_bytes(PCM_24K, 20) == 960
    assert frame_bytes(PCMU, 20) == 160


def test_a_frame_is_due_when_its_last_sample_was_spoken():
    frames = list(paced(bytes(960 * 2 + 480), PCM_24K))
    assert [len(frame.audio) for frame in frames] == [960, 960, 480]
    assert [frame.due_s for frame in frames] == pytest.approx([0.02, 0.04, 0.05])


@given(st.binary(max_size=5000), st.sampled_from([10, 20, 100]))
def test_pacing_loses_nothing_and_never_drifts(audio, frame_ms):
    frames = list(paced(audio, PCMU, frame_ms=frame_ms))
    assert b"".join(frame.audio for frame in frames) == audio
    assert all(frame.audio for frame in frames)
    sent = 0
    for frame in frames:
        sent += len(frame.audio)
        assert frame.due_s == sent / 8000


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(1, 40))
def test_framing_does_not_depend_on_the_pieces(pieces, size):
    framer = Framer(size)
    frames = [frame for piece in pieces for frame in framer.push(piece)]
    assert all(len(frame) == size for frame in frames)
    assert framer.waiting_bytes < size
    assert b"".join(frames) + framer.finish() == b"".join(pieces)
    assert framer.finish() == b""


def test_clear_forgets_what_waits():
    framer = Framer(4)
    framer.push(b"abc")
    framer.clear()
    assert framer.push(b"defg") == [b"defg"]
