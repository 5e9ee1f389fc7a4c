"""A process in the engine's place that says the same to everybody, at a scripted pace.

    python -m server.bench.load.scripted_engine --endpoint ipc:///tmp/engine [--cores 1,2] …

It has no model and hears nothing: it is for measuring the gateway alone, and only `bench load`
starts it. Knows the engine's messages and a timetable. Replies are a tone, so that a gap in them is
a gap that the gateway made.
"""

from __future__ import annotations

import argparse
import heapq
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import zmq

from server.bench.load.child import keep_to
from streaming.engine.messages.address import OfResponse
from streaming.engine.messages.commands import (
    CancelResponse,
    CloseConversation,
    Command,
    OpenConversation,
    Ping,
    Respond,
    Shutdown,
    TruncateItem,
)
from streaming.engine.messages.events import (
    AudioDelta,
    ConversationOpened,
    ConversationRefused,
    EngineReady,
    Event,
    ItemTruncated,
    Pong,
    ResponseDone,
    ResponseStatus,
    TextDelta,
)
from streaming.engine.settings import EngineSettings
from streaming.engine.wire import decode, encode

MODEL_ID = "scripted-engine-without-a-model"
VOICE = "tone"
RATE_HZ = 24_000
TONE_HZ, TONE_PEAK = 300.0, 9_000.0
WORDS = "and so on "


@dataclass(frozen=True, kw_only=True)
class Timetable:
    """How a reply goes, counted from `Respond`.

    Attributes:
        first_text_s: When its first word comes.
        first_sound_s: When its first piece of sound comes.
        piece_s: Length of a piece of sound; a word goes with each.
        speech_s: Length of the whole reply.
        rtf: Seconds between two pieces, for each second of a piece.
    """

    first_text_s: float = 0.05
    first_sound_s: float = 0.15
    piece_s: float = 0.2
    speech_s: float = 3.0
    rtf: float = 0.5

    @property
    def pieces(self) -> int:
        """Pieces of sound in a reply."""
        return max(1, round(self.speech_s / self.piece_s))


class ScriptedEngine:
    """Answers commands, at once or later; `due` says what comes when."""

    def __init__(
        self,
        settings: EngineSettings,
        timetable: Timetable,
        send: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timetable = timetable
        self._settings = settings
        self._send = send
        self._clock = clock
        self._open: dict[str, str | None] = {}  # conversation → reply that is under way
        self._due: list[tuple[float, int, Event]] = []
        self._count = 0
        self._piece = _tone(timetable.piece_s)

    @property
    def ready(self) -> EngineReady:
        """What it says of itself."""
        return EngineReady(
            model_id=MODEL_ID,
            inputs=("text", "audio"),
            voices=(VOICE,),
            max_conversations=self._settings.max_conversations,
            context_tokens=self._settings.context_tokens or 32_768,
            output_sample_rate_hz=RATE_HZ,
            transcribes=False,
        )

    def wait_s(self) -> float | None:
        """How long nothing is due; None while nothing will be."""
        return max(0.0, self._due[0][0] - self._clock()) if self._due else None

    def send_due(self) -> None:
        """Sends what is due; what belongs to a reply that is over is forgotten."""
        while self._due and self._due[0][0] <= self._clock():
            _, _, event = heapq.heappop(self._due)
            assert isinstance(event, OfResponse), "only replies are timed"
            if self._open.get(event.conversation_id) != event.response_id:
                continue
            if isinstance(event, ResponseDone):
                self._open[event.conversation_id] = None
            self._send(event)

    def take(self, command: Command) -> None:
        """Answers one command; what needs no answer is passed over."""
        match command:
            case Ping(nonce=nonce):
                self._send(Pong(nonce=nonce))
            case OpenConversation(conversation_id=name):
                self._open_conversation(name)
            case CloseConversation(conversation_id=name):
                self._open.pop(name, None)
            case Respond():
                self._respond(command)
            case CancelResponse(conversation_id=name, response_id=reply):
                if self._open.get(name) == reply:
                    self._open[name] = None
                    self._send(_done(name, reply, "cancelled", "client_cancelled"))
            case TruncateItem(conversation_id=name, item_id=item):
                self._send(ItemTruncated(conversation_id=name, item_id=item, text=WORDS))

    def _open_conversation(self, name: str) -> None:
        limit = self._settings.max_conversations
        if len(self._open) >= limit:
            message = f"{limit} conversations are open"
            self._send(ConversationRefused(conversation_id=name, code="capacity", message=message))
        else:
            self._open[name] = None
            self._send(ConversationOpened(conversation_id=name))

    def _respond(self, asked: Respond) -> None:
        now_s, times = self._clock(), self._timetable
        name, reply = asked.conversation_id, asked.response_id
        self._open[name] = reply
        text = TextDelta(conversation_id=name, response_id=reply, text=WORDS)
        sound = AudioDelta(conversation_id=name, response_id=reply, pcm=self._piece)
        self._at(now_s + times.first_text_s, text)
        at_s = now_s + times.first_sound_s
        for _ in range(times.pieces):
            self._at(at_s, text)
            self._at(at_s, sound)
            at_s += times.piece_s * times.rtf
        self._at(at_s, _done(name, reply, "completed", None))

    def _at(self, at_s: float, event: Event) -> None:
        self._count += 1  # two events of one moment keep their order
        heapq.heappush(self._due, (at_s, self._count, event))


def _done(name: str, reply: str, status: ResponseStatus, reason: str | None) -> ResponseDone:
    return ResponseDone(conversation_id=name, response_id=reply, status=status, reason=reason)


def _tone(duration_s: float) -> bytes:
    """16-bit samples of a whole number of periods, so that pieces join without a click."""
    periods = max(1, round(duration_s * TONE_HZ))
    t = np.arange(round(periods / TONE_HZ * RATE_HZ)) / RATE_HZ
    return (TONE_PEAK * np.sin(2 * np.pi * TONE_HZ * t)).astype("<i2").tobytes()


def run(socket: zmq.Socket[bytes], settings: EngineSettings, timetable: Timetable) -> None:
    """Turns the loop until the gateway says so or is gone."""

    def send(event: Event) -> None:
        socket.send_multipart(encode(event))

    engine = ScriptedEngine(settings, timetable, send)
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(sys.stdin.fileno(), zmq.POLLIN)
    send(engine.ready)
    while True:
        wait_s = engine.wait_s()
        ready = dict(poller.poll(None if wait_s is None else math.ceil(wait_s * 1000)))
        if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 4096):
            return
        if socket in ready:
            command = decode(socket.recv_multipart())
            if isinstance(command, Shutdown):
                return
            assert isinstance(command, Command), type(command).__name__
            engine.take(command)
        engine.send_due()


def main() -> None:
    """Runs the process until its end."""
    parser = argparse.ArgumentParser(prog="server.bench.load.scripted_engine", description=__doc__)
    parser.add_argument("--endpoint", required=True, help="ZeroMQ address of the gateway")
    parser.add_argument("--cores", help="those to run on, with commas; none: any")
    EngineSettings.add_arguments(parser)
    namespace = parser.parse_args()
    keep_to([int(core) for core in namespace.cores.split(",")] if namespace.cores else [])
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PAIR)
    socket.setsockopt(zmq.LINGER, 1000)
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.connect(namespace.endpoint)
    run(socket, EngineSettings.from_namespace(namespace), Timetable())
    socket.close()
    zmq.Context.instance().term()


if __name__ == "__main__":
    main()
