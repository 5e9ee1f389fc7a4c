"""A call's counts as metrics, and those of a real call."""

import asyncio

import pytest

from server.telemetry.line import LineStats, LineWatch
from tests.server.telemetry.rig import Meters, value
from tests.server.webrtc.rig import CameraTrack, PeerError, calling, question


def test_only_what_has_happened_since_the_last_look_is_added():
    meters = Meters()
    line = LineWatch(meters.metrics.line, meters.metrics.camera)
    line.look(LineStats(received=10, lost_in=1, jitter_in_s=0.002, sent=20))
    line.look(LineStats(received=15, lost_in=1, jitter_in_s=0.002, sent=30))
    line.look(LineStats(received=15, lost_in=1, jitter_in_s=0.002, sent=40))
    assert meters.value("rtc_packets_total", direction="in") == 15
    assert meters.value("rtc_packets_total", direction="out") == 40
    assert meters.value("rtc_packets_lost_total", direction="in") == 1
    assert meters.value("rtc_jitter_seconds_count", direction="in") == 2  # nothing came at last


def test_each_report_of_the_peer_counts_once():
    meters = Meters()
    line = LineWatch(meters.metrics.line, meters.metrics.camera)
    line.look(LineStats(reported=1, lost_out=2, jitter_out_s=0.004))
    line.look(LineStats(reported=1, lost_out=2, jitter_out_s=0.004, rtt_s=0.05))
    line.look(LineStats(reported=2, lost_out=3, jitter_out_s=0.004, rtt_s=0.05))
    assert meters.value("rtc_rtt_seconds_count") == 1
    assert meters.value("rtc_packets_lost_total", direction="out") == 3
    assert meters.value("rtc_jitter_seconds_count", direction="out") == 2


def test_counts_of_a_new_source_begin_anew():
    meters = Meters()
    line = LineWatch(meters.metrics.line, meters.metrics.camera)
    line.look(LineStats(given=100, held_s=1.0))
    line.look(LineStats(given=5, held_s=0.25))
    assert meters.value("jitter_buffer_packets_total") == 105
    assert meters.value("jitter_buffer_delay_seconds_total") == 1.25


def test_pictures_are_counted_as_they_come_are_kept_and_go():
    meters = Meters()
    line = LineWatch(meters.metrics.line, meters.metrics.camera)
    for is_kept, thinned in ((True, 0), (False, 0), (True, 3), (True, 3)):
        line.saw(is_kept=is_kept, thinned=thinned)
    assert meters.value("video_frames_received_total") == 4
    assert meters.value("video_frames_sampled_total") == 3
    assert meters.value("video_frames_dropped_total", reason="thinned") == 3


async def test_a_real_call_from_its_connection_to_its_end():
    async with calling(speech_s=0.4, inputs=("text", "audio", "video")) as rig:
        metrics = rig.gateway.telemetry.metrics
        peer = rig.peer(camera=CameraTrack())
        location = await peer.call()
        peer.voice.say(question())
        await peer.until("output_audio_buffer.stopped")
        assert value(metrics, "sessions_active", transport="webrtc") == 1
        await rig.http.post(location + "/hangup")
        await asyncio.wait_for(peer.closed.wait(), 10)
        await rig.until_empty()
        felt = {"transport": "webrtc", "turn_detection": "server_vad"}
        assert value(metrics, "ttfa_seconds_count", **felt) == 1
        # The detector waits for a silence, and all of it is felt.
        delay_s = value(metrics, "vad_endpoint_delay_seconds_sum", turn_detection="server_vad")
        assert value(metrics, "ttfa_seconds_sum", **felt) > delay_s > 0
        assert value(metrics, "call_connect_seconds_count") == 1
        assert value(metrics, "rtc_packets_total", direction="in") > 50
        assert value(metrics, "rtc_packets_total", direction="out") > 50
        assert value(metrics, "rtc_jitter_seconds_count", direction="in") >= 1
        assert value(metrics, "jitter_buffer_packets_total") > 50
        assert value(metrics, "pacing_lateness_seconds_count") > 50
        assert value(metrics, "video_frames_received_total") > 5
        assert value(metrics, "video_frames_sampled_total") >= 2
        assert value(metrics, "sessions_active", transport="webrtc") == 0
        ended = {"transport": "webrtc", "reason": "call_ended"}
        assert value(metrics, "sessions_ended_total", **ended) == 1


async def test_a_call_that_is_not_taken_is_a_refusal():
    async with calling(max_conversations=1) as rig:
        metrics = rig.gateway.telemetry.metrics
        rig.engine.refusal = "no room"
        with pytest.raises(PeerError, match="no room"):
            await rig.peer().call()
        assert value(metrics, "refusals_total", transport="webrtc", reason="server_full") == 1
        reply = await rig.http.post("/v1/realtime/calls", content="?", headers={"x": "y"})
        assert reply.status_code == 415
        wrong = {"transport": "webrtc", "reason": "unsupported_content_type"}
        assert value(metrics, "refusals_total", **wrong) == 1
        assert value(metrics, "sessions_total", transport="webrtc") == 0
