"""The web page at `/` and its files, as they lie in `clients/web`.

Knows files, their types and the headers that keep a page to itself. Does not know what it does.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
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


def read_files(folder: str) -> dict[str, bytes]:
    """Returns the files of a page in `clients`, by name.

    They are few and small: read once, and nothing but them can be asked for.
    """
    return {
        entry.name: entry.read_bytes()
        for entry in (files("clients") / folder).iterdir()
        if entry.name.endswith(SUFFIXES)
    }


FILES = read_files("web")


async def page(request: Request) -> Response:
    """`GET /`: the page."""
    return file_response(FILES, "index.html", HEADERS)


async def page_file(request: Request) -> Response:
    """`GET /web/{name}`: one of its files."""
    return file_response(FILES, request.path_params["name"], HEADERS)


ROUTES: tuple[BaseRoute, ...] = (
    Route("/", page, methods=["GET"]),
    Route("/web/{name}", page_file, methods=["GET"]),
)


def file_response(pages: Mapping[str, bytes], name: str, headers: Mapping[str, str]) -> Response:
    """Returns one of a page's files; 404 if there is none of that name."""
    content = pages.get(name)
    if content is None:
        raise HTTPException(404, "no such file")
    kind = mimetypes.types_map[name[name.rindex(".") :]]
    return Response(content, headers=dict(headers), media_type=kind)
