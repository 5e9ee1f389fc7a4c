"""When a caller's frames leave, and how late they are said to be."""

import asyncio

import pytest

from server.bench.load.line import MOST_BEHIND_S, Pace, Punctuality
from tests.virtual_time import on_virtual_time

FRAME_S = 0.04


def paced_with_a_stall(stall_s):
    """Ten frames, a stall, ten frames: what is said of them, and when each left."""
    punctuality = Punctuality()

    async def microphone():
        pace = Pace(FRAME_S, punctuality)
        moments = [await pace.next() for _ in range(10)]
        await asyncio.sleep(stall_s)
        return [*moments, *[await pace.next() for _ in range(10)]]

    moments = on_virtual_time(microphone())
    return punctuality.figures(), moments


def test_a_punctual_microphone():
    figures, moments = paced_with_a_stall(0.0)
    assert (figures.frames, figures.late_frames) == (20, 0)
    assert figures.worst_s == pytest.approx(0.0)
    assert moments == pytest.approx([n * FRAME_S for n in range(20)])


def test_after_a_short_stall_all_frames_leave_and_those_behind_are_late():
    figures, moments = paced_with_a_stall(0.21)
    # Due after 0.04 s and so on; the fifth of them left 10 ms late, which is in time.
    assert (figures.frames, figures.late_frames) == (20, 4)
    assert figures.worst_s == pytest.approx(0.17)
    assert moments[10:15] == pytest.approx([0.36 + 0.21] * 5)


def test_every_frame_that_a_long_stall_left_out_is_a_late_one():
    stall_s = 4.03
    assert stall_s > MOST_BEHIND_S
    figures, moments = paced_with_a_stall(stall_s)
    # A hundred frames were due in it; the last of them left, 30 ms late, and 99 never did.
    assert (figures.frames, figures.late_frames) == (20 + 99, 99 + 1)
    assert figures.worst_s == pytest.approx(stall_s - FRAME_S)
    assert moments[10] == pytest.approx(0.36 + stall_s)
    assert figures.late_share > 0.8
