"""`POST /v1/chat/completions`: one answer, whole or as server-sent events.

Knows HTTP and the engine. What a request may ask and how its answer looks is
`streaming.protocol.completion_request` and `completion_answer`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import uuid4

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from server.bodies import read_body
from server.clock import unix_s
from server.doors import Visitor
from server.errors import (
    ContextFullError,
    EngineLostError,
    FullError,
    ServerError,
)
from server.gateway import Gateway
from server.leaving import while_there
from server.media_files import MediaFiles
from server.opening import first_answer
from server.sessions import limits_of, profile_of
from server.settings import Settings
from server.sound_files import encoded_sound
from server.telemetry.watch import ConversationWatch
from server.translate import to_engine, to_protocol
from streaming.engine.messages.commands import OpenConversation
from streaming.engine.messages.events import ConversationRefused, EngineFault, Event
from streaming.protocol import commands as said
from streaming.protocol import engine_events as heard
from streaming.protocol.completion_answer import CompletionAnswer
from streaming.protocol.completion_request import Asked, parsed_request
from streaming.protocol.errors import ProtocolError
from streaming.protocol.limits import Limits
from streaming.protocol.wire_json import read_object

logger = logging.getLogger("omnilive.completions")

RESPONSE_ID = "answer"


async def completions(request: Request) -> Response:
    """Answers one request."""
    gateway: Gateway = request.app.state.gateway
    with gateway.telemetry.recorder.door("http"):
        visitor = gateway.doors.let_in(request)
        ready = gateway.ready()
    try:
        limits = limits_of(ready, gateway.settings)
        asked = parsed_request(await _body(request, gateway.settings), profile_of(ready), limits)
        with gateway.telemetry.recorder.door("http"):
            gateway.admit(asked.model, visitor)
        answer = CompletionAnswer(
            asked, completion_id=f"chatcmpl-{uuid4().hex}", model=ready.model_id, created_s=unix_s()
        )
        events = _events(gateway, visitor, asked, limits)
        async with while_there(request):
            # The engine has taken the conversation: until then a refusal has a status of its own.
            await anext(events)
            if not asked.stream:
                return await _whole(events, asked, answer)
    except ProtocolError as error:
        return _refused(error)
    except ClientDisconnect:
        return Response(status_code=499)
    return StreamingResponse(_stream(events, answer), media_type="text/event-stream")


ROUTES: tuple[BaseRoute, ...] = (Route("/v1/chat/completions", completions, methods=["POST"]),)


async def _body(request: Request, settings: Settings) -> dict[str, Any]:
    limit = settings.max_event_bytes
    too_large = ProtocolError(
        "message_too_large", f"The body has more than {limit} bytes (max_event_bytes)."
    )
    timeout_s = settings.request_timeout_s
    body = await read_body(request, max_bytes=limit, too_large=too_large, timeout_s=timeout_s)
    return read_object(body, "The body")


def _decoded(asked: Asked, limits: Limits, settings: Settings) -> list[said.CreateItem]:
    """The conversation as commands, its sound and pictures decoded."""
    files = MediaFiles(limits, settings)
    return [
        said.CreateItem(
            item_id=f"item_{place}",
            previous_item_id=f"item_{place - 1}" if place else None,
            role=item.role,
            parts=tuple(files.part(part) for part in item.parts),
        )
        for place, item in enumerate(asked.items)
    ]


async def _events(
    gateway: Gateway, visitor: Visitor, asked: Asked, limits: Limits
) -> AsyncGenerator[heard.EngineEvent | None]:
    """Yields None once the engine has taken the conversation, then what it says of the answer.

    Raises:
        ProtocolError: Some of its sound or pictures cannot be decoded.
        ServerError: The engine refuses, or is lost.
    """
    watch = gateway.telemetry.watch("http")
    async with _conversation(gateway, visitor, asked, limits, watch) as messages:
        yield None
        while True:
            message = await messages.get()
            watch.heard(message)
            if isinstance(message, EngineFault):
                error = _refusal_of(message)
                watch.ends(error.code)
                raise error
            event = to_protocol(message)
            if event is not None:
                yield event
            if isinstance(event, heard.ReplyDone):
                watch.finished(RESPONSE_ID)
                watch.ends("answered")
                return


@asynccontextmanager
async def _conversation(
    gateway: Gateway,
    visitor: Visitor,
    asked: Asked,
    limits: Limits,
    watch: ConversationWatch,
) -> AsyncIterator[asyncio.Queue[Event]]:
    """Opens a conversation, says all of it and asks for the answer; ends it in any case."""
    with gateway.seat(visitor) as name:
        items = await asyncio.to_thread(_decoded, asked, limits, gateway.settings)
        messages = gateway.engine.subscribe(name)
        try:
            with gateway.telemetry.recorder.door("http"):
                await _open(gateway, name, asked, messages)
            watch.opened(name)
            watch.ends("client_left")  # what else is said before the answer's end says it first
            commands: tuple[said.Command, ...] = (*items, _start(asked))
            for command in commands:
                watch.commanded(command)
                await gateway.engine.send(to_engine(command, name))
            yield messages
        finally:
            watch.closed()
            gateway.engine.unsubscribe(name)


async def _open(gateway: Gateway, name: str, asked: Asked, messages: asyncio.Queue[Event]) -> None:
    """Asks the engine for a conversation.

    Raises:
        ServerError: It refuses, is gone, or does not answer.
    """
    command = OpenConversation(
        conversation_id=name,
        instructions=asked.instructions,
        tools=asked.tools.texts,
        voice=asked.voice,
    )
    match await first_answer(gateway.engine, command, messages):
        case ConversationRefused(code="context", message=text):
            raise ContextFullError(text)
        case ConversationRefused(message=text):
            raise FullError(text)


def _refusal_of(fault: EngineFault) -> ServerError:
    """What it means that an item, or all of a conversation, was refused."""
    if fault.fatal:
        return EngineLostError(fault.message)
    return (
        ContextFullError(fault.message) if fault.code == "capacity" else ServerError(fault.message)
    )


def _start(asked: Asked) -> said.StartResponse:
    return said.StartResponse(
        response_id=RESPONSE_ID,
        item_id=f"item_{len(asked.items)}",
        modality=asked.modality,
        voice=asked.voice,
        instructions=None,
        max_output_tokens=asked.max_tokens,
        tools=None,
        tool_choice=asked.tools.choice,
        function=asked.tools.function,
        parallel_tool_calls=asked.parallel_tool_calls,
    )


async def _whole(
    events: AsyncGenerator[heard.EngineEvent | None], asked: Asked, answer: CompletionAnswer
) -> Response:
    async with aclosing(events):
        async for event in events:
            if event is not None:
                _take(answer, event)
    assert answer.done is not None
    if answer.done.status == "failed":
        return JSONResponse({"error": _failure(answer.done)}, 500)
    sound = b""
    if asked.modality == "audio":
        sound = await asyncio.to_thread(encoded_sound, bytes(answer.pcm), asked.audio_format)
    return JSONResponse(answer.whole(sound))


async def _stream(
    events: AsyncGenerator[heard.EngineEvent | None], answer: CompletionAnswer
) -> AsyncIterator[bytes]:
    """Server-sent events; a failure is one too, for the status has been sent."""
    try:
        # A client that leaves closes this, and with it the conversation.
        async with aclosing(events):
            async for event in events:
                for chunk in _take(answer, event) if event is not None else ():
                    yield _sse(chunk)
        assert answer.done is not None
        if answer.done.status == "failed":
            yield _sse({"error": _failure(answer.done)})
    except ServerError as error:
        logger.info("an answer broke off: %s", error.code)
        yield _sse(error.body())
    yield b"data: [DONE]\n\n"


def _take(answer: CompletionAnswer, event: heard.EngineEvent) -> list[dict[str, Any]]:
    match event:
        case (
            heard.ReplyText()
            | heard.ReplyAudio()
            | heard.ReplyCall()
            | heard.ReplyCallDone()
            | heard.ReplyDone()
        ):
            return answer.take(event)
        case _:
            return []


def _failure(done: heard.ReplyDone) -> dict[str, Any]:
    failure = done.failure or heard.Failure(code="server_error", message="The answer failed.")
    return {
        "message": failure.message,
        "type": "server_error",
        "code": failure.code,
        "param": None,
    }


def _refused(error: ProtocolError) -> Response:
    status = 413 if error.code == "message_too_large" else 400
    body = {
        "message": error.message,
        "type": "invalid_request_error",
        "code": error.code,
        "param": error.param,
    }
    return JSONResponse({"error": body}, status)


def _sse(chunk: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"
