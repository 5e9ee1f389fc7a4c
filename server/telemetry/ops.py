"""The operator page at `/ops`, for those without a dashboard: what goes on now and was lately.

Knows the page's files, the key that opens it and what it is told. Without an `admin_key` there is
no page.
"""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from server.clock import unix_s
from server.doors import Visitor, key_of
from server.errors import UnauthorizedError
from server.gateway import Gateway
from server.page import file_response, read_files
from server.telemetry.names import TTFA_STAGES
from streaming.engine.messages.load import EngineLoad

HEADERS = {
    # Widths of bars are set by the page's own script.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
FILES = read_files("ops")


async def page(request: Request) -> Response:
    """`GET /ops`: the page, which asks for the key."""
    _check_on(request)
    return file_response(FILES, "index.html", HEADERS)


async def page_file(request: Request) -> Response:
    """`GET /ops/{name}`: one of its files."""
    _check_on(request)
    return file_response(FILES, request.path_params["name"], HEADERS)


async def state(request: Request) -> Response:
    """`GET /ops/state`: all that the page shows; only with the admin key."""
    gateway = _check_on(request)
    key = key_of(request)
    if key is None or gateway.admins.owner_of(key) is None:
        # Who guesses has no more tries a minute than others have openings.
        address = request.client.host if request.client else "unknown"
        gateway.doors.count_opening(Visitor(address=address))
        raise UnauthorizedError("this is for whoever has the admin key; send it as a bearer token")
    return JSONResponse(_state(gateway), headers={"Cache-Control": "no-store"})


ROUTES: tuple[BaseRoute, ...] = (
    Route("/ops", page, methods=["GET"]),
    Route("/ops/state", state, methods=["GET"]),
    Route("/ops/{name}", page_file, methods=["GET"]),
)


def _check_on(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    if not gateway.admins:
        raise HTTPException(404, "the operator page is off; a setting turns it on (admin_key)")
    return gateway


def _state(gateway: Gateway) -> dict[str, Any]:
    journal = gateway.telemetry.journal
    return {
        "at_s": unix_s(),
        "model": gateway.telemetry.model_id(),
        "conversations": len(gateway.conversations),
        "max_conversations": gateway.settings.max_conversations,
        "is_draining": gateway.draining.begun,
        "engine": _engine(gateway),
        "stages": list(TTFA_STAGES),
        "percentiles": journal.percentiles(),
        "sessions": journal.sessions(),
        "replies": journal.replies(),
    }


def _engine(gateway: Gateway) -> dict[str, Any]:
    engine = gateway.engine
    load = engine.load or EngineLoad()
    ready = engine.ready
    return {
        "is_up": engine.is_up,
        "silent_s": engine.silent_s,
        "failure": engine.failure,
        "deaths": engine.died,
        "replies_running": load.replies_running,
        "replies_waiting": load.replies_waiting,
        "kv_ratio": load.thinker_tokens / load.thinker_capacity if load.thinker_capacity else 0.0,
        "context_ratio": load.fullest_tokens / ready.context_tokens if ready else 0.0,
        "resident_bytes": load.resident_bytes,
        "gpu_used_bytes": load.gpu_used_bytes,
        "gpu_total_bytes": load.gpu_total_bytes,
    }
