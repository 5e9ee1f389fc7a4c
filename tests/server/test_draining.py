"""How a server ends, on real processes: who talks may finish, nobody new comes in, all are told."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from clients.python.client import open_conversation
from clients.python.turn import ask_typed
from tests.server.conftest import TINY, bare, hear
from tests.server.webrtc.rig import PeerError, calling

SERVE = [sys.executable, "-c", "from server.cli import main; main()", "serve", "--port", "0"]
FLAGS = [
    part for name, value in TINY.items() for part in ("--" + name.replace("_", "-"), str(value))
]
END_TIMEOUT_S = 60
LONG_S = 3600
# Close codes of WebSockets.
SERVICE_RESTART = 1012
TRY_AGAIN_LATER = 1013


class Served:
    """`omnilive serve` as an operator has it: a process, its output, and signals."""

    def __init__(self, process):
        self.process = process

    def wait_ready(self):
        self.url = re.search(r"Realtime API +(\S+)", self.told_until("Ctrl-C")).group(1)
        self.http = self.url.replace("ws://", "http://").removesuffix("/v1/realtime")

    def told_until(self, words):
        told = ""
        while words not in told:
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read()
            told += line
        return told

    def drain(self):
        self.process.send_signal(signal.SIGTERM)
        self.told_until("draining")

    def end(self):
        """What it says at its end, which must be one in order."""
        rest, complaints = self.process.communicate(timeout=END_TIMEOUT_S)
        assert "Traceback" not in complaints
        assert self.process.returncode == 0
        return rest


@contextmanager
def served(checkpoint, drain_timeout_s, *flags):
    command = [*SERVE, "--model", str(checkpoint), *FLAGS, "--drain-timeout-s", drain_timeout_s]
    command += flags
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Served(process)
        finally:
            process.kill()


@contextmanager
def ready(checkpoint, drain_timeout_s, *flags):
    with served(checkpoint, drain_timeout_s, *flags) as server:
        server.wait_ready()
        yield server


def engine_of(server):
    """The engine process of a server."""
    tasks = Path(f"/proc/{server.process.pid}/task")
    (child,) = {
        child for task in tasks.iterdir() for child in (task / "children").read_text().split()
    }
    return int(child)


def test_a_server_that_may_ends_once_its_engine_will_not_come_back(talkative_checkpoint):
    flags = ("--end-without-engine", "true", "--engine-max-deaths", 1)
    with ready(talkative_checkpoint, LONG_S, *flags) as server:
        os.kill(engine_of(server), signal.SIGKILL)
        told, complaints = server.process.communicate(timeout=END_TIMEOUT_S)
        assert server.process.returncode == 1
        assert "omnilive serve: 1 engine deaths in a row" in complaints
        assert "Traceback" not in told + complaints


async def refusals(http):
    """What each door for newcomers answers, by path."""
    question = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}]}
    offer = {"content": "v=0\r\n", "headers": {"content-type": "application/sdp"}}
    return {
        "/readyz": await http.get("/readyz"),
        "/v1/chat/completions": await http.post("/v1/chat/completions", json=question),
        "/v1/realtime/calls": await http.post("/v1/realtime/calls", **offer),
        "/v1/realtime/client_secrets": await http.post("/v1/realtime/client_secrets"),
    }


async def test_a_conversation_ends_its_turn_while_newcomers_are_refused(talkative_checkpoint):
    with ready(talkative_checkpoint, LONG_S) as server:
        async with open_conversation(server.url) as client, httpx.AsyncClient() as http:
            http.base_url = server.http
            await client.configure(max_output_tokens=4)
            assert (await http.get("/readyz")).status_code == 200
            server.drain()

            async with connect(server.url) as newcomer:
                event = await hear(newcomer)
                assert event["error"]["code"] == "server_draining"
                assert "1 conversations are still open" in event["error"]["message"]
                await is_closed(newcomer, TRY_AGAIN_LATER)
            for path, answer in (await refusals(http)).items():
                assert answer.status_code == 503, path
                assert answer.json()["error"]["code"] == "server_draining", path
            assert (await http.get("/healthz")).status_code == 200

            answer = await ask_typed(client, "hello")
            assert answer.answer_transcript
            assert len(answer.samples)
        assert "stopped" in server.end()


async def test_whoever_stays_too_long_is_told_and_let_go(talkative_checkpoint):
    with ready(talkative_checkpoint, 0.1) as server:
        async with bare(server.url) as first, bare(server.url) as second:
            server.drain()
            for socket in (first, second):
                await is_told_of_the_end(socket)
        assert "stopped" in server.end()


async def test_a_second_signal_ends_it_at_once(talkative_checkpoint):
    with ready(talkative_checkpoint, LONG_S) as server:
        async with bare(server.url) as socket:
            server.drain()
            server.process.send_signal(signal.SIGTERM)
            await is_told_of_the_end(socket)
        assert "stopped" in server.end()


def test_while_it_loads_there_is_nothing_to_drain(talkative_checkpoint):
    with served(talkative_checkpoint, LONG_S) as server:
        server.told_until("loading: ")
        server.process.send_signal(signal.SIGTERM)
        rest = server.end()
        assert "stopped" in rest
        assert "draining" not in rest


async def test_a_call_goes_on_and_is_told_at_the_end():
    async with calling(drain_timeout_s=0.1) as rig:
        peer = rig.peer()
        await peer.call()
        await peer.until("session.created")
        await rig.gateway.drain()
        with pytest.raises(PeerError, match="server_draining"):
            await rig.peer().call()
        assert len(rig.gateway.calls) == 1
        await rig.gateway.dismiss()
        (*_, event) = await peer.until("error")
        assert event["error"]["code"] == "server_ended"
        await rig.until_empty()


async def is_told_of_the_end(socket):
    event = await hear(socket)
    assert event["type"] == "error"
    assert event["error"]["code"] == "server_ended"
    await is_closed(socket, SERVICE_RESTART)


async def is_closed(socket, code):
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    assert closed.value.rcvd.code == code
