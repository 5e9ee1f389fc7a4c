"""What a real server does when its engine dies, when a reader stalls, and when it cannot start."""

import asyncio
import json
import os
import signal

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from clients.python.client import open_conversation
from clients.python.turn import ask_typed
from server.errors import SettingsError
from server.listener import listen
from streaming.errors import EngineGoneError
from tests.server.conftest import TINY, bare, hear, serving


async def short_answer(url):
    async with open_conversation(url) as client:
        await client.configure(max_output_tokens=4)
        return await ask_typed(client, "hello")


async def ask_without_reading(url):
    """Makes the server send, reads nothing, and goes on until the server ends it."""
    async with connect(url, max_queue=1) as socket:
        audio = {"input": {"transcription": {"prompt": "x" * 30_000}}}  # is echoed whole
        session = {"type": "realtime", "audio": audio}
        while True:
            await socket.send(json.dumps({"type": "session.update", "session": session}))


async def test_an_engine_that_dies_is_told_and_replaced(talkative_checkpoint):
    with serving(model=str(talkative_checkpoint), **TINY) as server:
        assert (await short_answer(server.url)).answer_transcript is not None
        async with bare(server.url) as first, bare(server.url) as second:
            os.kill(server.engine_pid(), signal.SIGKILL)
            for socket in (first, second):
                event = await hear(socket)
                assert event["type"] == "error"
                assert event["error"]["type"] == "server_error"
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
                assert closed.value.rcvd.code == 1011
        await asyncio.to_thread(server.call, server.running.gateway.engine.wait_ready())
        assert (await short_answer(server.url)).answer_transcript is not None


async def test_a_reader_that_stalls_is_cut_off(tiny_server):
    with pytest.raises(ConnectionClosed):
        await ask_without_reading(tiny_server.url)
    # Whoever reads is served all the same.
    await short_answer(tiny_server.url)


def test_a_checkpoint_that_is_not_there_is_named(tmp_path):
    with (
        pytest.raises(EngineGoneError),
        serving(model=str(tmp_path / "nothing"), engine_max_deaths=1),
    ):
        raise AssertionError


def test_an_address_in_use_is_named(tiny_server):
    port = tiny_server.running.address.rsplit(":", 1)[1]
    with pytest.raises(SettingsError, match=f"--port {port}"):
        listen(tiny_server.settings.model_copy(update={"port": int(port)}))
