"""When a caller's frames leave, how late they are said to be, and what counts from when."""

import asyncio

import numpy as np
import pytest

from clients.python.errors import ConnectionFailed
from server.bench.load.line import MOST_BEHIND_S, Pace, Punctuality, SocketLine
from server.bench.load.speech import Voice, socket_utterance, spoken
from tests.virtual_time import on_virtual_time

FRAME_S = 0.04


def paced_with_a_stall(stall_s):
    """Ten frames, a stall, ten frames: what is said of them, when each was due, when it left."""
    punctuality = Punctuality()

    async def microphone():
        loop = asyncio.get_running_loop()
        pace = Pace(FRAME_S, punctuality)
        moments = []
        for number in range(20):
            if number == 10:
                await asyncio.sleep(stall_s)
            moments.append((await pace.next(), loop.time()))
        return moments

    due, left = zip(*on_virtual_time(microphone()), strict=True)
    return punctuality.figures(), due, left


def test_a_punctual_microphone():
    figures, due, left = paced_with_a_stall(0.0)
    assert (figures.frames, figures.late_frames) == (20, 0)
    assert figures.worst_s == pytest.approx(0.0)
    assert due == left == pytest.approx([n * FRAME_S for n in range(20)])


def test_after_a_short_stall_all_frames_leave_and_those_behind_are_late():
    figures, due, left = paced_with_a_stall(0.21)
    # Due after 0.04 s and so on; the fifth of them left 10 ms late, which is in time.
    assert (figures.frames, figures.late_frames) == (20, 4)
    assert figures.worst_s == pytest.approx(0.17)
    assert left[10:15] == pytest.approx([0.36 + 0.21] * 5)
    # What is said in them was said when they were due.
    assert due == pytest.approx([n * FRAME_S for n in range(20)])


def test_every_frame_that_a_long_stall_left_out_is_a_late_one():
    stall_s = 4.03
    assert stall_s > MOST_BEHIND_S
    figures, due, left = paced_with_a_stall(stall_s)
    # A hundred frames were due in it; the last of them left, 30 ms late, and 99 never did.
    assert (figures.frames, figures.late_frames) == (20 + 99, 99 + 1)
    assert figures.worst_s == pytest.approx(stall_s - FRAME_S)
    assert left[10] == pytest.approx(0.36 + stall_s)
    assert due[10] == pytest.approx(0.36 + stall_s - 0.03)
    assert figures.late_share > 0.8


class Held:
    """A connection that holds up the sixth frame, the last but one of what is said."""

    def __init__(self):
        self.frames = 0

    async def append_audio(self, pcm):
        self.frames += 1
        if self.frames == 6:
            await asyncio.sleep(0.3)
        if self.frames == 8:
            raise ConnectionFailed("the end of the script")


def test_a_line_that_holds_frames_up_does_not_move_the_end_of_what_was_said():
    voice = Voice(socket_utterance(spoken(np.zeros(960, np.int16))))

    async def speaking():
        began_s = asyncio.get_running_loop().time()
        saying = voice.say(socket_utterance(spoken(np.full(7 * 960, 9000, np.int16))))
        await SocketLine(Held(), voice).speak(Punctuality())
        return saying.ended_at_s - began_s

    # The first frame is due at once, the seventh six frames later.
    assert on_virtual_time(speaking()) == pytest.approx(6 * FRAME_S)
