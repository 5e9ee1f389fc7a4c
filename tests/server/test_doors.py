"""Who comes in over the WebSocket and over HTTP, and what the others are told."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.requests import HTTPConnection

from server.doors import Doors, key_of
from server.errors import (
    ForbiddenHostError,
    ForbiddenOriginError,
    SettingsError,
    TooFastError,
    TooManyOpenError,
    UnauthorizedError,
)
from server.running import running_server
from server.settings import load_settings
from tests.server.webrtc.rig import Rig, ScriptedEngine

KEY = "sk-a-key-that-is-long"


class Started(ScriptedEngine):
    """One that is there at once."""

    async def start(self):
        return self.ready

    async def stop(self):
        pass


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


def doors(listens="127.0.0.1", **settings):
    return Doors(load_settings(**settings), address=listens, clock=lambda: 0.0)


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
        (None, "http://[", False),
        (None, "http://[::1", False),
        (None, "", False),
        ("http://elsewhere", "http://elsewhere", True),
        ("http://elsewhere", "http://elsewhere.evil", False),
        ("*", "http://anywhere", True),
    ],
)
def test_pages_of_other_origins_stay_out_unless_allowed(allowed, origin, comes_in):
    headers = {"host": "server:8000", **({} if origin is None else {"origin": origin})}
    door = doors("0.0.0.0", allowed_origins=allowed)
    if comes_in:
        door.let_in(connection(**headers))
    else:
        with pytest.raises(ForbiddenOriginError, match="allowed_origins"):
            door.let_in(connection(**headers))


@pytest.mark.parametrize("origin", ["null", "http://["])
def test_an_origin_without_a_site_is_not_that_of_a_host_without_a_name(origin):
    for headers in ({}, {"host": ""}):
        with pytest.raises(ForbiddenOriginError):
            doors(allowed_hosts="*").let_in(connection(origin=origin, **headers))


@pytest.mark.parametrize(
    ("listens", "allowed", "host", "comes_in"),
    [
        ("127.0.0.1", None, "127.0.0.1:8000", True),
        ("127.0.0.1", None, "localhost:8000", True),
        ("127.0.0.1", None, "LocalHost.", True),
        ("127.0.0.1", None, "omni.localhost", True),
        ("127.0.0.1", None, "[::1]:8000", True),
        ("127.0.0.1", None, "192.0.2.7", True),
        ("127.0.0.1", None, "evil.example:8000", False),
        ("127.0.0.1", None, "127.0.0.1.evil.example", False),
        ("127.0.0.1", None, "[evil", False),
        ("::1", None, "evil.example", False),
        ("127.0.1.1", None, "evil.example", False),
        ("::ffff:127.0.0.1", None, "evil.example", False),
        ("::", None, "anything.example", True),
        ("127.0.0.1", "talk.example:8443", "talk.example:8443", True),
        ("127.0.0.1", "Talk.example.", "talk.example", True),
        ("127.0.0.1", "192.0.2.7, ::1, [::1]:8000, talk.example", "talk.example", True),
        ("127.0.0.1", "talk.example, other.example", "Talk.example:443", True),
        ("127.0.0.1", "talk.example", "evil.talk.example", False),
        ("127.0.0.1", "*", "evil.example", True),
        ("0.0.0.0", None, "anything.example", True),
        ("0.0.0.0", "talk.example", "anything.example", False),
        ("0.0.0.0", "talk.example", "10.0.0.7:8000", True),
    ],
)
def test_a_name_that_the_server_does_not_have_is_nobodys_own_page(listens, allowed, host, comes_in):
    door = doors(listens, allowed_hosts=allowed)
    # As a page has it whose name was made to lead here (DNS rebinding): both are its own.
    visitor = connection(host=host, origin=f"http://{host}")
    if comes_in:
        door.let_in(visitor)
    else:
        with pytest.raises(ForbiddenHostError, match="allowed_hosts"):
            door.let_in(visitor)


@pytest.mark.parametrize(
    "name",
    [
        "https://talk.example",
        "talk.example/v1",
        "*.example",
        "talk.example:https",
        ":8443",
        ".talk.example",
        "two words",
        "größe.example",
    ],
)
def test_a_name_that_no_client_can_call_the_server_by_is_refused(name):
    with pytest.raises(SettingsError, match=r"OMNILIVE_ALLOWED_HOSTS: .*names") as refused:
        doors(allowed_hosts=f"other.example, {name}")
    assert repr(name) in str(refused.value)


async def test_it_is_the_address_that_is_bound_that_says_who_can_come():
    # Short for 127.0.0.1, which nobody but the system's resolver knows.
    settings = load_settings(host="127.1", port=0)
    async with running_server(settings, lambda _: None, engine=Started()) as running:
        assert running.address.startswith("127.0.0.1:")
        async with httpx.AsyncClient(base_url=f"http://{running.address}") as http:
            for name, status in (("localhost", 200), ("evil.example", 403)):
                reply = await http.get("/v1/models", headers={"host": name})
                assert reply.status_code == status


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
        with pytest.raises(TooManyOpenError, match="max_conversations_per_address"):
            door.check_seat(visitor)
        elsewhere = door.let_in(connection("203.0.113.9", authorization=f"Bearer {KEY}"))
        with pytest.raises(TooManyOpenError, match="max_conversations_per_key"):
            door.check_seat(elsewhere)
    door.check_seat(visitor)


@pytest.mark.parametrize(
    ("settings", "headers", "code", "close"),
    [
        ({"api_keys": KEY}, {}, "invalid_api_key", 1008),
        ({}, {"origin": "http://elsewhere"}, "origin_not_allowed", 1008),
        ({}, {"origin": "http://["}, "origin_not_allowed", 1008),
        ({}, {"host": "evil.example"}, "host_not_allowed", 1008),
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


@pytest.mark.parametrize("path", ["/v1/models", "/v1/realtime/ice-servers", "/metrics"])
async def test_over_http_too_the_name_has_to_be_ones_own(path):
    rig = Rig(ScriptedEngine(), load_settings())
    reply = await rig.http.get(path, headers={"host": "evil.example"})
    assert reply.status_code == 403
    assert reply.json()["error"]["code"] == "host_not_allowed"
    assert "evil.example" in reply.json()["error"]["message"]
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
