"""The web page at `/` and its files, as they lie in `clients/web`.

Knows files, their types and the headers that keep a page to itself. Does not know what it does.
"""

from __future__ import annotations

import mimetypes
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

SUFFIXES = (".html", ".css", ".js", ".svg")
HEADERS = {
    # Styles of elements are set by the page's own script (the level meters).
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "media-src 'self' blob:; connect-src 'self' ws: wss:; worker-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}

# Few and small: read once, and nothing but them can be asked for.
FILES = {
    entry.name: entry.read_bytes()
    for entry in (files("clients") / "web").iterdir()
    if entry.name.endswith(SUFFIXES)
}


async def page(request: Request) -> Response:
    """`GET /`: the page."""
    return _file("index.html")


async def page_file(request: Request) -> Response:
    """`GET /web/{name}`: one of its files."""
    return _file(request.path_params["name"])


ROUTES: tuple[BaseRoute, ...] = (
    Route("/", page, methods=["GET"]),
    Route("/web/{name}", page_file, methods=["GET"]),
)


def _file(name: str) -> Response:
    content = FILES.get(name)
    if content is None:
        raise HTTPException(404, "no such file")
    kind = mimetypes.types_map[name[name.rindex(".") :]]
    return Response(content, headers=HEADERS, media_type=kind)
