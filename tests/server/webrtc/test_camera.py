"""A camera in a call: sampled pictures with a position in time, and clear words when it is off."""

import asyncio
from itertools import pairwise

import pytest

from tests.server.webrtc.rig import CameraTrack, calling

SEES = ("text", "audio", "image", "video")


def open_calls(rig):
    return list(rig.gateway.calls._calls.values())


async def test_pictures_are_sampled_scaled_and_placed_in_the_time_of_the_sound():
    async with calling(inputs=SEES, camera_fps=4.0) as rig:
        peer = rig.peer(camera=CameraTrack())
        await peer.call()
        await peer.until("conversation.created")
        (call,) = open_calls(rig)
        async with asyncio.timeout(30):
            while len(call.camera.album) < 5:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        frames = call.camera.album.take()
        times = [frame.at_ms for frame in frames]
        assert times == sorted(times)
        assert all(after - before >= 150 for before, after in pairwise(times))
        assert times[-1] <= call._heard_samples // 48
        assert {frame.pixels.shape for frame in frames} == {(120, 160, 3)}
        brightness = [float(frame.pixels.mean()) for frame in frames]
        assert brightness == sorted(brightness)
        assert brightness[-1] > brightness[0]


async def test_a_model_without_eyes_says_so_and_the_call_goes_on():
    async with calling() as rig:
        peer = rig.peer(camera=CameraTrack())
        await peer.call()
        error = (await peer.until("error"))[-1]["error"]
        assert error["code"] == "camera_off"
        assert "text and audio, not video" in error["message"]
        assert "a=inactive" in peer.answer
        peer.send("session.update", session={"type": "realtime", "instructions": "Hum."})
        await peer.until("session.updated")


async def test_a_camera_that_is_too_large_is_turned_off_by_its_limit():
    async with calling(inputs=SEES, max_frame_pixels=10_000) as rig:
        peer = rig.peer(camera=CameraTrack())
        await peer.call()
        error = (await peer.until("error"))[-1]["error"]
        assert error["code"] == "camera_off"
        assert "10000 (max_frame_pixels)" in error["message"]
        peer.send("session.update", session={"type": "realtime", "instructions": "Hum."})
        await peer.until("session.updated")


@pytest.mark.parametrize("inputs", [SEES, ("text", "audio")])
async def test_a_camera_leaves_nothing_behind(inputs):
    async with calling(inputs=inputs, call_connect_timeout_s=3.0) as rig:
        peer = rig.peer(camera=CameraTrack())
        await peer.call()
        await peer.close()
        await rig.until_empty()
