"""The body of an HTTP request, read to its end: no larger than it may be, and in time.

Knows bytes and seconds. Does not know what is in a body.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from server.errors import RequestTimeoutError


async def read_body(
    request: Request, *, max_bytes: int, too_large: Exception, timeout_s: float
) -> bytes:
    """Returns the whole body.

    Args:
        request: Whose.
        max_bytes: Its size at most.
        too_large: Is raised where it is larger; names the limit.
        timeout_s: How long it may take.

    Raises:
        RequestTimeoutError: It took longer; names the limit.
        ClientDisconnect: The client has left.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for piece in request.stream():
                body += piece
                if len(body) > max_bytes:
                    raise too_large
    except TimeoutError:
        raise RequestTimeoutError(
            f"the body took longer than {timeout_s:g} s (request_timeout_s)"
        ) from None
    return bytes(body)
