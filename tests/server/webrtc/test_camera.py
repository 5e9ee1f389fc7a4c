"""A camera in a call: sampled pictures with a position in time, and clear words when it is off."""

import asyncio
import math

import numpy as np
import pytest

from streaming.engine.messages.commands import AddItem, UserAudio, UserAudioStop, UserFrame
from streaming.engine.messages.content import TextPart
from tests.server.webrtc.rig import CameraTrack, calling, question

SEES = ("text", "audio", "image", "video")


def brightness(frames):
    return [np.frombuffer(frame.pixels, np.uint8).mean() for frame in frames]


async def test_a_filmed_turn_has_its_pictures_before_the_sound_of_their_time():
    async with calling(inputs=SEES, camera_fps=4) as rig:
        peer = rig.peer(camera=CameraTrack())
        await peer.call()
        await peer.until("conversation.created")
        peer.voice.say(np.concatenate([np.zeros(24_000, np.int16), question()]))
        await peer.until("input_audio_buffer.committed")
        turn = [m for m in rig.engine.heard if getattr(m, "item_id", None)]
        item_id = rig.engine.of(UserAudioStop)[0].item_id
        frames, heard_ms = [], 0
        for message in turn:
            match message:
                case UserFrame(item_id=name, frame=frame, frames_per_second=fps):
                    assert (name, fps) == (item_id, 4)
                    # No picture is later than its sound, and none is missing when that comes.
                    frames.append(frame)
                case UserAudio(pcm=pcm):
                    heard_ms += len(pcm) // 64
                    assert len(frames) == math.ceil(heard_ms * 4 / 1000)
        assert len(frames) > 4
        assert {(frame.rows, frame.columns) for frame in frames} == {(120, 160)}
        seen = brightness(frames)
        assert seen == sorted(seen)
        assert seen[-1] > seen[0]


async def test_a_cameras_pictures_are_scaled_down_to_what_the_settings_say():
    async with calling(inputs=SEES, camera_pixels=40 * 30 + 10) as rig:
        peer = rig.peer(camera=CameraTrack())
        await peer.call()
        await peer.until("conversation.created")
        peer.voice.say(question())
        await peer.until("input_audio_buffer.committed")
        frames = rig.engine.of(UserFrame)
        assert {(m.frame.rows, m.frame.columns) for m in frames} == {(30, 40)}


async def test_what_the_camera_saw_in_silence_comes_with_a_typed_message_thinned():
    async with calling(inputs=SEES, camera_fps=8, quiet_video_tokens=256) as rig:
        peer = rig.peer(camera=CameraTrack())
        await peer.call()
        await peer.until("conversation.created")
        metrics = rig.gateway.telemetry.metrics.registry
        async with asyncio.timeout(30):
            # A second and more of sound, for ten pictures at eight a second.
            while metrics.get_sample_value("omnilive_video_frames_sampled_total") < 10:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        content = [{"type": "input_text", "text": "What is it?"}]
        item = {"type": "message", "role": "user", "content": content}
        peer.send("conversation.item.create", item=item)
        added = (await peer.until("conversation.item.added"))[-1]["item"]
        assert [part["type"] for part in added["content"]] == ["input_text"]
        (message,) = rig.engine.of(AddItem)
        video, words = message.parts
        assert words == TextPart(text="What is it?")
        assert len(video.frames) == 4, "64 tokens each"
        assert video.pcm is None
        seen = brightness(video.frames)
        assert seen == sorted(seen)
        # At its own pace: of a second or more there are four.
        assert 0.5 < video.frames_per_second <= 4


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
