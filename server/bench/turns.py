"""Turns with the real thing: a server, its engine process, and a client on its WebSocket.

Knows how a question is asked, over the socket as a client sees it and, for the stages' times that
no client sees, at the engine itself. Does not know what is made of the figures.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np

from clients.python.client import open_conversation
from clients.python.report import TurnReport
from clients.python.sources import FRAME_MS, Recording
from clients.python.turn import ask_aloud
from server.bench.errors import SilentReplyError
from server.bench.machine import Machine
from server.bench.options import BenchOptions
from server.bench.questions import for_engine
from server.errors import EngineLostError
from server.running import Running, running_server
from streaming.engine.client import EngineClient
from streaming.engine.messages.commands import (
    OpenConversation,
    Respond,
    UserAudio,
    UserAudioStart,
    UserAudioStop,
)
from streaming.engine.messages.content import INPUT_SAMPLE_RATE_HZ
from streaming.engine.messages.events import (
    AudioDelta,
    ConversationOpened,
    ConversationRefused,
    EngineFault,
    EngineLoading,
    Event,
    ResponseDone,
)

_FRAME_SAMPLES = INPUT_SAMPLE_RATE_HZ * FRAME_MS // 1000


@dataclass(frozen=True, kw_only=True)
class EngineTurn:
    """A reply as the engine itself saw it.

    Attributes:
        done: Its end, with usage and timings.
        speech_s: Seconds of speech it made.
        chunks: In how many pieces.
    """

    done: ResponseDone
    speech_s: float
    chunks: int


@asynccontextmanager
async def bench_server(options: BenchOptions, machine: Machine) -> AsyncIterator[Running]:
    """Starts a server with its engine process and ends both.

    Raises:
        ServerError: It cannot be started; says why.
        EngineGoneError: The engine did not become ready; says why.
    """

    def unseen(loading: EngineLoading) -> None:
        """Progress is not for a bench's output."""

    async with running_server(options.settings(machine.torch_threads), unseen) as running:
        yield running


async def ask(
    running: Running, question: Recording, options: BenchOptions, *, push_to_talk: bool = True
) -> TurnReport:
    """Asks aloud, at the pace of speech, in a conversation of its own.

    Args:
        running: The server.
        question: What is asked.
        options: Says how long the reply may be.
        push_to_talk: Commit at the question's last sample; False lets the server find its end.

    Raises:
        SilentReplyError: The reply has no speech.
        ClientError: The turn could not be had to its end.
    """
    detection = None if push_to_talk else {"type": "server_vad"}
    async with open_conversation(running.url) as client:
        await client.configure(
            audio={"input": {"turn_detection": detection, "transcription": None}},
            max_output_tokens=options.max_reply_tokens or "inf",
        )
        report = await ask_aloud(client, question, push_to_talk=push_to_talk, transcript=False)
    if report.first_audio_s is None or report.speech_rtf is None:
        raise SilentReplyError(f"the reply {report.answer_transcript!r} has no speech")
    return report


def first_audio_s(report: TurnReport) -> float:
    """Returns the time from the question's end to the first sound, which `ask` made sure of."""
    assert report.first_audio_s is not None, "a reply without speech"
    return report.first_audio_s


async def ask_engine(
    engine: EngineClient, question: Recording, options: BenchOptions, name: str
) -> EngineTurn:
    """Asks the engine without the gateway between, at the pace of speech.

    Args:
        engine: The one that the server uses.
        question: What is asked.
        options: Says how long the reply may be.
        name: Of the conversation; each once.

    Raises:
        EngineLostError: The engine refused or lost the conversation; says why.
        SilentReplyError: The reply has no speech.
    """
    queue = engine.subscribe(name)
    try:
        await engine.send(OpenConversation(conversation_id=name))
        await _expect_opened(queue)
        await _speak(engine, question, name)
        respond = Respond(
            conversation_id=name,
            response_id=f"{name}-reply",
            item_id=f"{name}-answer",
            max_output_tokens=options.max_reply_tokens,
        )
        await engine.send(respond)
        assert engine.ready is not None, "it has just answered"
        return await _listen(queue, engine.ready.output_sample_rate_hz)
    finally:
        engine.unsubscribe(name)


async def _speak(engine: EngineClient, question: Recording, name: str) -> None:
    """Sends the question frame by frame, each when a microphone would have had it."""
    loop = asyncio.get_running_loop()
    wave = for_engine(question)
    item = {"conversation_id": name, "item_id": f"{name}-question"}
    await engine.send(UserAudioStart(**item))
    began_s = loop.time()
    for end in range(_FRAME_SAMPLES, len(wave) + _FRAME_SAMPLES, _FRAME_SAMPLES):
        frame = wave[end - _FRAME_SAMPLES : end]
        await asyncio.sleep(began_s + end / INPUT_SAMPLE_RATE_HZ - loop.time())
        await engine.send(UserAudio(**item, pcm=frame.astype(np.dtype("<f4")).tobytes()))
    await engine.send(UserAudioStop(**item))


async def _expect_opened(queue: asyncio.Queue[Event]) -> None:
    match await queue.get():
        case ConversationOpened():
            return
        case ConversationRefused(message=message) | EngineFault(message=message):
            raise EngineLostError(message)
        case message:
            raise AssertionError(f"{type(message).__name__} before the conversation was opened")


async def _listen(queue: asyncio.Queue[Event], rate_hz: int) -> EngineTurn:
    chunks = samples = 0
    while True:
        match await queue.get():
            case AudioDelta(pcm=pcm):
                chunks += 1
                samples += len(pcm) // 2
            case EngineFault(message=message):
                raise EngineLostError(message)
            case ResponseDone(error=error) if error is not None:
                raise EngineLostError(error.message)
            case ResponseDone() as done if not samples:
                raise SilentReplyError(f"{done.response_id} ended {done.status} without speech")
            case ResponseDone() as done:
                return EngineTurn(done=done, speech_s=samples / rate_hz, chunks=chunks)
