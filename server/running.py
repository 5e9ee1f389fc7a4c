"""A gateway that runs: it listens, its engine loads, and both end together.

Knows the order of starting and stopping. Does not know who wants it: a command, the demo, a test.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from socket import socket

import uvicorn

from server.app import create_app
from server.engine import new_engine
from server.gateway import Gateway
from server.listener import address_of, listen, listen_for_metrics, uvicorn_server
from server.settings import Settings
from server.telemetry.routes import create_metrics_app
from streaming.engine.client import EngineClient
from streaming.engine.messages.events import EngineLoading, EngineReady

logger = logging.getLogger("omnilive.server")

Progress = Callable[[EngineLoading], None]


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that takes conversations.

    Attributes:
        address: Host and port that it really listens on.
        metrics_address: Those of `/metrics`; the same where that has no port of its own.
        ready: What its engine can do.
    """

    address: str
    metrics_address: str
    ready: EngineReady
    gateway: Gateway
    server: uvicorn.Server
    listening: asyncio.Task[None]

    @property
    def url(self) -> str:
        """Where the Realtime API is."""
        return f"ws://{self.address}/v1/realtime"

    def stop(self) -> None:
        """Asks it to end; `listening` is done when it has."""
        self.server.should_exit = True

    async def drain(self) -> None:
        """Lets nobody in any more, gives those who are there their time, and asks it to end."""
        await self.gateway.drain()
        await self.gateway.dismiss()
        self.stop()


@asynccontextmanager
async def running_server(
    settings: Settings, progress: Progress, engine: EngineClient | None = None
) -> AsyncIterator[Running]:
    """Listens at once, loads the engine meanwhile, and yields when conversations can be had.

    Args:
        settings: Of the gateway and its engine.
        progress: Hears each step of the engine's loading.
        engine: One that has not been started, in the place of the settings' own.

    Raises:
        SettingsError: An address cannot be listened on, or something that is asked for not be had.
        EngineGoneError: The engine did not become ready; says why.
    """
    with (
        listen(settings) as listener,
        listen_for_metrics(settings) or nullcontext() as metrics_listener,
    ):
        gateway = Gateway(
            settings=settings,
            engine=engine or new_engine(settings, progress),
            address=listener.getsockname()[0],
        )
        async with _served(gateway, listener, metrics_listener) as running:
            yield running


@asynccontextmanager
async def _served(
    gateway: Gateway, listener: socket, metrics_listener: socket | None
) -> AsyncIterator[Running]:
    async with _metrics_served(gateway, metrics_listener), gateway.telemetry.measuring():
        server = uvicorn_server(create_app(gateway), gateway.settings)
        listening = asyncio.create_task(server.serve(sockets=[listener]), name="listen")
        try:
            await gateway.engine.start()
            _freeze()
            yield Running(
                address=address_of(listener),
                metrics_address=address_of(metrics_listener or listener),
                ready=gateway.ready(),
                gateway=gateway,
                server=server,
                listening=listening,
            )
        finally:
            await _stop(gateway, server)
            await listening
            gc.unfreeze()


async def _stop(gateway: Gateway, server: uvicorn.Server) -> None:
    await gateway.dismiss()
    server.should_exit = True
    await gateway.calls.close()
    await gateway.held.close()
    # Before the listener has ended: answers still being made break off with an error.
    await gateway.engine.stop()


def _freeze() -> None:
    """Keeps what is here now out of every collection: none need look at it while somebody talks."""
    gc.collect()
    gc.freeze()
    # A full collection comes when the objects that are looked at have grown by a quarter since the
    # last one: this one saw none of what is frozen.
    gc.collect()


@asynccontextmanager
async def _metrics_served(gateway: Gateway, listener: socket | None) -> AsyncIterator[None]:
    if listener is None:
        yield
        return
    server = uvicorn_server(create_metrics_app(gateway), gateway.settings)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="metrics")
    try:
        yield
    finally:
        server.should_exit = True
        await serving
