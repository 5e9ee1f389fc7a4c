"""`GET /v1/realtime?call_id=…`: a second line into a call, from the application's own server.

It hears every event of the call and may send any, so that tools and instructions can live where
the peer's browser does not. It carries no sound, and the call goes on without it. Knows one such
line; does not know calls, nor what an event means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from server import pumps
from server.errors import ServerError, SlowReaderError
from server.gateway import Gateway
from server.outbox import Outbox
from server.settings import Settings
from server.webrtc.errors import CallOverError


class Sideband:
    """What waits to be sent on one such line; one that falls behind fails by itself."""

    def __init__(self, settings: Settings) -> None:
        self.outbox = Outbox(
            max_events=settings.send_queue_events, max_bytes=settings.send_queue_bytes
        )
        self._failure: ServerError | None = None
        self._ended = asyncio.Event()

    def take(self, events: Iterable[dict[str, Any]]) -> None:
        """Takes events of the call."""
        try:
            self.outbox.put(events)
        except SlowReaderError as error:
            self.end(error)

    def end(self, failure: ServerError) -> None:
        """Asks for the line's end; the first reason stays."""
        self._failure = self._failure or failure
        self._ended.set()

    async def wait_for_end(self) -> None:
        """Waits until the line must end.

        Raises:
            ServerError: Why.
        """
        await self._ended.wait()
        assert self._failure is not None
        raise self._failure


async def join_call(websocket: WebSocket, gateway: Gateway, sideband: Sideband) -> None:
    """Serves one client that asked for a call, until it leaves or the call is over.

    Raises:
        ServerError: It may not join, or the line ended from our side; says why.
    """
    call_id = websocket.query_params["call_id"]
    visitor = gateway.doors.let_in(websocket, gateway.calls.opener(call_id))
    gateway.doors.count_opening(visitor)
    call = gateway.calls.find(call_id, visitor)
    call.listeners.join(sideband)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {
                "receive": pumps.receive(websocket, call.listeners),
                "send": pumps.send(websocket, sideband.outbox, gateway.settings.send_timeout_s),
                "end": sideband.wait_for_end(),
            }
            for name, task in tasks.items():
                group.create_task(task, name=f"{call.call_id} sideband {name}")
    except* WebSocketDisconnect:
        pass  # the call goes on
    except* CallOverError:
        await websocket.close(1000, "the call is over")
    except* ServerError as errors:
        raise errors.exceptions[0] from None
    finally:
        call.listeners.leave(sideband)
