"""A real server in this process, with a real engine process on a tiny random checkpoint."""

import asyncio
import json
import threading
from contextlib import asynccontextmanager, contextmanager

import pytest
from websockets.asyncio.client import connect

from server.running import running_server
from server.settings import load_settings

START_TIMEOUT_S = 300
STOP_TIMEOUT_S = 60
# A random Talker does not know when to stop, nor a random Thinker.
TINY = {"threads": 1, "max_speech_s": 0.5, "context_tokens": 320}
# A few MiB that a peer does not read are enough to be cut off in a test.
SMALL_OUTBOX = {"send_queue_bytes": 4 * 2**20, "send_timeout_s": 5.0}


class ServerThread:
    """Runs a server on a loop of its own, as its users see it: only by its address."""

    def __init__(self, **settings):
        self.settings = load_settings(port=0, log_level="warning", **settings)
        self.running = None
        self.progress = []
        self._started = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, name="server")

    def start(self):
        self._thread.start()
        assert self._started.wait(START_TIMEOUT_S), "the server did not start"
        if self._failure is not None:
            self._thread.join(STOP_TIMEOUT_S)
            raise self._failure

    def stop(self):
        self.running.server.should_exit = True
        self._thread.join(STOP_TIMEOUT_S)
        assert not self._thread.is_alive(), "the server did not stop"
        if self._failure is not None:
            raise self._failure

    def call(self, coroutine):
        """Runs a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(START_TIMEOUT_S)

    def engine_pid(self):
        """The one child of this process that runs the engine."""
        link = self.running.gateway.engine._link
        return link._process.pid

    @property
    def url(self):
        return self.running.url

    @property
    def http(self):
        return f"http://{self.running.address}"

    def _run(self):
        try:
            asyncio.run(self._serve())
        except Exception as failure:
            self._failure = failure
        finally:
            self._started.set()

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        async with running_server(self.settings, self.progress.append) as self.running:
            self._started.set()
            await self.running.listening


async def hear(socket):
    """The next event of a bare WebSocket."""
    return json.loads(await socket.recv())


@asynccontextmanager
async def bare(url, **options):
    """A WebSocket without a client around it, past the greeting."""
    async with connect(url, **options) as socket:
        for kind in ("session.created", "conversation.created"):
            event = await hear(socket)
            assert event["type"] == kind, event
        yield socket


@contextmanager
def serving(**settings):
    server = ServerThread(**settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def roomy_server(talkative_checkpoint):
    """The same with a context that holds the description of tools."""
    roomy = TINY | {"context_tokens": 768}
    with serving(model=str(talkative_checkpoint), **roomy) as server:
        yield server


@pytest.fixture(scope="session")
def tiny_server(talkative_checkpoint):
    """A server for every test that leaves it as it was."""
    with serving(model=str(talkative_checkpoint), **TINY, **SMALL_OUTBOX) as server:
        yield server
