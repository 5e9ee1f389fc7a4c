"""Addresses, refusals and endings of a connection, against scripted servers on real sockets."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import serve

from clients.python import client as client_module
from clients.python.client import OPEN_LIMIT_S, endpoint, open_conversation
from clients.python.errors import ConnectionFailed, ServerSaidError
from tests.virtual_time import on_virtual_time


@asynccontextmanager
async def scripted(*script):
    """A server that sends these events, one for each connection's turn, and hangs up."""
    asked = []

    async def run(socket):
        asked.append(socket.request)
        for event in script:
            await socket.send(json.dumps(event))

    async with serve(run, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1/realtime", asked


@pytest.mark.parametrize(
    ("url", "model", "address"),
    [
        ("ws://h/v1/realtime", None, "ws://h/v1/realtime"),
        ("http://h:8000/v1/realtime", "m", "ws://h:8000/v1/realtime?model=m"),
        ("https://h/v1/realtime?a=b", "m/n o", "wss://h/v1/realtime?a=b&model=m%2Fn+o"),
    ],
)
def test_addresses(url, model, address):
    assert endpoint(url, model) == address


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://h/x",
        "",
        "ws://",
        "http://:8000/",
        "http://h:99999/v1/realtime",
        "http://h:abc/v1/realtime",
        "http://[::1/",
        "http://[h]/",
    ],
)
def test_an_address_that_leads_nowhere_is_named(url):
    with pytest.raises(ConnectionFailed, match="expected an address like ws://") as failure:
        endpoint(url, None)
    assert str(failure.value).startswith(f"{url}: ")


@pytest.mark.parametrize("host", [".example", "a" * 70 + ".example", "h\0"])
async def test_a_host_that_no_name_server_can_be_asked_for_is_named(host):
    with pytest.raises(ConnectionFailed, match="no Realtime server there"):
        async with open_conversation(f"http://{host}:8000/v1/realtime"):
            pass


async def test_model_and_key_are_sent_and_other_events_passed_over():
    async with (
        scripted({"type": "session.created"}, {"type": "x"}, {"type": "y", "n": 1}) as (url, asked),
        open_conversation(url, model="m", key="k") as client,
    ):
        assert (await client.expect("y"))["n"] == 1
        (request,) = asked
        assert request.path.endswith("?model=m")
        assert request.headers["Authorization"] == "Bearer k"


async def test_a_refusal_is_raised_with_its_code():
    refusal = {"type": "error", "error": {"type": "t", "code": "server_full", "message": "full"}}
    async with scripted(refusal) as (url, _):
        with pytest.raises(ServerSaidError, match="full") as failure:
            async with open_conversation(url):
                raise AssertionError
    assert failure.value.code == "server_full"


async def test_an_end_in_the_middle_is_raised():
    async with scripted({"type": "session.created"}) as (url, _):
        with pytest.raises(ConnectionFailed, match="the connection ended"):
            async with open_conversation(url) as client:
                await client.expect("session.updated")


async def test_a_server_that_is_none_is_named():
    with pytest.raises(ConnectionFailed, match="no Realtime server there"):
        async with open_conversation("ws://127.0.0.1:9/v1/realtime"):
            raise AssertionError


class Silent:
    """A connection whose other end never says anything."""

    closed = False

    async def recv(self):
        await asyncio.Event().wait()

    async def close(self):
        self.closed = True


def test_a_server_that_opens_and_then_says_nothing_is_given_up(monkeypatch):
    silent = Silent()

    async def connect(*_, **__):
        return silent

    async def opening():
        with pytest.raises(ConnectionFailed, match="ws://h/x: no session within 15 s"):
            async with asyncio.timeout(3600), open_conversation("ws://h/x"):
                raise AssertionError
        return asyncio.get_running_loop().time()

    monkeypatch.setattr(client_module, "connect", connect)
    assert on_virtual_time(opening()) == pytest.approx(OPEN_LIMIT_S)
    assert silent.closed


def test_a_conversation_that_is_open_lasts_longer_than_its_opening_may(monkeypatch):
    class Created(Silent):
        async def recv(self):
            return '{"type": "session.created"}'

    async def connect(*_, **__):
        return Created()

    async def talking():
        async with open_conversation("ws://h/x"):
            await asyncio.sleep(10 * OPEN_LIMIT_S)
        return True

    monkeypatch.setattr(client_module, "connect", connect)
    assert on_virtual_time(talking())
