"""Calls between real peers: a spoken turn, barge-in, and every way in which a call ends."""

import asyncio
import logging

import pytest

from server.errors import EngineLostError
from streaming.engine.messages.commands import (
    CancelResponse,
    Respond,
    TruncateItem,
    UserAudio,
    UserAudioStop,
)
from streaming.engine.messages.events import AudioDelta, ResponseDone
from tests.server.telemetry.rig import value
from tests.server.webrtc.rig import ScriptedEngine, calling, question, tone

logger = logging.getLogger("omnilive.tests")

MANUAL = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}


async def test_a_spoken_turn_from_offer_to_silence():
    async with calling(speech_s=0.6) as rig:
        peer = rig.peer()
        location = await peer.call()
        assert location.startswith("/v1/realtime/calls/rtc_")
        assert (await peer.hear())["type"] == "session.created"
        assert (await peer.hear())["type"] == "conversation.created"
        peer.voice.say(question())
        kinds = [event["type"] for event in await peer.until("output_audio_buffer.stopped")]
        assert "response.output_audio.delta" not in kinds
        order = [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "response.created",
            "response.content_part.added",
            "output_audio_buffer.started",
            "output_audio_buffer.stopped",
        ]
        assert [kind for kind in kinds if kind in order] == order
        assert kinds.index("response.done") < kinds.index("output_audio_buffer.stopped")
        await asyncio.sleep(0.4)  # the peer's own jitter buffer
        loud = peer.loud()
        assert 0.5 <= sum(samples for _, samples in loud) / 48_000 <= 0.8
        assert rig.engine.of(UserAudio)
        assert not rig.engine.of(TruncateItem)


async def test_barge_in_silences_the_peer_and_cuts_what_was_not_played():
    async with calling(speech_s=20.0) as rig:
        peer = rig.peer()
        await peer.call()
        await peer.until("conversation.created")
        peer.send("response.create")
        await peer.until("output_audio_buffer.started")
        await asyncio.sleep(1.0)
        peer.voice.say(question())
        events = await peer.until("output_audio_buffer.cleared")
        assert events[-2]["type"] == "input_audio_buffer.speech_started"
        truncated = (await peer.until("conversation.item.truncated"))[-1]
        await asyncio.sleep(0.3)
        last_loud_s = peer.loud()[-1][0]
        latency_s = last_loud_s - peer.voice.spoke_at_s
        logger.info("barge-in: %.0f ms from speech onset to the last sound", latency_s * 1000)
        assert latency_s < 0.6
        heard_ms = 1000 * sum(samples for _, samples in peer.loud()) / 48_000
        assert abs(truncated["audio_end_ms"] - heard_ms) < 200
        (cut,) = rig.engine.of(TruncateItem)
        assert cut.audio_end_ms == truncated["audio_end_ms"]


async def test_a_reply_that_was_cancelled_before_it_was_heard_is_over_with_its_end():
    def answers(message):
        match message:
            case CancelResponse(conversation_id=name, response_id=response):
                reply = {"conversation_id": name, "response_id": response}
                return (
                    AudioDelta(**reply, pcm=tone(0.5)),
                    ResponseDone(**reply, status="cancelled"),
                )
            case Respond():
                return ()
        return ScriptedEngine.answers(rig.engine, message)

    async with calling() as rig:
        rig.engine.answers = answers
        peer = rig.peer()
        await peer.call()
        await peer.until("conversation.created")
        peer.send("response.create")
        await peer.until("response.created")
        peer.send("response.cancel")
        await peer.until("response.done")
        ended = {"status": "cancelled", "transport": "webrtc"}
        assert value(rig.gateway.telemetry.metrics, "responses_total", **ended) == 1


async def test_session_options_beside_the_offer_are_in_force_at_once():
    async with calling() as rig:
        peer = rig.peer()
        await peer.call(session={**MANUAL, "instructions": "Sing."})
        created = await peer.hear()
        assert created["session"]["instructions"] == "Sing."
        assert created["session"]["audio"]["input"]["turn_detection"] is None
        peer.send("session.update", session={"type": "realtime", "instructions": "Hum."})
        assert (await peer.until("session.updated"))[-1]["session"]["instructions"] == "Hum."


async def test_a_call_that_is_only_written_down():
    async with calling() as rig:
        peer = rig.peer()
        await peer.call(session={"type": "transcription"})
        assert (await peer.hear())["session"]["type"] == "transcription"
        peer.voice.say(question())
        item = (await peer.until("conversation.item.done"))[-1]["item"]
        done = (await peer.until("conversation.item.input_audio_transcription.completed"))[-1]
        assert (done["item_id"], done["transcript"]) == (item["id"], "What is it?")
        assert not rig.engine.of(Respond)


async def test_a_response_tells_what_is_left_of_the_allowance():
    async with calling(max_openings_per_address=6) as rig:
        for left in (5, 4):
            peer = rig.peer()
            await peer.call()
            await peer.until("conversation.created")
            peer.send("response.create")
            (told,) = (await peer.until("rate_limits.updated"))[-1]["rate_limits"]
            assert (told["name"], told["limit"], told["remaining"]) == ("requests", 6, left)
            assert 10 * (6 - left) - 10 < told["reset_seconds"] <= 10 * (6 - left)


async def test_push_to_talk():
    async with calling(speech_s=0.2) as rig:
        peer = rig.peer()
        await peer.call(session=MANUAL)
        await peer.until("conversation.created")
        await asyncio.sleep(0.5)
        assert not rig.engine.of(UserAudio), "a muted microphone opens no turn"
        peer.voice.say(question())
        await asyncio.sleep(1.0)
        peer.send("input_audio_buffer.commit")
        peer.send("response.create")
        await peer.until("output_audio_buffer.stopped")
        assert len(rig.engine.of(UserAudioStop)) == 1


async def test_a_call_is_hung_up_once():
    async with calling() as rig:
        peer = rig.peer()
        location = await peer.call()
        await peer.until("conversation.created")
        assert (await rig.http.post(location + "/hangup")).status_code == 200
        async with asyncio.timeout(5):
            await peer.closed.wait()
        await rig.until_empty()
        reply = await rig.http.post(location + "/hangup")
        assert reply.status_code == 404
        assert reply.json()["error"]["code"] == "call_not_found"


async def test_a_peer_that_closes_is_cleaned_up():
    async with calling() as rig:
        peer = rig.peer()
        await peer.call()
        await peer.until("conversation.created")
        await peer.close()
        await rig.until_empty()


async def test_a_call_that_never_connects_is_dropped_in_time():
    async with calling(call_connect_timeout_s=0.5) as rig:
        peer = rig.peer()
        sdp = await peer.offer()
        headers = {"content-type": "application/sdp"}
        reply = await rig.http.post("/v1/realtime/calls", content=sdp, headers=headers)
        assert reply.status_code == 201
        assert len(rig.gateway.calls) == 1
        await rig.until_empty(5.0)


async def test_a_peer_that_vanishes_is_noticed(monkeypatch):
    # aioice asks every 5 s and gives up after 6 times: half a minute, here a second.
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 0.2)
    monkeypatch.setattr("aioice.ice.CONSENT_FAILURES", 2)
    async with calling() as rig:
        peer = rig.peer()
        await peer.call()
        await peer.until("conversation.created")
        transport = peer.pc.getTransceivers()[0].sender.transport.transport
        for protocol in transport._connection._protocols:
            protocol.transport.abort()  # no goodbye of any kind
        await rig.until_empty(20.0)


async def test_the_engine_that_loses_a_conversation_ends_its_call_with_words():
    async with calling() as rig:
        peer = rig.peer()
        await peer.call()
        await peer.until("conversation.created")
        (name,) = rig.gateway.conversations
        rig.engine.lose(name)
        error = (await peer.until("error"))[-1]["error"]
        assert error["code"] == EngineLostError.code
        await rig.until_empty()


async def test_a_full_engine_is_an_http_error():
    async with calling() as rig:
        rig.engine.refusal = "no slot is free"
        peer = rig.peer()
        with pytest.raises(Exception, match="no slot is free"):
            await peer.call()
        assert not rig.gateway.conversations


@pytest.mark.parametrize(
    ("limit", "code"),
    [({"max_session_s": 1}, "session_expired"), ({"idle_timeout_s": 1}, "session_idle")],
)
async def test_a_session_ends_at_its_limits_and_names_them(limit, code):
    async with calling(**limit) as rig:
        peer = rig.peer()
        await peer.call()
        error = (await peer.until("error"))[-1]["error"]
        assert error["code"] == code
        assert next(iter(limit)) in error["message"]
        await rig.until_empty()


async def test_a_call_without_a_data_channel_talks_all_the_same():
    async with calling(speech_s=0.4) as rig:
        peer = rig.peer(channel=False)
        await peer.call()
        peer.voice.say(question())
        async with asyncio.timeout(15):
            while not peer.loud():  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_the_servers_end_ends_its_calls():
    async with calling() as rig:
        peer = rig.peer()
        await peer.call()
        await peer.until("conversation.created")
        await rig.gateway.calls.close()
        assert not rig.gateway.conversations
        async with asyncio.timeout(5):
            await peer.closed.wait()
