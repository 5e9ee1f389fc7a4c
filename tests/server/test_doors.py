"""Who comes in over the WebSocket and over HTTP, and what the others are told."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from starlette.requests import HTTPConnection

from server.doors import Doors, key_of
from server.errors import ForbiddenOriginError, FullError, TooFastError, UnauthorizedError
from server.settings import load_settings
from tests.server.webrtc.rig import Rig, ScriptedEngine

KEY = "sk-a-key-that-is-long"


def connection(address="198.51.100.1", subprotocols=(), **headers):
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "websocket", "headers": raw, "client": (address, 1)}
    return HTTPConnection({**scope, "subprotocols": list(subprotocols)})


@asynccontextmanager
async def websocket(app, headers=(), subprotocols=()):
    """What the application says to a WebSocket: its events, then its closing."""
    said, done = asyncio.Queue(), asyncio.Event()
    opening = [{"type": "websocket.connect"}]

    async def receive():
        if opening:
            return opening.pop()
        await done.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message):
        if message["type"] == "websocket.send":
            said.put_nowait(json.loads(message["text"]))
        elif message["type"] == "websocket.close":
            said.put_nowait(message)

    raw = [(name.encode(), value.encode()) for name, value in dict(headers).items()]
    scope = {
        "type": "websocket",
        "path": "/v1/realtime",
        "query_string": b"",
        "headers": raw,
        "client": ("198.51.100.1", 1),
        "subprotocols": list(subprotocols),
        "extensions": {},
    }
    async with asyncio.timeout(20):
        task = asyncio.create_task(app(scope, receive, send))
        yield said
        done.set()
        await task


def doors(**settings):
    return Doors(load_settings(**settings), clock=lambda: 0.0)


@pytest.mark.parametrize(
    ("headers", "subprotocols", "key"),
    [
        ({}, (), None),
        ({"authorization": f"Bearer {KEY}"}, (), KEY),
        ({"authorization": f"bearer  {KEY} "}, (), KEY),
        ({"authorization": "Basic abc"}, (), None),
        ({}, ("realtime", f"openai-insecure-api-key.{KEY}"), KEY),
        ({"authorization": "Bearer "}, (), None),
    ],
)
def test_where_a_key_is_looked_for(headers, subprotocols, key):
    assert key_of(connection(subprotocols=subprotocols, **headers)) == key


def test_keys_are_asked_for_once_there_are_some():
    doors().let_in(connection())
    with pytest.raises(UnauthorizedError, match="Authorization"):
        doors(api_keys=KEY).let_in(connection())
    assert (
        doors(api_keys=f"sk-another-one, {KEY}")
        .let_in(connection(authorization=f"Bearer {KEY}"))
        .identity.owner
    )


@pytest.mark.parametrize(
    ("allowed", "origin", "comes_in"),
    [
        (None, None, True),
        (None, "http://server:8000", True),
        (None, "http://elsewhere", False),
        (None, "null", False),
        ("http://elsewhere", "http://elsewhere", True),
        ("http://elsewhere", "http://elsewhere.evil", False),
        ("*", "http://anywhere", True),
    ],
)
def test_pages_of_other_origins_stay_out_unless_allowed(allowed, origin, comes_in):
    headers = {"host": "server:8000", **({} if origin is None else {"origin": origin})}
    door = doors(allowed_origins=allowed)
    if comes_in:
        door.let_in(connection(**headers))
    else:
        with pytest.raises(ForbiddenOriginError, match="allowed_origins"):
            door.let_in(connection(**headers))


def test_openings_are_limited_by_address_and_by_key():
    door = doors(api_keys=KEY, max_openings_per_address=2, max_openings_per_key=3)
    bearer = {"authorization": f"Bearer {KEY}"}
    first, second = (door.let_in(connection(f"198.51.100.{n}", **bearer)) for n in (1, 2))
    for visitor in (first, first, second):
        door.count_opening(visitor)
    with pytest.raises(TooFastError, match="max_openings_per_address"):
        door.count_opening(first)
    with pytest.raises(TooFastError, match="max_openings_per_key"):
        door.count_opening(second)


def test_the_tighter_of_its_limits_is_what_a_visitor_is_told():
    door = doors(api_keys=KEY, max_openings_per_address=4, max_openings_per_key=5)
    bearer = {"authorization": f"Bearer {KEY}"}
    first, second = (door.let_in(connection(f"198.51.100.{n}", **bearer)) for n in (1, 2))
    for visitor in (first, first, second):
        door.count_opening(visitor)
    told = [(left.limit, left.remaining) for v in (first, second) for left in door.rates(v)]
    assert told == [(4, 2), (5, 2)]


def test_conversations_are_limited_by_address_and_by_key():
    door = doors(api_keys=KEY, max_conversations_per_address=1, max_conversations_per_key=1)
    visitor = door.let_in(connection(authorization=f"Bearer {KEY}"))
    with door.seat(visitor):
        with pytest.raises(FullError, match="max_conversations_per_address"):
            door.check_seat(visitor)
        elsewhere = door.let_in(connection("203.0.113.9", authorization=f"Bearer {KEY}"))
        with pytest.raises(FullError, match="max_conversations_per_key"):
            door.check_seat(elsewhere)
    door.check_seat(visitor)


@pytest.mark.parametrize(
    ("settings", "headers", "code", "close"),
    [
        ({"api_keys": KEY}, {}, "invalid_api_key", 1008),
        ({}, {"origin": "http://elsewhere"}, "origin_not_allowed", 1008),
        ({"idle_timeout_s": 1}, {}, "session_idle", 1001),
    ],
)
async def test_a_websocket_is_told_why_it_ends(settings, headers, code, close):
    rig = Rig(ScriptedEngine(), load_settings(**settings))
    async with websocket(rig.app, headers=headers) as said:
        while (event := await said.get())["type"] != "error":
            pass
        assert event["error"]["code"] == code
        assert (await said.get())["code"] == close
    await rig.close()


async def test_a_secret_opens_a_websocket_with_its_session():
    rig = Rig(ScriptedEngine(), load_settings(api_keys=KEY))
    session = {"type": "realtime", "instructions": "Sing."}
    minted = await rig.http.post(
        "/v1/realtime/client_secrets",
        json={"session": session},
        headers={"authorization": f"Bearer {KEY}"},
    )
    offered = ["realtime", f"openai-insecure-api-key.{minted.json()['value']}"]
    async with websocket(rig.app, subprotocols=offered) as said:
        assert (await said.get())["session"]["instructions"] == "Sing."
    await rig.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/realtime/calls"),
        ("POST", "/v1/realtime/calls/rtc_1"),
        ("POST", "/v1/realtime/calls/rtc_1/hangup"),
        ("POST", "/v1/realtime/client_secrets"),
        ("GET", "/v1/realtime/ice-servers"),
    ],
)
async def test_no_route_is_open_once_there_are_keys(method, path):
    rig = Rig(ScriptedEngine(), load_settings(api_keys=KEY))
    wrong = {"authorization": "Bearer sk-another-key-entirely"}
    for headers in ({}, wrong):
        reply = await rig.http.request(method, path, headers=headers)
        assert reply.status_code == 401
        assert reply.json()["error"]["code"] == "invalid_api_key"
    await rig.close()
