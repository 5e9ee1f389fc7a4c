"""The gateway as an ASGI application: its routes as data, and errors in the API's own form.

Knows paths and HTTP. Does not know how it is listened to (`listener.py`) or what a conversation is.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, WebSocketRoute

from server import completions, page
from server.doors import split
from server.errors import ServerError
from server.gateway import Gateway
from server.realtime import qwen_realtime, realtime
from server.slashes import SingleSlashes
from server.telemetry import ops
from server.telemetry import routes as telemetry
from server.webrtc import routes as webrtc


class Health(BaseModel):
    """The process runs."""

    status: str = "ok"


class Readiness(BaseModel):
    """The engine takes conversations."""

    status: str = "ready"
    model: str
    conversations: int
    max_conversations: int


class ModelCard(BaseModel):
    """A model that can be asked for; the fields behind `owned_by` are ours."""

    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = "omnilive"
    inputs: tuple[str, ...]
    voices: tuple[str, ...]
    context_tokens: int


class ModelList(BaseModel):
    """Every model of this server."""

    object: str = "list"
    data: list[ModelCard]


async def healthz(request: Request) -> Health:
    """Says that the process is worth keeping; 503 once its engine will not come back."""
    gateway: Gateway = request.app.state.gateway
    if gateway.engine.failure is not None:
        gateway.ready()
    return Health()


async def readyz(request: Request) -> Readiness:
    """Says whether conversations can be had; 503 while draining, or without an engine."""
    gateway: Gateway = request.app.state.gateway
    gateway.check_open()
    return Readiness(
        model=gateway.ready().model_id,
        conversations=len(gateway.conversations),
        max_conversations=gateway.settings.max_conversations,
    )


async def models(request: Request) -> ModelList:
    """Lists the model that is served; 503 while the engine is not there."""
    gateway: Gateway = request.app.state.gateway
    gateway.doors.let_in(request)
    ready = gateway.ready()
    card = ModelCard(
        id=ready.model_id,
        inputs=ready.inputs,
        voices=ready.voices,
        context_tokens=ready.context_tokens,
    )
    return ModelList(data=[card])


ROUTES: tuple[BaseRoute, ...] = (
    APIRoute("/healthz", healthz, methods=["GET"]),
    APIRoute("/readyz", readyz, methods=["GET"]),
    APIRoute("/v1/models", models, methods=["GET"]),
    WebSocketRoute("/v1/realtime", realtime),
    WebSocketRoute("/api-ws/v1/realtime", qwen_realtime),
    *completions.ROUTES,
    *webrtc.ROUTES,
    *telemetry.ROUTES,
    *ops.ROUTES,
    *page.ROUTES,
)


def create_app(gateway: Gateway) -> FastAPI:
    """Returns the application around a gateway, whose engine its owner starts and stops."""
    # Without the description, and so without the pages around it, which load from elsewhere.
    app = FastAPI(title="omnilive", routes=list(ROUTES), openapi_url=None)
    app.state.gateway = gateway
    app.add_middleware(
        CORSMiddleware,
        allow_origins=split(gateway.settings.allowed_origins),
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=["Location"],
    )
    app.add_middleware(SingleSlashes)
    app.add_exception_handler(ServerError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_http)
    app.add_exception_handler(Exception, _fail)
    return app


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServerError)
    return JSONResponse(error.body(), error.status)


async def _refuse_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    body = {"message": message, "type": "invalid_request_error", "code": None, "param": None}
    return JSONResponse({"error": body}, error.status_code, error.headers)


async def _fail(request: Request, error: Exception) -> JSONResponse:
    # A fault of ours; starlette raises it again once this is sent, and so it is logged.
    fault = ServerError("the server failed at this request; its log says why")
    return JSONResponse(fault.body(), fault.status)
