"""Callers of a bare echo, which is what a gateway is set beside.

Knows the two echoes' lines and how long sound takes to come back. Does not know turns: an echo has
none. What goes over the lines is what the gateway's callers send, frame for frame.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from clients.python.client import OPEN_LIMIT_S, Event
from clients.python.errors import ClientError, ConnectionFailed
from server.bench.load.life import Life
from server.bench.load.line import (
    Line,
    Opening,
    Pace,
    Punctuality,
    Sound,
    either,
    running,
)
from server.bench.load.script import ANSWER_LIMIT_S, THINK_S, Script, Tally, TurnError
from server.bench.load.speech import Saying, Voice


class SocketEchoLine:
    """A WebSocket whose other end says everything back; `open_socket_echo` makes it."""

    server_plays = False

    def __init__(self, connection: ClientConnection, voice: Voice) -> None:
        self.voice = voice
        self._connection = connection
        self._silence = _as_event(voice.silence)

    async def send(self, kind: str, **fields: Any) -> None:
        """Sends a client event."""
        await self._connection.send(json.dumps({"type": kind, **fields}))

    async def receive(self) -> Event | Sound:
        """Returns the next frame that is no silence."""
        try:
            while await self._connection.recv() == self._silence:
                pass
        except ConnectionClosed as closed:
            raise ConnectionFailed(f"the connection ended: {closed}") from None
        return Sound(self.voice.frame_s)

    async def vanish(self) -> None:
        """Drops the connection."""
        self._connection.transport.abort()

    async def speak(self, punctuality: Punctuality) -> None:
        """Sends what the microphone gives until the connection ends."""
        pace = Pace(self.voice.frame_s, punctuality)
        with contextlib.suppress(ConnectionClosed):  # whoever receives is told
            while True:
                frame = self.voice.next_frame(await pace.next())
                await self._connection.send(_as_event(frame))


@asynccontextmanager
async def open_socket_echo(url: str, voice: Voice, punctuality: Punctuality) -> AsyncIterator[Line]:
    """Connects to an echo.

    Raises:
        ConnectionFailed: It is not there.
    """
    try:
        async with connect(url, compression=None, open_timeout=OPEN_LIMIT_S) as connection:
            line = SocketEchoLine(connection, voice)
            async with running(line.speak(punctuality), "microphone"):
                yield line
    except (OSError, InvalidHandshake, TimeoutError) as error:
        raise ConnectionFailed(f"{url}: no echo there: {error}") from None


def _as_event(frame: bytes) -> str:
    """The frame as `RealtimeClient` would send it."""
    audio = base64.b64encode(frame).decode("ascii")
    return json.dumps({"type": "input_audio_buffer.append", "audio": audio})


class EchoCaller(Life):
    """A caller of an echo: says something and waits for its first sound to come back."""

    def __init__(self, tally: Tally, script: Script, opening: Opening, random: Random) -> None:
        super().__init__(tally, script, opening, random)
        self._saying: Saying | None = None
        self._back_s: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def _call(self) -> None:
        try:
            async with self._opening() as line:
                await either(self._listen(line), self._talk(line))
        except ClientError as error:
            raise TurnError("lost", str(error)[:200]) from None

    async def _talk(self, line: Line) -> None:
        while not self._may_leave:
            self._back_s = asyncio.get_running_loop().create_future()
            self._saying = line.voice.say(self._random.choice(self._script.utterances))
            try:
                async with asyncio.timeout(ANSWER_LIMIT_S):
                    back_s = await self._back_s
            except TimeoutError:
                raise TurnError("unanswered", f"nothing within {ANSWER_LIMIT_S:.0f} s") from None
            assert self._saying.sound_at_s is not None, "its echo came"
            delay_s = back_s - self._saying.sound_at_s
            await self._saying.finished.wait()
            self.tally.end_turn("answered", self._clock(), first_sound_s=delay_s)
            # What is left of the echo is not to be taken for the next one's.
            await asyncio.sleep(delay_s + self._random.uniform(*THINK_S))
            self.tally.begin_turn(self._clock())

    async def _listen(self, line: Line) -> None:
        while True:
            came = await line.receive()
            is_back = self._saying is not None and self._saying.sound_at_s is not None
            if isinstance(came, Sound) and is_back and not self._back_s.done():
                self._back_s.set_result(self._clock())
