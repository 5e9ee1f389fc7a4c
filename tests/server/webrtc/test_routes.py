"""The HTTP side of calls: what is taken, what is refused and in which words."""

import asyncio
import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.clock import unix_s
from server.errors import SettingsError
from server.settings import load_settings
from server.webrtc.errors import OfferError
from server.webrtc.ice import IceServers
from server.webrtc.offer import MAX_MESSAGE_BYTES, read_offer
from streaming.engine.messages.commands import OpenConversation
from streaming.engine.messages.events import ConversationOpened
from tests.server.webrtc.rig import Asking, Peer, calling

CALLS = "/v1/realtime/calls"
SDP = {"content-type": "application/sdp"}


@pytest.fixture
async def offer():
    peer = Peer(None)
    try:
        yield await peer.offer()
    finally:
        await peer.close()


async def refused(rig, **request):
    reply = await rig.http.post(CALLS, **request)
    error = reply.json()["error"]
    assert {"message", "type", "code", "param"} == set(error)
    assert not rig.gateway.conversations
    return reply.status_code, error


def without(sdp, *starts):
    return "".join(line + "\r\n" for line in sdp.splitlines() if not line.startswith(starts))


def damaged(offer):
    audio = offer.split("m=application")[0]
    second = "m=audio" + audio.split("m=audio")[1].replace("a=mid:0", "a=mid:7")
    return {
        "empty": ("", "this one has none"),
        "no SDP": ("hello", "this one has none"),
        "no sections": ("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", "audio section"),
        "two audios": (audio + second, "2 audio"),
        "no ice": (without(offer, "a=ice-"), "ice-ufrag"),
        "no fingerprint": (without(offer, "a=fingerprint"), "fingerprint"),
        "no rtcp-mux": (without(offer, "a=rtcp-mux"), "rtcp-mux"),
        "no bundle": (without(offer, "a=group:BUNDLE"), "BUNDLE"),
        "no opus": (offer.replace("opus/48000", "speex/48000"), "opus"),
        "one way": (offer.replace("a=sendrecv", "a=sendonly"), "sendonly"),
        "a port of letters": (offer.replace("m=audio ", "m=audio x"), "no SDP"),
        "many candidates": (
            offer + "a=candidate:1 1 udp 1 192.0.2.9 9 typ host\r\n" * 65,
            "64 candidates (max_candidates)",
        ),
    }


CASES = sorted(damaged("m=audio a=mid:0 m=application"))


@pytest.mark.parametrize("case", CASES)
async def test_a_damaged_offer_is_refused_with_what_is_wrong(offer, case):
    sdp, word = damaged(offer)[case]
    async with calling() as rig:
        status, error = await refused(rig, content=sdp, headers=SDP)
        assert (status, error["code"], error["param"]) == (400, "invalid_offer", "sdp")
        assert word in error["message"]


async def test_a_refusal_has_a_reason_though_what_failed_gave_none(offer, monkeypatch):
    def fail(text):
        raise AssertionError

    async with calling() as rig:
        # A clock of zero makes aiortc fail without a word once it is to answer.
        idle = offer.replace("opus/48000", "opus/0")
        status, error = await refused(rig, content=idle, headers=SDP)
        assert (status, error["code"], error["param"]) == (400, "invalid_offer", "sdp")
        assert error["message"].partition(": ")[2]
        monkeypatch.setattr("aiortc.sdp.SessionDescription.parse", fail)
        status, error = await refused(rig, content=offer, headers=SDP)
        assert error["message"] == "the offer is no SDP: AssertionError"


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
async def test_any_damage_to_an_offer_is_an_answer_or_a_clear_error(offer, data):
    lines = offer.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at] = data.draw(
            st.one_of(st.text(max_size=40), st.just(lines[at][: len(lines[at]) // 2]))
        )
    with suppress(OfferError):
        read_offer("\r\n".join(lines), max_candidates=64)


def test_candidates_that_lead_nowhere_are_left_out():
    from server.webrtc import offer as module

    lines = [
        "a=candidate:1 1 udp 1 192.0.2.9 9 typ host",
        "a=candidate:2 1 udp 1 0d9c2a1e.local 9 typ host",
        "a=candidate:3 1 tcp 1 192.0.2.9 9 typ host tcptype active",
        "a=candidate:4 1 udp 1 internal.example.com 9 typ host",
        "a=end-of-candidates",
    ]
    kept = module._without_idle_candidates("\r\n".join(lines), 64)
    assert kept == lines[0] + "\r\n"


async def test_the_number_of_candidates_is_a_setting(offer):
    many = offer + "a=candidate:1 1 udp 1 192.0.2.9 9 typ host\r\n" * 20
    async with calling(max_candidates=8) as rig:
        status, error = await refused(rig, content=many, headers=SDP)
        assert (status, error["code"]) == (400, "invalid_offer")
        assert "8 candidates (max_candidates)" in error["message"]


async def test_what_an_offer_says_of_itself(offer):
    read = read_offer(offer, max_candidates=64)
    assert (read.has_channel, read.has_camera) == (True, False)
    assert 0 < read.max_message_bytes <= MAX_MESSAGE_BYTES


async def test_other_bodies_are_refused_by_type_and_size(offer):
    async with calling(max_offer_bytes=1024 * 16) as rig:
        status, error = await refused(rig, content=offer, headers={"content-type": "text/plain"})
        assert status == 415
        assert "application/sdp" in error["message"]
        status, error = await refused(rig, content="v" * 20_000, headers=SDP)
        assert status == 413
        assert "16384 bytes (max_offer_bytes)" in error["message"]
        status, error = await refused(rig, content=b"\xff\xfe", headers=SDP)
        assert status == 400
        status, error = await refused(rig, files={"session": (None, "{}", "application/json")})
        assert (status, error["param"]) == (400, "sdp")
        for broken in ("{", "[]"):
            parts = {"sdp": (None, offer), "session": (None, broken)}
            status, error = await refused(rig, files=parts)
            assert (status, error["param"]) == (400, "session")
        headers = {"content-type": "multipart/form-data; boundary=x"}
        status, error = await refused(rig, content=b"nonsense", headers=headers)
        assert status == 400


async def test_a_session_that_cannot_be_is_refused_before_the_call(offer):
    async with calling() as rig:
        wrong = {"type": "realtime", "audio": {"output": {"speed": 9}}}
        parts = {"sdp": (None, offer), "session": (None, json.dumps(wrong))}
        status, error = await refused(rig, files=parts)
        assert status == 400
        assert error["param"] == "session.audio.output.speed"
        status, error = await refused(rig, content=offer, headers=SDP, params={"model": "gpt-9"})
        assert (status, error["code"]) == (404, "model_not_found")
        status, error = await refused(
            rig, content=offer, headers=SDP, params={"model": "gpt-" * 1_500}
        )
        assert (status, error["code"]) == (404, "model_not_found")
        assert "gpt-gpt-" in error["message"]
        assert len(error["message"]) < 200


async def test_an_engine_that_is_not_there_is_503(offer):
    async with calling() as rig:
        rig.engine.ready = None
        status, error = await refused(rig, content=offer, headers=SDP)
        assert (status, error["code"]) == (503, "engine_not_ready")


@pytest.mark.parametrize("the_engine", ["is silent", "answers meanwhile"])
async def test_a_client_that_leaves_while_its_call_is_opened_gives_its_seat_back(offer, the_engine):
    async with calling(max_conversations=1) as rig:
        asked = asyncio.Event()

        def answers(message):
            if isinstance(message, OpenConversation):
                asked.set()
            return ()

        rig.engine.answers = answers
        asking = Asking(rig.app, CALLS, offer.encode(), SDP["content-type"])
        async with asyncio.timeout(20):
            await asked.wait()
        (name,) = rig.gateway.conversations
        asking.goes()
        if the_engine == "answers meanwhile":
            rig.engine.queues[name].put_nowait(ConversationOpened(conversation_id=name))
        async with asyncio.timeout(20):
            await asking.task
        assert (await asking.out.get())["status"] == 499
        await rig.until_empty()


async def test_a_second_offer_for_a_call_is_told_what_to_do():
    async with calling() as rig:
        reply = await rig.http.post(CALLS + "/rtc_1", content="v=0", headers=SDP)
        assert reply.status_code == 400
        assert "replaceTrack" in reply.json()["error"]["message"]


async def test_the_answer_has_one_mono_voice_and_every_candidate():
    async with calling() as rig:
        peer = rig.peer()
        await peer.call()
        assert "opus/48000" in peer.answer
        assert "PCMU" not in peer.answer
        assert "a=candidate" in peer.answer
        assert "a=end-of-candidates" in peer.answer


async def test_the_announced_address_stands_in_the_answer():
    async with calling(public_address="203.0.113.7") as rig:
        peer = rig.peer()
        sdp = await peer.offer()
        answer = (await rig.http.post(CALLS, content=sdp, headers=SDP)).text
        hosts = {line.split()[4] for line in answer.splitlines() if line.startswith("a=candidate")}
        assert hosts == {"203.0.113.7"}


async def test_ice_servers_as_a_browser_takes_them():
    async with calling() as rig:
        assert (await rig.http.get("/v1/realtime/ice-servers")).json() == {"ice_servers": []}
    options = {
        "stun_url": "stun:192.0.2.1:3478",
        "turn_url": "turn:192.0.2.1:3478?transport=udp",
        "turn_secret": "shared",
    }
    async with calling(**options) as rig:
        stun, turn = (await rig.http.get("/v1/realtime/ice-servers")).json()["ice_servers"]
        assert stun == {"urls": [options["stun_url"]]}
        assert turn["urls"] == [options["turn_url"]]
        assert turn["username"].endswith(":omnilive")
        assert len(turn["credential"]) == 28


async def test_a_lasting_user_of_the_relay_is_given_on_as_it_is():
    user = {"turn_username": "ada", "turn_credential": "secret"}
    async with calling(turn_url="turn:192.0.2.1:3478", **user) as rig:
        (turn,) = (await rig.http.get("/v1/realtime/ice-servers")).json()["ice_servers"]
        assert (turn["username"], turn["credential"]) == ("ada", "secret")


@pytest.mark.parametrize("name", ["turn_username", "turn_credential"])
def test_a_lasting_user_beside_a_secret_is_refused(name):
    both = load_settings(turn_url="turn:192.0.2.1:3478", turn_secret="s", **{name: "x"})
    with pytest.raises(SettingsError, match=rf"OMNILIVE_{name.upper()}.*OMNILIVE_TURN_SECRET"):
        IceServers(both)


async def test_a_client_secret_carries_a_session_and_expires():
    session = {"type": "realtime", "instructions": "Sing.", "audio": {"output": {"voice": "Ada"}}}
    async with calling(api_keys="a-real-key") as rig:
        key = {"authorization": "Bearer a-real-key"}
        asked = {"expires_after": {"anchor": "created_at", "seconds": 60}, "session": session}
        reply = await rig.http.post("/v1/realtime/client_secrets", json=asked, headers=key)
        assert reply.status_code == 200
        minted = reply.json()
        assert minted["value"].startswith("ek_")
        assert minted["session"]["instructions"] == "Sing."
        assert minted["session"]["id"].startswith("sess_")
        peer = rig.peer()
        headers = {"authorization": f"Bearer {minted['value']}"}
        location = await peer.call(headers=headers)
        assert (await peer.hear())["session"]["instructions"] == "Sing."
        again = await rig.http.post("/v1/realtime/client_secrets", headers=headers)
        assert again.status_code == 401
        assert (await rig.http.post(location + "/hangup")).status_code == 401
        assert (await rig.http.post(location + "/hangup", headers=key)).status_code == 200


@pytest.mark.parametrize("whose", ["its own", "another", "none"])
async def test_a_secret_that_has_expired_still_ends_the_call_that_it_opened(whose):
    async with calling(api_keys="a-real-key") as rig:
        key = {"authorization": "Bearer a-real-key"}
        own, another = [
            (await rig.http.post("/v1/realtime/client_secrets", headers=key)).json()["value"]
            for _ in range(2)
        ]
        location = await rig.peer().call(headers={"authorization": f"Bearer {own}"})
        rig.gateway.doors.secrets._clock = lambda: unix_s() + 3600
        secret = {"its own": own, "another": another, "none": None}[whose]
        headers = {} if secret is None else {"authorization": f"Bearer {secret}"}
        reply = await rig.http.post(location + "/hangup", headers=headers)
        assert reply.status_code == (200 if secret == own else 401)
        if secret == own:
            await rig.until_empty()


SECONDS = "expires_after.seconds"


@pytest.mark.parametrize(
    ("asked", "code", "param"),
    [
        ({"expires_after": {"seconds": 5}}, "integer_below_min_value", SECONDS),
        ({"expires_after": {"seconds": 7201}}, "integer_above_max_value", SECONDS),
        ({"expires_after": {"seconds": "600"}}, "invalid_type", SECONDS),
        ({"expires_after": {"seconds": 60.0}}, "invalid_type", SECONDS),
        ({"expires_after": {"seconds": True}}, "invalid_type", SECONDS),
        ({"expires_after": {"anchor": "birth"}}, "invalid_value", "expires_after.anchor"),
        ({"expires_after": 60}, "invalid_type", "expires_after"),
        ({"session": None}, "invalid_type", "session"),
        (
            {"session": {"type": "realtime", "output_modalities": ["smell"]}},
            "invalid_value",
            "session.output_modalities[0]",
        ),
        ({"lifetime": 5}, "unknown_parameter", "lifetime"),
    ],
)
async def test_a_secret_that_cannot_be_is_refused(asked, code, param):
    async with calling() as rig:
        reply = await rig.http.post("/v1/realtime/client_secrets", json=asked)
        assert reply.status_code == 400
        error = reply.json()["error"]
        assert (error["code"], error["param"]) == (code, param)


async def test_browsers_of_allowed_origins_get_what_the_kits_need():
    page = "https://talk.example.com"
    async with calling(allowed_origins=page) as rig:
        asks = {
            "origin": page,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type,x-openai-agents-sdk",
        }
        reply = await rig.http.options(CALLS, headers=asks)
        assert reply.status_code == 200
        assert reply.headers["access-control-allow-origin"] == page
        allowed = reply.headers["access-control-allow-headers"].lower()
        assert "x-openai-agents-sdk" in allowed
        reply = await rig.http.get("/v1/realtime/ice-servers", headers={"origin": page})
        assert reply.headers["access-control-expose-headers"] == "Location"
        other = {"origin": "https://elsewhere.example.com"}
        reply = await rig.http.get("/v1/realtime/ice-servers", headers=other)
        assert reply.status_code == 403
        assert "allowed_origins" in reply.json()["error"]["message"]
        assert "access-control-allow-origin" not in reply.headers
