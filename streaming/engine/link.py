"""One engine process and the socket to it, from start to end.

Knows how to spawn, talk and end. Does not know conversations or restarts (`client.py` does).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self

import zmq
import zmq.asyncio

from streaming.engine.messages.commands import Command, Ping, Shutdown
from streaming.engine.messages.events import Event
from streaming.engine.settings import ClientSettings
from streaming.engine.wire import decode, encode
from streaming.errors import EngineGoneError, WireError

logger = logging.getLogger("omnilive.engine.link")

LAST_WORDS_S = 0.2


class EngineLink:
    """A running engine process; leaving the context ends it."""

    def __init__(self, endpoint: str, command: Sequence[str], settings: ClientSettings) -> None:
        self._endpoint = endpoint
        self._command = command
        self._settings = settings
        self._outgoing: asyncio.Queue[list[bytes]] = asyncio.Queue(settings.queue_messages)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Starts the process.

        Raises:
            EngineGoneError: It cannot be started, or not be talked to; says why.
        """
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.PAIR)
        try:
            self._socket.linger = 0
            self._socket.bind(self._endpoint)
            # The worker ends when its stdin does: it cannot outlive the gateway, however that dies.
            # In a group of its own, it is spared the terminal's Ctrl-C: its end comes from us.
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                env=self._settings.environment,
                process_group=0,
            )
        except BaseException as error:
            self._hang_up()
            if isinstance(error, (OSError, zmq.ZMQError)):
                raise EngineGoneError(f"the engine cannot be started: {error}") from error
            raise
        self._ended = asyncio.create_task(self._process.wait(), name="engine process")
        self._writer = self._spawn(self._write(), "engine writer")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        tasks = {*self._tasks, self._writer}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            if self._process.returncode is None:
                gently = kind is None or issubclass(kind, asyncio.CancelledError)
                await self._end_process(gently=gently)
            await self._ended
        finally:
            self._hang_up()
            # Whoever waits in `send` goes on: the queue has room again, and nobody reads it.
            while not self._outgoing.empty():
                self._outgoing.get_nowait()

    @property
    def process_id(self) -> int:
        """The engine process."""
        return self._process.pid

    async def send(self, message: Command) -> None:
        """Queues a message; waits while the engine is `queue_messages` behind.

        Raises:
            WireError: It holds what cannot be written, such as half a surrogate pair.
        """
        frames = encode(message)
        if self._ended.done():
            return
        await self._outgoing.put(frames)

    def post(self, message: Command) -> None:
        """Queues a message that must not wait; a full queue sends it as soon as there is room."""
        frames = encode(message)
        try:
            self._outgoing.put_nowait(frames)
        except asyncio.QueueFull:
            self._spawn(self._outgoing.put(frames), "engine post")

    async def receive(self, within_s: float) -> Event:
        """Returns the next message of the engine.

        Raises:
            TimeoutError: There was none, as `_first_of` counts the time.
            EngineGoneError: The process has ended (names its exit status), nothing can be sent to
                it, or it said what is no message.
        """
        incoming = asyncio.ensure_future(self._socket.recv_multipart())
        either: set[asyncio.Future[Any]] = {incoming, self._ended, self._writer}
        try:
            await _first_of(either, within_s, self._settings.ping_interval_s)
            if not incoming.done():  # what it said last may be heard after its end
                await asyncio.wait({incoming}, timeout=LAST_WORDS_S)
        except (asyncio.CancelledError, TimeoutError):
            incoming.cancel()
            raise
        if not incoming.done():
            incoming.cancel()
            raise self._gone()
        try:
            message = decode(incoming.result())
        except WireError as error:
            raise EngineGoneError(f"the engine sent what is no message: {error}") from error
        assert isinstance(message, Event), f"the engine sent {type(message).__name__}"
        return message

    def ping_every(self, interval_s: float, ping: Callable[..., Ping]) -> None:
        """Starts to ask, every `interval_s`, whether the loop turns."""
        self._spawn(self._ping(interval_s, ping), "engine ping")

    def _spawn(self, work: Awaitable[None], name: str) -> asyncio.Task[None]:
        async def run() -> None:
            await work

        task = asyncio.create_task(run(), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _gone(self) -> EngineGoneError:
        """Why nothing more will come."""
        if self._ended.done():
            return EngineGoneError(f"the engine process ended with status {self._ended.result()}")
        return EngineGoneError(f"nothing can be sent to the engine: {self._writer.exception()}")

    def _hang_up(self) -> None:
        self._socket.close()
        self._context.term()

    async def _ping(self, interval_s: float, ping: Callable[..., Ping]) -> None:
        nonce = 0
        while True:
            await asyncio.sleep(interval_s)
            await self._outgoing.put(encode(ping(nonce=nonce)))
            nonce += 1

    async def _write(self) -> None:
        while True:
            await self._socket.send_multipart(await self._outgoing.get())

    async def _end_process(self, *, gently: bool) -> None:
        if gently:
            with contextlib.suppress(zmq.Again):
                await self._socket.send_multipart(encode(Shutdown()), zmq.NOBLOCK)
            # It ends by this in the midst of a long step too, and while it loads.
            assert self._process.stdin is not None
            self._process.stdin.close()
            done, _ = await asyncio.wait({self._ended}, timeout=self._settings.stop_timeout_s)
            if done:
                return
            logger.warning("the engine did not end in %g s", self._settings.stop_timeout_s)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


async def _first_of(futures: set[asyncio.Future[Any]], within_s: float, step_s: float) -> None:
    """Waits until one of them is done.

    Time in which we stood still ourselves (stopped, or with the whole machine) says nothing of the
    engine, which was not asked then: of each such pause no more than `step_s` is counted.

    Raises:
        TimeoutError: None was.
    """
    while within_s > 0:
        wait_s = min(within_s, step_s)
        done, _ = await asyncio.wait(futures, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        if done:
            return
        within_s -= wait_s
    raise TimeoutError
