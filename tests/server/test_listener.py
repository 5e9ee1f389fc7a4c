"""A real listener: whoever does not finish asking has its connection ended in time."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect

from server.app import create_app
from server.gateway import Gateway
from server.listener import listen, uvicorn_server
from server.settings import load_settings
from tests.server.conftest import hear
from tests.server.webrtc.rig import ScriptedEngine

TIMEOUT_S = 0.3
HEAD = "{method} {path} HTTP/1.1\r\nHost: localhost\r\n"


@asynccontextmanager
async def listening():
    settings = load_settings(port=0, request_timeout_s=TIMEOUT_S)
    gateway = Gateway(settings=settings, engine=ScriptedEngine())
    listener = listen(settings)
    server = uvicorn_server(create_app(gateway), settings)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(20):
            while not server.started:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            yield listener.getsockname()
    finally:
        server.should_exit = True
        await task
        await gateway.calls.close()


def head(method, path, **headers):
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return (HEAD.format(method=method, path=path) + "".join(lines) + "\r\n").encode()


async def answer_of(reader):
    """Status and JSON of one answer."""
    top = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(top.split("content-length: ")[1].split("\r\n")[0])
    return int(top.split()[1]), json.loads(await reader.readexactly(length))


@pytest.mark.parametrize("said", [b"", b"G", head("GET", "/healthz")[:-2]])
async def test_a_connection_without_a_request_is_closed(said):
    async with listening() as address:
        reader, writer = await asyncio.open_connection(*address)
        begun_s = asyncio.get_running_loop().time()
        writer.write(said)
        assert await reader.read() == b""
        assert asyncio.get_running_loop().time() - begun_s >= TIMEOUT_S * 0.9
        writer.close()


async def test_one_that_stays_open_has_the_same_time_for_its_next_request():
    async with listening() as address:
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(2):
            writer.write(head("GET", "/healthz"))
            assert await answer_of(reader) == (200, {"status": "ok"})
        writer.write(head("GET", "/healthz")[:-2])
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/chat/completions", "application/json"),
        ("/v1/realtime/client_secrets", "application/json"),
        ("/v1/realtime/calls", "application/sdp"),
        ("/v1/realtime/calls", "multipart/form-data; boundary=x"),
    ],
)
async def test_a_body_that_does_not_come_is_not_waited_for(path, kind):
    async with listening() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(head("POST", path, Content_Type=kind, Content_Length=1000) + b"{")
        status, body = await answer_of(reader)
        assert (status, body["error"]["code"]) == (408, "request_timeout")
        assert "0.3 s (request_timeout_s)" in body["error"]["message"]
        writer.close()


async def test_a_websocket_stays():
    async with listening() as (host, port), connect(f"ws://{host}:{port}/v1/realtime") as socket:
        while (await hear(socket))["type"] != "conversation.created":
            pass
        await asyncio.sleep(2 * TIMEOUT_S)
        await socket.send('{"type": "input_audio_buffer.clear"}')
        assert (await hear(socket))["type"] == "input_audio_buffer.cleared"
