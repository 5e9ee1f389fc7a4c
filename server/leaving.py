"""What is done for a client of HTTP is given up when the client leaves.

Knows ASGI's word for that. Does not know what is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request


@asynccontextmanager
async def while_there(request: Request) -> AsyncIterator[None]:
    """Runs the block, whose request has been read, until it ends or the client leaves.

    Raises:
        ClientDisconnect: The client has left; the block was cancelled.
    """
    limit = asyncio.timeout(None)
    leaving = asyncio.create_task(_leave(request, limit), name="client leaves")
    try:
        async with limit:
            try:
                yield
            finally:
                # Before the block is left: whoever sends the response reads what comes himself.
                leaving.cancel()
                await asyncio.wait({leaving})
    except TimeoutError:
        if limit.expired():
            raise ClientDisconnect from None
        raise


async def _leave(request: Request, limit: asyncio.Timeout) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    limit.reschedule(asyncio.get_running_loop().time())
