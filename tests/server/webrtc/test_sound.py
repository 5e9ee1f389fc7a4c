"""Microphone and speaker by themselves: delay, loss, pacing, and work that gets in the way."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.telemetry.line import LineStats
from server.webrtc.errors import FloodError
from server.webrtc.microphone import Microphone
from server.webrtc.speaker import Speaker
from streaming.media.jitter import MAX_AHEAD_S, Packet
from streaming.media.opus import (
    FRAME_BYTES,
    FRAME_TICKS,
    MAX_PACKET_TICKS,
    OpusDecoder,
    OpusEncoder,
)
from streaming.media.playout import SILENCE, Playout
from tests.server.webrtc.rig import tone


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


def packets(count):
    encoder, sound = OpusEncoder(), tone(count * 0.020)
    return [
        Packet(
            sequence=number,
            timestamp=number * FRAME_TICKS,
            payload=encoder.encode(sound[number * FRAME_BYTES : (number + 1) * FRAME_BYTES]),
        )
        for number in range(count)
    ]


async def heard(microphone):
    async with asyncio.timeout(1):
        return len(await microphone.read()) // 2 / FRAME_TICKS


async def test_a_packet_is_heard_in_the_moment_it_comes():
    clock = Clock()
    microphone = Microphone(clock)
    for packet in packets(20):
        microphone.receive(1, packet)
        assert await heard(microphone) == 1
        clock.now_s += 0.020


async def test_one_lost_packet_costs_40_ms_once_and_is_silence_in_time():
    clock = Clock()
    microphone = Microphone(clock)
    frames = 0.0
    for packet in packets(60):
        if packet.sequence != 20:
            microphone.receive(1, packet)
            waits = 20 < packet.sequence < 23
            if not waits:
                frames += await heard(microphone)
                assert frames == packet.sequence + 1, "nothing is held back"
        clock.now_s += 0.020
    assert microphone.counted(LineStats()).lost_in == 1


async def test_another_source_is_followed_at_once():
    clock = Clock()
    microphone = Microphone(clock)
    first, second = packets(2)
    microphone.receive(1, first)
    assert await heard(microphone) == 1
    far = Packet(sequence=60_000, timestamp=7, payload=second.payload)
    microphone.receive(2, far)
    assert await heard(microphone) == 1


async def test_what_is_no_opus_is_silence_of_its_length():
    microphone = Microphone(Clock())
    microphone.receive(1, Packet(sequence=0, timestamp=0, payload=b"\xff\xff\xff"))
    sound = await microphone.read()
    assert len(sound) > 0
    assert not any(sound)


async def test_sound_faster_than_time_is_refused_by_its_limit():
    microphone = Microphone(Clock())
    for packet in packets(300):
        microphone.receive(1, packet)
    await microphone.read()
    with pytest.raises(FloodError, match=r"5 s ahead .*\(max_sound_ahead_s\)"):
        await microphone.read()


async def test_sound_that_nobody_takes_is_bounded():
    clock = Clock()
    microphone = Microphone(clock)
    for packet in packets(600):
        microphone.receive(1, packet)
        clock.now_s += 0.020
    with pytest.raises(FloodError, match=r"10 s of sound .*\(max_waiting_sound_s\)"):
        await microphone.read()


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 65_535),
            st.integers(0, 2**32 - 1),
            st.binary(max_size=60),
        ),
        max_size=60,
    )
)
async def test_any_packets_are_taken_in_bounds(wild):
    clock = Clock()
    microphone = Microphone(clock)
    ticks = 0
    for ssrc, sequence, timestamp, payload in wild:
        microphone.receive(ssrc, Packet(sequence=sequence, timestamp=timestamp, payload=payload))
        clock.now_s += 0.020
        if microphone._sound:
            ticks += len(await microphone.read()) // 2
    # Each of the sources may be ahead of time by a little, and begin anew.
    assert ticks <= len(wild) * (MAX_AHEAD_S * 48_000 + MAX_PACKET_TICKS)


class Listener:
    """Pulls packets from a speaker as aiortc does, and notes when."""

    def __init__(self, playout):
        self.executor = ThreadPoolExecutor(1)
        self.played = []  # each frame
        self.speaker = Speaker(
            playout, self.executor, watch=lambda frame, *_: self.played.append(frame)
        )
        self.packets = []

    async def pull(self, count):
        for _ in range(count):
            packet = await self.speaker.recv()
            self.packets.append((time.monotonic(), packet.pts, bytes(packet)))
        self.executor.shutdown()


def lateness_s(listener):
    start_s = listener.packets[0][0]
    return [at_s - start_s - pts / 48_000 for at_s, pts, _ in listener.packets]


async def test_packets_leave_every_20_ms_with_silence_where_nothing_is_said():
    playout = Playout()
    listener = Listener(playout)
    playout.push("a", tone(0.2))
    await listener.pull(50)
    steps = [after - before for before, after in pairwise(pts for _, pts, _ in listener.packets)]
    # More than one frame at a time only where this machine stood still for more than 0.2 s.
    assert all(step == FRAME_TICKS or step > 10 * FRAME_TICKS for step in steps)
    assert sorted(lateness_s(listener))[25] < 0.020
    decoder = OpusDecoder()
    loud = [
        np.abs(np.frombuffer(decoder.decode(data), dtype="<i2").astype(int)).max() > 500
        for _, _, data in listener.packets
    ]
    assert sum(loud[:12]) >= 9
    assert not any(loud[15:])


async def test_no_other_work_starves_the_speaker():
    """The loop's own executor is full of sleepers: aiortc's encoder would wait behind them."""
    loop = asyncio.get_running_loop()
    sleepers = [loop.run_in_executor(None, time.sleep, 1.0) for _ in range(64)]
    listener = Listener(Playout())
    await listener.pull(25)
    assert max(lateness_s(listener)) < 0.2
    for sleeper in sleepers:
        sleeper.cancel()


async def test_a_flush_is_heard_within_one_frame():
    playout = Playout()
    listener = Listener(playout)
    playout.push("a", tone(10))
    pulling = asyncio.create_task(listener.pull(30))
    await asyncio.sleep(0.2)
    playout.clear()
    before = len(listener.played)
    await pulling
    sounds = [frame.pcm != SILENCE for frame in listener.played]
    assert any(sounds[:before])
    assert sum(sounds[before:]) <= 1, "one may have been on its way to the encoder"
