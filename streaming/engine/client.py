"""What the gateway holds of the engine: its process, a way to send, and one queue a conversation.

Knows when to start a process and whom to tell. Does not know what a conversation is about, nor
torch. A death of the engine is told to every open conversation once, as a fatal `EngineFault`; then
a new process starts. What is sent for a conversation that was told so goes nowhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from streaming.engine.clock import Clock, monotonic_s
from streaming.engine.link import EngineLink
from streaming.engine.messages.address import OfConversation
from streaming.engine.messages.commands import CloseConversation, Command, Ping
from streaming.engine.messages.events import (
    ConversationOpened,
    EngineFault,
    EngineLoading,
    EngineReady,
    Event,
)
from streaming.engine.messages.load import EngineLoad
from streaming.engine.settings import ClientSettings, EngineSettings
from streaming.engine.start_lines import StartLines
from streaming.errors import EngineGoneError, EngineLoadError

logger = logging.getLogger("omnilive.engine.client")

WORKER = (sys.executable, "-m", "streaming.engine.worker")
Progress = Callable[[EngineLoading], None]


class EngineClient:
    """Starts the engine process, keeps it alive, and routes messages.

    `ready` is None while there is no engine that takes conversations; `last` is what the one could
    do that took them last, None before the first; `failure` says why there will be none any more.
    `load` is what the engine said last of how busy it is, `died` how many have ended unasked.
    """

    def __init__(
        self,
        engine: EngineSettings,
        settings: ClientSettings | None = None,
        *,
        worker: Sequence[str] = WORKER,
        progress: Progress | None = None,
        clock: Clock = monotonic_s,
    ) -> None:
        self.ready: EngineReady | None = None
        self.last: EngineReady | None = None
        self.failure: str | None = None
        self.load: EngineLoad | None = None
        self.died = 0
        self._engine = engine
        self._settings = settings or ClientSettings()
        self._worker = worker
        self._progress = progress
        self._clock = clock
        self._heard_s = clock()
        self._link: EngineLink | None = None
        self._queues: dict[str, asyncio.Queue[Event]] = {}
        self._deaths = 0
        self._has_loaded = False
        self._lines = StartLines()
        self._changed = asyncio.Condition()
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> EngineReady:
        """Starts the process and waits until it takes conversations.

        Raises:
            EngineGoneError: It ended, or was not ready in time; says which.
        """
        assert self._keeping is None, "an engine client starts once"
        self._keeping = asyncio.create_task(self._keep(), name="keep engine")
        return await self.wait_ready()

    async def wait_ready(self) -> EngineReady:
        """Waits for an engine that takes conversations.

        Raises:
            EngineGoneError: There will be none; says why.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self.ready or self.failure)
        if self.ready is None:
            raise EngineGoneError(self.failure)
        return self.ready

    async def wait_failed(self) -> str:
        """Waits until there will be no engine any more, and returns why."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.failure is not None)
        assert self.failure is not None
        return self.failure

    async def stop(self) -> None:
        """Ends the process and waits for its end; conversations that are open get their fault."""
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping
        await self._fail("the engine was stopped")

    @property
    def process_id(self) -> int | None:
        """The engine process of this moment, if there is one."""
        return None if self._link is None else self._link.process_id

    @property
    def silent_s(self) -> float:
        """How long the engine that is there has said nothing, though it is asked now and then."""
        return 0.0 if self.ready is None else self._clock() - self._heard_s

    @property
    def silence_limit_s(self) -> float:
        """How long that may be before it is not to be counted on."""
        return self._settings.silence_limit_s

    @property
    def is_up(self) -> bool:
        """Whether there is an engine that takes conversations and is to be counted on."""
        return self.ready is not None and self.silent_s <= self.silence_limit_s

    def subscribe(
        self, conversation_id: str, queue: asyncio.Queue[Event] | None = None
    ) -> asyncio.Queue[Event]:
        """Returns the bounded queue on which everything about this conversation will come.

        Another conversation's `queue` may be given, to hear of both in one order.
        """
        assert conversation_id not in self._queues, f"{conversation_id} is subscribed already"
        if queue is None:
            queue = asyncio.Queue(self._settings.queue_messages)
        self._queues[conversation_id] = queue
        if self.ready is None:
            self._lose(conversation_id, "engine_lost", "the engine is not ready")
        return queue

    def unsubscribe(self, conversation_id: str) -> None:
        """Forgets the queue; tells the engine to close the conversation if it still has it."""
        if self._queues.pop(conversation_id, None) is not None and self._link is not None:
            self._link.post(CloseConversation(conversation_id=conversation_id))

    async def send(self, message: Command) -> None:
        """Sends a message, waiting while the engine is behind.

        For a conversation that was lost (its queue ends with a fatal fault) this does nothing.

        Raises:
            WireError: The message holds what cannot be written, such as half a surrogate pair.
        """
        lost = isinstance(message, OfConversation) and message.conversation_id not in self._queues
        if not lost and self._link is not None:
            await self._link.send(message)

    async def _keep(self) -> None:
        """Keeps an engine until there can be none any more, and says so whatever the reason is."""
        try:
            await self._run_processes()
        except Exception as error:  # a fault of ours: whoever waits for an engine is told
            logger.exception("the engine cannot be kept")
            await self._fail(f"the engine cannot be kept: {error}")

    async def _run_processes(self) -> None:
        """Runs one process after the other until one cannot be loaded, or too many died."""
        while True:
            try:
                await self._run_process()
            except EngineGoneError as error:
                self.died += 1
                if isinstance(error, EngineLoadError) and not self._has_loaded:
                    # What has never loaded will not load again.
                    logger.error("%s", error)
                    await self._fail(str(error))
                    return
                self._deaths += 1
                logger.error("engine death %d: %s", self._deaths, error)
                await self._set_ready(None)
                self._lose_all(str(error))
                if self._deaths >= self._settings.max_deaths:
                    await self._fail(f"{self._deaths} engine deaths in a row; the last: {error}")
                    return

    async def _run_process(self) -> None:
        """Runs one process from its start to its end.

        Raises:
            EngineGoneError: It did not start, ended, hung or was not ready in time.
        """
        with tempfile.TemporaryDirectory(prefix="omnilive-") as directory:
            endpoint = f"ipc://{Path(directory) / 'engine'}"
            command = (*self._worker, "--endpoint", endpoint, *self._engine.flags())
            async with EngineLink(endpoint, command, self._settings) as link:
                self._link = link
                try:
                    await self._follow(link)
                finally:
                    self._link = None

    async def _follow(self, link: EngineLink) -> None:
        """Routes what the engine says, and asks now and then whether it still turns."""
        limit_s = self._settings.start_timeout_s
        waited_for, setting = "ready", "engine_start_timeout_s"
        while True:
            try:
                message = await link.receive(limit_s)
            except TimeoutError:
                raise EngineGoneError(
                    f"the engine was not {waited_for} in {limit_s:g} s ({setting})"
                ) from None
            self._heard_s = self._clock()
            await self._route(message)
            if isinstance(message, EngineReady):
                link.ping_every(self._settings.ping_interval_s, Ping)
                limit_s = self._settings.ping_timeout_s
                waited_for, setting = "answering", "engine_hang_timeout_s"

    async def _route(self, message: Event) -> None:
        match message:
            case EngineLoading():
                if self._progress is not None:
                    self._progress(message)
                elif (line := self._lines.line(message)) is not None:
                    logger.info("engine: %s", line)
            case EngineReady():
                self._has_loaded = True
                await self._set_ready(message)
            case EngineLoad():
                self.load = message
            case EngineFault(conversation_id=None, code="load_failed", message=reason):
                raise EngineLoadError(f"the engine cannot be loaded: {reason}")
            case EngineFault(conversation_id=None):
                logger.error("engine fault: %s", message.code)
            case EngineFault(conversation_id=str(name)):
                self._deliver(name, message)
            case OfConversation(conversation_id=name):
                self._deliver(name, message)

    def _deliver(self, name: str, message: Event) -> None:
        queue = self._queues.get(name)
        if queue is None:
            return  # closed on this side while the message was on its way
        if isinstance(message, ConversationOpened):
            self._deaths = 0
        try:
            queue.put_nowait(message)
        except asyncio.QueueFull:
            limit = self._settings.queue_messages
            for sharer in [other for other, shared in self._queues.items() if shared is queue]:
                self._lose(sharer, "slow_consumer", f"{limit} messages were waiting to be read")
                if self._link is not None:
                    self._link.post(CloseConversation(conversation_id=sharer))
        else:
            if isinstance(message, EngineFault) and message.fatal:
                del self._queues[name]

    def _lose_all(self, reason: str) -> None:
        for name in list(self._queues):
            self._lose(name, "engine_lost", reason)

    def _lose(self, name: str, code: str, reason: str) -> None:
        """Ends a conversation's queue with the fault; a full queue makes room for it."""
        queue = self._queues.pop(name)
        if queue.full():
            queue.get_nowait()
        queue.put_nowait(EngineFault(conversation_id=name, code=code, message=reason, fatal=True))

    async def _set_ready(self, ready: EngineReady | None) -> None:
        if ready is None:
            self.load = None
        async with self._changed:
            self.ready, self.last = ready, ready or self.last
            self._changed.notify_all()

    async def _fail(self, reason: str) -> None:
        self._lose_all(reason)
        self.load = None
        async with self._changed:
            self.ready, self.failure = None, reason
            self._changed.notify_all()
