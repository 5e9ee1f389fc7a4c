"""The HTTP side of calls: offers, hang-ups, client secrets and ICE servers.

Knows requests and replies. What a call does is `call.py`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message

from server.bodies import read_body
from server.errors import UnauthorizedError
from server.gateway import Gateway
from server.leaving import while_there
from server.sessions import limits_of, profile_of
from server.settings import Settings
from server.webrtc.call import Call
from server.webrtc.errors import (
    OfferError,
    OfferTooLargeError,
    OfferTypeError,
    RenegotiationError,
)
from server.webrtc.offer import read_offer
from streaming.protocol.errors import ProtocolError
from streaming.protocol.outbox import random_id
from streaming.protocol.session_kind import REALTIME, Options
from streaming.protocol.transcription_session import TRANSCRIPTION, TYPE
from streaming.protocol.validation import Wire, validated
from streaming.protocol.wire_json import read_object

SDP = "application/sdp"
MULTIPART = "multipart/form-data"
CALLS = "/v1/realtime/calls"


class ExpiresAfter(Wire):
    """How long a client secret lives."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(default=600, ge=10, le=7200)


class SecretRequest(Wire):
    """Asks for a client secret."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: dict[str, Any] = Field(default={"type": "realtime"})


async def open_call(request: Request) -> Response:
    """`POST /v1/realtime/calls`: an offer, and the answer back, with the call's place."""
    gateway: Gateway = request.app.state.gateway
    with gateway.telemetry.recorder.door("webrtc"):
        visitor = gateway.doors.let_in(request)
        sdp, options = await _read_call(request, gateway.settings)
        session = _merged(visitor.identity.session, options)
        ready = gateway.admit(request.query_params.get("model"), visitor)
        offer = read_offer(sdp, max_candidates=gateway.settings.max_candidates)
        call = Call(gateway, ready, visitor, session, offer)
        try:
            async with while_there(request):
                answer = await call.answer()
                gateway.calls.start(call)
        except ClientDisconnect:
            call.hang_up("its client left before the answer")  # where it has just been started
            return Response(status_code=499)
    headers = {"Location": f"{CALLS}/{call.call_id}"}
    return Response(answer, 201, headers, media_type=SDP)


async def hang_up(request: Request) -> Response:
    """`POST /v1/realtime/calls/{call_id}/hangup`: ends a call."""
    gateway: Gateway = request.app.state.gateway
    call_id = request.path_params["call_id"]
    visitor = gateway.doors.let_in(request, gateway.calls.opener(call_id))
    gateway.calls.hang_up(call_id, visitor)
    return Response(status_code=200)


async def renegotiate(request: Request) -> Response:
    """`POST /v1/realtime/calls/{call_id}`: says that a call keeps what it was begun with."""
    gateway: Gateway = request.app.state.gateway
    gateway.doors.let_in(request)
    raise RenegotiationError(
        "a call keeps the tracks of its first offer: offer a video section at the start and fill "
        "it later with replaceTrack, or open a new call"
    )


async def mint_secret(request: Request) -> Response:
    """`POST /v1/realtime/client_secrets`: a key for a browser, with a session's defaults."""
    gateway: Gateway = request.app.state.gateway
    visitor = gateway.doors.let_in(request)
    if visitor.identity.is_secret:
        raise UnauthorizedError("a client secret cannot make others; use an API key")
    gateway.doors.count_opening(visitor)
    gateway.check_open()
    asked = _secret_request(await _body(request, gateway.settings))
    session = _echo(gateway, asked.session)
    lifetime_s = asked.expires_after.seconds
    owner = visitor.identity.owner
    value, expires_at = gateway.doors.secrets.mint(owner, asked.session, lifetime_s)
    return JSONResponse({"value": value, "expires_at": expires_at, "session": session})


async def ice_servers(request: Request) -> Response:
    """`GET /v1/realtime/ice-servers`: what to give to `RTCPeerConnection`."""
    gateway: Gateway = request.app.state.gateway
    gateway.doors.let_in(request)
    return JSONResponse({"ice_servers": gateway.calls.ice.for_peers()})


ROUTES: tuple[BaseRoute, ...] = (
    Route(CALLS, open_call, methods=["POST"]),
    Route(CALLS + "/{call_id}", renegotiate, methods=["POST"]),
    Route(CALLS + "/{call_id}/hangup", hang_up, methods=["POST"]),
    Route("/v1/realtime/client_secrets", mint_secret, methods=["POST"]),
    Route("/v1/realtime/ice-servers", ice_servers, methods=["GET"]),
)


async def _read_call(request: Request, settings: Settings) -> tuple[str, dict[str, Any] | None]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == SDP:
        return _text(await _body(request, settings)), None
    if kind == MULTIPART:
        return await _read_form(request, await _body(request, settings))
    raise OfferTypeError(f"a body of type {kind[:100]!r} is not taken; send {SDP} or {MULTIPART}")


async def _read_form(request: Request, body: bytes) -> tuple[str, dict[str, Any] | None]:
    async def replay() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        async with Request(request.scope, replay).form(max_files=4, max_fields=4) as form:
            parts = {
                name: await part.read() if isinstance(part, UploadFile) else part.encode()
                for name, part in form.items()
            }
    except (HTTPException, MultipartParseError) as error:
        detail = error.detail if isinstance(error, HTTPException) else str(error)
        raise OfferError(f"the form cannot be read: {detail}") from None
    if "sdp" not in parts:
        raise OfferError("the form has no part 'sdp'", "sdp")
    session = parts.get("session")
    return _text(parts["sdp"]), None if session is None else _object(session, "session")


async def _body(request: Request, settings: Settings) -> bytes:
    limit = settings.max_offer_bytes
    too_large = OfferTooLargeError(f"the request is larger than {limit} bytes (max_offer_bytes)")
    timeout_s = settings.request_timeout_s
    return await read_body(request, max_bytes=limit, too_large=too_large, timeout_s=timeout_s)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise OfferError("the offer is no text in UTF-8", "sdp") from None


def _object(body: bytes, param: str | None) -> dict[str, Any]:
    what = "The body" if param is None else f"The part '{param}'"
    try:
        return read_object(body, what)
    except ProtocolError as error:
        raise OfferError(error.message, param, error.code) from None


def _secret_request(body: bytes) -> SecretRequest:
    try:
        return validated(SecretRequest, _object(body, None) if body else {}, under="")
    except ProtocolError as error:
        raise OfferError(error.message, error.param, error.code) from None


def _echo(gateway: Gateway, session: dict[str, Any]) -> dict[str, Any]:
    """The session that a secret will open, as the API shows it; refuses one that could not be."""
    ready = gateway.ready()
    kind = TRANSCRIPTION if session.get("type") == TYPE else REALTIME
    limits = limits_of(ready, gateway.settings)
    try:
        options = Options(kind, profile_of(ready), limits, session)
    except ProtocolError as error:
        raise OfferError(error.message, error.param, error.code) from None
    return options.shown(session_id=random_id("sess"), expires_at_s=None)


def _merged(base: dict[str, Any] | None, patch: dict[str, Any] | None) -> dict[str, Any] | None:
    """Options over options; objects are merged, everything else is replaced."""
    if base is None or patch is None:
        return patch if base is None else base
    result = dict(base)
    for key, value in patch.items():
        below = result.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        result[key] = _merged(below, value) if both else value
    return result
