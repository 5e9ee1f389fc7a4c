"""Paths as clients mean them: kits that join a base URL and a path get two slashes between them.

Knows ASGI scopes; nothing else.
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

_SEVERAL = re.compile("/{2,}")


class SingleSlashes:
    """An application whose paths have no two slashes in a row, whatever is asked for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on."""
        path = scope.get("path", "")
        if "//" in path:
            scope = {**scope, "path": _SEVERAL.sub("/", path)}
        await self._app(scope, receive, send)
