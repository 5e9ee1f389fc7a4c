"""A caller's line: its microphone goes out at the pace of speech, events and sound come in.

Knows what every line has in common, and a WebSocket. Calls are in `call.py`. Does not know turns.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from clients.python.client import OPEN_LIMIT_S, Event, RealtimeClient, open_conversation
from clients.python.errors import ConnectionFailed
from server.bench.load.record import LATE_S, Lateness
from server.bench.load.speech import Voice
from streaming.media.pacing import Pacer

# A line that was far behind goes on from now: what it did not say is not sent in a burst.
MOST_BEHIND_S = 0.5


@dataclass(frozen=True, slots=True)
class Sound:
    """What a loudspeaker gives: `duration_s` of something that is not silence."""

    duration_s: float


class Line(Protocol):
    """An open line to a server or an echo.

    Attributes:
        voice: Its microphone.
        server_plays: Whether the server paces its own speech, as on a call, and knows what of it
            was heard. If not, sound comes as events, faster than it is played.
    """

    voice: Voice
    server_plays: bool

    async def send(self, kind: str, **fields: Any) -> None:
        """Sends a client event.

        Raises:
            ConnectionFailed: The line is broken.
        """

    async def receive(self) -> Event | Sound:
        """Returns what comes next.

        Raises:
            ConnectionFailed: The line is broken.
        """

    async def vanish(self) -> None:
        """Breaks the line without a word, as a lost network does."""


T = TypeVar("T")
Opening = Callable[[], contextlib.AbstractAsyncContextManager[Line]]


class Punctuality:
    """Counts how late the frames of all lines of a process leave."""

    def __init__(self) -> None:
        self._frames = self._late = 0
        self._worst_s = 0.0

    def note(self, late_s: float, *, skipped_frames: int = 0, frame_s: float = 0.0) -> None:
        """Takes one frame that left `late_s` after it was due.

        The `skipped_frames` of `frame_s` before it never left: each of them was late.
        """
        self._frames += 1 + skipped_frames
        self._late += skipped_frames + (late_s > LATE_S)
        self._worst_s = max(self._worst_s, late_s + skipped_frames * frame_s)

    def figures(self) -> Lateness:
        """All of it."""
        return Lateness(frames=self._frames, late_frames=self._late, worst_s=self._worst_s)


class Pace:
    """When the next frame of one microphone leaves."""

    def __init__(self, frame_s: float, punctuality: Punctuality) -> None:
        self._frame_s = frame_s
        self._pacer = Pacer(frame_s=frame_s, max_late_s=MOST_BEHIND_S)
        self._punctuality = punctuality

    async def next(self) -> float:
        """Waits until a frame is due and returns when that was, however late it is by then.

        So what is measured from a moment in the frame counts from when it was said: a line or a
        loop that holds frames up makes no wait shorter.
        """
        loop = asyncio.get_running_loop()
        due = self._pacer.next(loop.time())
        await asyncio.sleep(max(0.0, due.at_s - loop.time()))
        self._punctuality.note(
            loop.time() - due.at_s, skipped_frames=due.skipped_frames, frame_s=self._frame_s
        )
        return due.at_s


class SocketLine:
    """A conversation over the WebSocket; `open_socket` makes it."""

    server_plays = False

    def __init__(self, client: RealtimeClient, voice: Voice) -> None:
        self.voice = voice
        self._client = client

    async def send(self, kind: str, **fields: Any) -> None:
        """Sends a client event."""
        await self._client.send(kind, **fields)

    async def receive(self) -> Event | Sound:
        """Returns the next server event."""
        return await self._client.receive()

    async def vanish(self) -> None:
        """Drops the connection."""
        self._client.abort()

    async def speak(self, punctuality: Punctuality) -> None:
        """Sends what the microphone gives until the connection ends."""
        pace = Pace(self.voice.frame_s, punctuality)
        with contextlib.suppress(ConnectionFailed):  # whoever receives is told
            while True:
                await self._client.append_audio(self.voice.next_frame(await pace.next()))


@asynccontextmanager
async def open_socket(
    url: str, key: str | None, session: dict[str, Any], voice: Voice, punctuality: Punctuality
) -> AsyncIterator[Line]:
    """Opens a conversation and its microphone, and closes both.

    Raises:
        ServerSaidError: The server refuses.
        ConnectionFailed: No server there, or it does not answer in time.
    """
    async with AsyncExitStack() as stack:
        client = await in_time(stack.enter_async_context(open_conversation(url, key=key)))
        await in_time(client.configure(**session))
        line = SocketLine(client, voice)
        await stack.enter_async_context(running(line.speak(punctuality), "microphone"))
        yield line


async def in_time(opening: Awaitable[T]) -> T:
    """Waits for a step of opening a line.

    Raises:
        ConnectionFailed: It took longer than `OPEN_LIMIT_S`.
    """
    try:
        async with asyncio.timeout(OPEN_LIMIT_S):
            return await opening
    except TimeoutError:
        raise ConnectionFailed(f"no line within {OPEN_LIMIT_S:.0f} s") from None


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Runs a coroutine beside the block and ends it with the block; its errors come out here."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


async def either(*works: Coroutine[Any, Any, object]) -> None:
    """Runs coroutines beside each other; the first to end, or to fail, ends them all."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
