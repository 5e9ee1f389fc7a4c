"""A connection to a server's Realtime WebSocket: events out, events in.

Knows the socket and JSON. Does not know what a turn is (`turn.py`) or where sound comes from.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from clients.python.errors import ConnectionFailed, ServerSaidError

DEFAULT_URL = "ws://127.0.0.1:8000/v1/realtime"
MAX_EVENT_BYTES = 2**26
# How long a server that took the connection may take to say that there is a session.
OPEN_LIMIT_S = 15.0
_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}

Event = dict[str, Any]


class RealtimeClient:
    """One open conversation; made by `open_conversation`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, kind: str, **fields: Any) -> None:
        """Sends one client event.

        Raises:
            ConnectionFailed: The connection has ended.
        """
        try:
            await self._connection.send(json.dumps({"type": kind, **fields}))
        except ConnectionClosed as closed:
            raise ConnectionFailed(f"the connection ended: {closed}") from None

    async def append_audio(self, pcm: bytes) -> None:
        """Sends speech: 24 kHz mono, signed 16 bit little-endian."""
        audio = base64.b64encode(pcm).decode("ascii")
        await self.send("input_audio_buffer.append", audio=audio)

    async def receive(self) -> Event:
        """Returns the next server event.

        Raises:
            ConnectionFailed: The connection has ended.
        """
        try:
            event: Event = json.loads(await self._connection.recv())
        except ConnectionClosed as closed:
            raise ConnectionFailed(f"the connection ended: {closed}") from None
        return event

    async def expect(self, kind: str) -> Event:
        """Returns the next event of this type, passing over others.

        Raises:
            ServerSaidError: An `error` event came first.
            ConnectionFailed: The connection has ended.
        """
        while True:
            event = await self.receive()
            if event["type"] == "error":
                raise server_said(event["error"])
            if event["type"] == kind:
                return event

    async def configure(self, **session: Any) -> Event:
        """Updates the session and returns it whole, as the server now holds it."""
        await self.send("session.update", session={"type": "realtime", **session})
        updated: Event = (await self.expect("session.updated"))["session"]
        return updated

    def abort(self) -> None:
        """Drops the connection without a word, as a lost network does."""
        self._connection.transport.abort()


@asynccontextmanager
async def open_conversation(
    url: str = DEFAULT_URL, *, model: str | None = None, key: str | None = None
) -> AsyncIterator[RealtimeClient]:
    """Connects, waits for `session.created`, and closes at the end.

    Args:
        url: Address of the endpoint; http and https mean ws and wss.
        model: Name of the model to ask for; None takes what the server has.
        key: Bearer key, if the server wants one.

    Raises:
        ConnectionFailed: No server there, not a Realtime server, or no session in time.
        ServerSaidError: The server refuses the conversation.
    """
    address = endpoint(url, model)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        connection = await connect(address, additional_headers=headers, max_size=MAX_EVENT_BYTES)
    # A host can be such that it cannot even be asked for: that is a ValueError.
    except (OSError, InvalidHandshake, InvalidURI, TimeoutError, ValueError) as error:
        raise ConnectionFailed(f"{url}: no Realtime server there: {error}") from None
    try:
        client = RealtimeClient(connection)
        try:
            async with asyncio.timeout(OPEN_LIMIT_S):
                await client.expect("session.created")
        except TimeoutError:
            raise ConnectionFailed(f"{url}: no session within {OPEN_LIMIT_S:.0f} s") from None
        yield client
    finally:
        await connection.close()


def endpoint(url: str, model: str | None) -> str:
    """Returns the WebSocket address with the model in its query.

    Raises:
        ConnectionFailed: The address has no scheme, host or port that leads to a WebSocket.
    """
    try:
        parts = urlsplit(url)
        leads_somewhere = parts.scheme in _SCHEMES and parts.hostname and parts.port != 0
    except ValueError:  # brackets that hold no address, a port that is none
        leads_somewhere = False
    if not leads_somewhere:
        raise ConnectionFailed(f"{url}: expected an address like {DEFAULT_URL}")
    query = "&".join(filter(None, [parts.query, urlencode({"model": model}) if model else ""]))
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, parts.path, query, ""))


def server_said(error: Event) -> ServerSaidError:
    """Makes an exception of an `error` event's payload."""
    return ServerSaidError(str(error.get("code") or error.get("type")), str(error.get("message")))
