"""The operator page over HTTP: off without a key, shut without the right one, and what it tells."""

import re

import pytest

from server.telemetry.journal import MAX_REPLIES, Journal
from server.telemetry.ops import FILES
from server.telemetry.reply_watch import ReplyReport
from streaming.engine.messages.events import Usage
from streaming.engine.messages.load import EngineLoad
from tests.server.webrtc.rig import calling, question

KEY = "an operator's key"
ADMIN = {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize("path", ["/ops", "/ops/ops.js", "/ops/state"])
async def test_without_a_key_in_the_settings_there_is_no_page(path):
    async with calling() as rig:
        answer = await rig.http.get(path, headers=ADMIN)
        assert answer.status_code == 404
        assert "admin_key" in answer.json()["error"]["message"]


async def test_the_page_and_everything_it_names():
    async with calling(admin_key=KEY) as rig:
        answer = await rig.http.get("/ops")
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        named = re.findall(r'(?:src|href)="(/[^"]+)"', answer.text)
        assert {"/ops/ops.js", "/ops/ops.css"} <= set(named)
        for path in named:
            assert (await rig.http.get(path)).status_code == 200, path
        assert (await rig.http.get("/ops/nothing.js")).status_code == 404
        for content in FILES.values():
            assert b"http://" not in content
            assert b"https://" not in content


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer another key"}])
async def test_the_state_is_only_for_who_has_the_key(headers):
    # Nor does a client's own key open it.
    async with calling(admin_key=KEY, api_keys="another key") as rig:
        answer = await rig.http.get("/ops/state", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"


async def test_whoever_guesses_the_key_is_slowed_down():
    async with calling(admin_key=KEY, max_openings_per_address=2) as rig:
        wrong = {"Authorization": "Bearer a guess of somebody's"}
        tries = [(await rig.http.get("/ops/state", headers=wrong)).status_code for _ in range(3)]
        assert tries == [401, 401, 429]
        assert (await rig.http.get("/ops/state", headers=ADMIN)).status_code == 200


async def test_it_tells_who_is_there_and_how_the_last_turns_went():
    async with calling(speech_s=0.4, admin_key=KEY) as rig:
        rig.engine.load = EngineLoad(
            replies_running=1, thinker_tokens=10, thinker_capacity=100, fullest_tokens=8_192
        )
        peer = rig.peer()
        await peer.call()
        peer.voice.say(question())
        await peer.until("output_audio_buffer.stopped")
        state = (await rig.http.get("/ops/state", headers=ADMIN)).json()
        (session,) = state["sessions"]
        assert session["transport"] == "webrtc"
        assert session["state"] == "listening"
        assert session["turns"] == 1
        (reply,) = state["replies"]
        assert reply["status"] == "completed"
        assert reply["conversation_id"] == session["conversation_id"]
        assert reply["ttfa_s"] == session["last_ttfa_s"] > 0
        figures = {figure["name"]: figure for figure in state["percentiles"]}
        assert figures["ttfa"]["count"] == 1
        assert figures["ttfa"]["p50_s"] == figures["ttfa"]["p99_s"] == reply["ttfa_s"]
        assert figures["endpoint_delay"]["p50_s"] < reply["ttfa_s"]
        assert state["engine"]["is_up"]
        assert state["engine"]["kv_ratio"] == 0.1
        assert state["engine"]["context_ratio"] == 0.25
        assert "what was said" not in str(state)  # the reply's words are nobody's business


async def test_an_engine_that_says_nothing_is_not_up():
    async with calling(admin_key=KEY) as rig:
        for silent_s, is_up in ((1.0, True), (rig.engine.silence_limit_s + 1, False)):
            rig.engine.silent_s = silent_s
            engine = (await rig.http.get("/ops/state", headers=ADMIN)).json()["engine"]
            assert (engine["is_up"], engine["silent_s"]) == (is_up, silent_s)


def report(**changed):
    fields = {
        "conversation_id": "c",
        "response_id": "r",
        "model": "m",
        "transport": "websocket",
        "turn_detection": "server_vad",
        "status": "completed",
        "usage": Usage(),
        "began_s": 0.0,
        "asked_s": 0.5,
        "ended_s": 3.0,
        "ttfa_s": 0.8,
        "stages": {"endpointing": 0.5, "queue": 0.3},
        "first_text_s": 0.1,
        "first_packet_s": 0.3,
        "whole_s": 2.0,
        "queue_wait_s": 0.0,
        "sound_s": 2.0,
        "making_s": 1.0,
        "underrun_s": 0.0,
        "cancel_s": None,
    }
    return ReplyReport(**fields | changed)


def test_percentiles_are_values_that_were_there():
    journal = Journal()
    for number in range(1, 101):
        journal.reply_ended(report(ttfa_s=number / 100))
    ttfa = journal.percentiles()[0]
    assert ttfa == {"name": "ttfa", "count": 100, "p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99}


def test_only_the_last_replies_are_kept():
    journal = Journal()
    for number in range(MAX_REPLIES + 5):
        journal.reply_ended(report(response_id=str(number)))
    replies = journal.replies()
    assert len(replies) == MAX_REPLIES
    assert replies[0]["response_id"] == str(MAX_REPLIES + 4)
    assert replies[0]["rtf"] == 0.5


def test_a_reply_to_nothing_that_was_said_shows_what_is_known_of_it():
    journal = Journal()
    journal.reply_ended(report(ttfa_s=None, stages={}, turn_detection=None))
    (reply,) = journal.replies()
    parts = {part["stage"]: part["s"] for part in reply["stages"]}
    assert parts == {"to_first_text": 0.1, "to_first_sound": pytest.approx(0.2)}
