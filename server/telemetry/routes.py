"""Where `/metrics` is: on the server's own port, or alone on a port of its own.

Knows paths and which of the two the settings say.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from server.gateway import Gateway
from server.telemetry.exposition import answer

PATH = "/metrics"


async def metrics(request: Request) -> Response:
    """`GET /metrics` on the server's own port."""
    gateway: Gateway = request.app.state.gateway
    if gateway.settings.metrics_port is not None:
        raise HTTPException(404, "metrics have a port of their own here (metrics_port)")
    gateway.doors.check_host(request)
    return answer(request, gateway.telemetry.exposition)


async def metrics_alone(request: Request) -> Response:
    """`GET /metrics` on a port that has nothing else."""
    gateway: Gateway = request.app.state.gateway
    return answer(request, gateway.telemetry.exposition)


ROUTES: tuple[BaseRoute, ...] = (Route(PATH, metrics, methods=["GET"]),)


def create_metrics_app(gateway: Gateway) -> FastAPI:
    """Returns the application for a port of the metrics' own."""
    routes: list[BaseRoute] = [Route(PATH, metrics_alone, methods=["GET"])]
    app = FastAPI(title="omnilive metrics", routes=routes, openapi_url=None)
    app.state.gateway = gateway
    return app
