"""What is still to be played, and what has been."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.media.errors import PlayoutFullError
from streaming.media.opus import FRAME_BYTES
from streaming.media.playout import SILENCE, Playout

FRAME_MS = 20


def sound(frames, value=1):
    return bytes([value]) * int(frames * FRAME_BYTES)


def test_nothing_to_play_is_silence():
    frame = Playout().next_frame()
    assert (frame.pcm, frame.started, frame.stopped) == (SILENCE, (), ())


def test_a_reply_starts_with_its_first_frame_and_stops_with_its_last():
    playout = Playout()
    playout.push("a", sound(2.5))
    frames = [playout.next_frame()]
    playout.finish("a")
    frames += [playout.next_frame() for _ in range(3)]
    assert [frame.started for frame in frames] == [("a",), (), (), ()]
    assert [frame.stopped for frame in frames] == [(), (), ("a",), ()]
    assert frames[2].pcm == sound(0.5) + SILENCE[FRAME_BYTES // 2 :]


def test_a_reply_that_runs_dry_has_not_stopped():
    playout = Playout()
    playout.push("a", sound(1))
    assert playout.next_frame().stopped == ()
    assert playout.next_frame().stopped == ()
    playout.finish("a")
    assert playout.next_frame().stopped == ("a",)


def test_only_silence_in_the_midst_of_a_reply_is_missing_sound():
    playout = Playout()
    missing = [playout.next_frame().missing_ms]  # nothing to play
    playout.push("a", sound(1.5))
    missing += [playout.next_frame().missing_ms for _ in range(3)]  # half a frame, then a whole one
    playout.push("a", sound(0.5))
    playout.finish("a")
    missing += [playout.next_frame().missing_ms for _ in range(2)]  # its end is no gap
    assert missing == [0.0, 0.0, 10.0, 20.0, 0.0, 0.0]


def test_a_reply_that_has_not_begun_misses_nothing():
    playout = Playout()
    playout.push("a", b"")
    assert playout.next_frame().missing_ms == 0.0


def test_two_replies_follow_each_other_without_a_gap():
    playout = Playout()
    playout.push("a", sound(1.5, 1))
    playout.finish("a")
    playout.push("b", sound(1, 2))
    playout.next_frame()
    frame = playout.next_frame()
    assert frame.pcm == sound(0.5, 1) + sound(0.5, 2)
    assert (frame.stopped, frame.started) == (("a",), ("b",))


def test_barge_in_says_how_much_of_each_was_played():
    playout = Playout()
    playout.push("a", sound(5))
    playout.finish("a")
    playout.push("b", sound(5))
    playout.next_frame()
    playout.next_frame()
    assert [(cut.response_id, cut.played_ms) for cut in playout.clear()] == [("a", 40), ("b", 0)]
    assert playout.next_frame().pcm == SILENCE
    assert playout.waiting_ms == 0
    assert playout.clear() == []


def test_too_much_waiting_speech_is_refused_by_its_limit():
    playout = Playout(max_waiting_s=1.0)
    playout.push("a", sound(50))
    with pytest.raises(PlayoutFullError, match="1 s"):
        playout.push("a", sound(1))


@given(st.lists(st.integers(1, 3000).map(lambda n: 2 * n), max_size=20))
def test_every_byte_is_played_once_in_order(sizes):
    playout, whole = Playout(), b""
    for size in sizes:
        piece = bytes((len(whole) + i) % 251 + 1 for i in range(size))
        whole += piece
        playout.push("a", piece)
    frames = [playout.next_frame().pcm for _ in range(len(whole) // FRAME_BYTES + 2)]
    assert b"".join(frames)[: len(whole)] == whole
    assert not any(b"".join(frames)[len(whole) :])
