"""uvicorn as this server runs it: its limits, and ways to cut a connection that does not go on.

Knows uvicorn. Does not know what the application does.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from server.errors import SettingsError
from server.settings import Settings

ABORT = "omnilive.abort"
# A frame up to this many times the limit still gets an error event; above it the line is closed
# (1009) before the frame is read to its end.
FRAME_LIMIT_FACTOR = 2
GRACE_S = 5
PING_INTERVAL_S = 20.0


class CuttableWebSocket(WebSocketsSansIOProtocol):
    """Lets the application abort its connection: closing one waits until the peer has read."""

    def handle_connect(self, event: Request) -> None:
        """Adds the extension to the scope that the application is about to be given."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[ABORT] = self.transport.abort


def impatient_http(timeout_s: float) -> type[HttpToolsProtocol]:
    """Returns a protocol that closes a connection on which no request is begun to its body."""

    class ImpatientHttp(HttpToolsProtocol):
        _closing: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._closing = self.loop.call_later(timeout_s, self._close)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._stay()
            elif self._closing is None:  # the next request begins
                self._closing = self.loop.call_later(timeout_s, self._close)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stay()
            super().connection_lost(exc)

        def _stay(self) -> None:
            if self._closing is not None:
                self._closing.cancel()
                self._closing = None

        def _close(self) -> None:
            self._closing = None
            if self.transport.get_protocol() is self:  # and no WebSocket's by now
                self.transport.close()

    return ImpatientHttp


def abort_connection(scope: MutableMapping[str, Any]) -> None:
    """Drops the connection at once, with whatever was still to be sent on it."""
    abort: Callable[[], None] | None = scope["extensions"].get(ABORT)
    if abort is not None:
        abort()


def listen(settings: Settings) -> socket.socket:
    """Binds the address of the settings.

    Raises:
        SettingsError: The address cannot be had; names it.
    """
    where = f"--host {settings.host} --port {settings.port}"
    return _bound(settings.host, settings.port, where)


def listen_for_metrics(settings: Settings) -> socket.socket | None:
    """Binds the address that is the metrics' own; None if they have none.

    Raises:
        SettingsError: The address cannot be had; names it.
    """
    port, host = settings.metrics_port, settings.metrics_host or settings.host
    if port is None:
        return None
    return _bound(host, port, f"--metrics-host {host} --metrics-port {port}")


def address_of(listener: socket.socket) -> str:
    """Returns the host and port that a socket really listens on, as a URL has them."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bound(host: str, port: int, where: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(f"{where}: {error.strerror}") from None
    return listener


class QuietServer(uvicorn.Server):
    """Leaves signals to whoever runs it: more than the listener has to end in order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


def uvicorn_server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    """Returns a server that has not begun; give it the sockets of `listen`."""
    return QuietServer(
        uvicorn.Config(
            app,
            http=impatient_http(settings.request_timeout_s),
            ws=CuttableWebSocket,
            ws_max_size=settings.max_event_bytes * FRAME_LIMIT_FACTOR,
            ws_ping_interval=PING_INTERVAL_S,
            ws_ping_timeout=PING_INTERVAL_S,
            ws_per_message_deflate=False,  # speech does not compress, and it would cost latency
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=GRACE_S,
            lifespan="off",
        )
    )
