"""The engine process: loads a checkpoint, then turns one loop between a socket and the engine.

    python -m streaming.engine.worker --endpoint ipc:///tmp/engine [--model DIR] [--device cpu] …

Knows the socket, start and end. Does not know conversations. It ends when it is told to
(`Shutdown`), when its stdin closes (the gateway is gone), or by a signal.
"""

from __future__ import annotations

import argparse
import gc
import logging
import math
import os
import sys
from collections.abc import Sequence

import torch
import zmq

from model.alias_free_kernels import compile_loops
from model.errors import ModelError
from model.layers import pack_for_steps
from model.omni import load_checkpoint
from streaming.engine import lifeline
from streaming.engine.border import INTERNAL_ERROR
from streaming.engine.clock import monotonic_s
from streaming.engine.engine import Engine
from streaming.engine.footprint import give_back_unused
from streaming.engine.messages.address import OfConversation
from streaming.engine.messages.commands import CloseConversation, Command, Shutdown
from streaming.engine.messages.events import EngineFault, EngineLoading, Event
from streaming.engine.reports import Reports
from streaming.engine.settings import EngineSettings
from streaming.engine.warm_up import warm_up
from streaming.engine.wire import conversation_of, decode, encode
from streaming.errors import WireError
from streaming.logs import of_conversation, start_logging

logger = logging.getLogger("omnilive.engine.worker")

# What is taken in before a batch runs; a flood of messages must not keep the engine from speaking.
MESSAGES_A_STEP = 256


class Worker:
    """The loop of one engine process."""

    def __init__(self, endpoint: str) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PAIR)
        self._socket.setsockopt(zmq.LINGER, 1000)
        # Events of a slow gateway wait here; it bounds each conversation's own queue.
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.connect(endpoint)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(sys.stdin.fileno(), zmq.POLLIN)
        self._running = True

    def load(self, settings: EngineSettings) -> Engine:
        """Loads and warms up an engine, with word of its progress."""
        self.send(EngineLoading(stage="loading the checkpoint"))
        model = load_checkpoint(
            settings.model,
            device=settings.device,
            dtype=settings.dtype,
            progress=lambda stage, done: self.send(EngineLoading(stage=stage, fraction=done)),
        )
        if model.device.type == "cpu":
            self.send(EngineLoading(stage="compiling the vocoder's loops"))
            compile_loops()
            pack_for_steps(model.thinker)
            pack_for_steps(model.talker)
        self.send(EngineLoading(stage="warming up"))
        engine = Engine(model, settings)
        warm_up(engine)
        # What is here now stays: no collection need look at it again while somebody talks.
        gc.collect()
        gc.freeze()
        # From here on a full collection runs only after the tracked objects have grown by 25 %.
        gc.collect()
        give_back_unused()
        return engine

    def run(self, engine: Engine) -> None:
        """Turns the loop until the end is asked for."""
        self.send(engine.load)
        self.send(engine.ready)
        reports = Reports()
        busy = True
        while self._running:
            self._receive(engine, 0.0 if busy else reports.wait_s(monotonic_s()))
            commands = len(engine.inbox)
            busy = engine.step()
            while engine.outbox:
                self._tell(engine, engine.outbox.popleft())
            reports.note(changed=busy or commands > 0)
            if reports.take(monotonic_s()):
                self.send(engine.load)

    def send(self, event: Event) -> None:
        """Sends one event to the gateway."""
        self._socket.send_multipart(encode(event))

    def _tell(self, engine: Engine, event: Event) -> None:
        """Sends what the engine says; what cannot be sent costs its conversation."""
        try:
            self.send(event)
        except WireError as error:
            name = None
            if isinstance(event, OfConversation | EngineFault):
                name = event.conversation_id
            with of_conversation(name or "unknown"):
                logger.error("an event that cannot be sent", exc_info=error)
            if name is not None:
                engine.inbox.append(CloseConversation(conversation_id=name))
            self.send(
                EngineFault(
                    conversation_id=name,
                    code=INTERNAL_ERROR,
                    message=str(error),
                    fatal=name is not None,
                )
            )

    def close(self) -> None:
        """Lets what was sent go out, and closes the socket."""
        self._socket.close()
        zmq.Context.instance().term()

    def _receive(self, engine: Engine, wait_s: float | None) -> None:
        """Takes in what has come; blocks up to `wait_s` until something does, None for ever."""
        # Rounded up: a millisecond too early would be a turn of the loop for nothing.
        ready = dict(self._poller.poll(None if wait_s is None else math.ceil(wait_s * 1000)))
        if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 4096):
            logger.info("the gateway is gone")
            self._running = False
        for _ in range(MESSAGES_A_STEP):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._take(engine, frames)

    def _take(self, engine: Engine, frames: list[bytes]) -> None:
        try:
            message = decode(frames)
        except WireError as error:
            name = conversation_of(frames)
            with of_conversation(name or "unknown"):
                logger.warning("a message that cannot be read", exc_info=error)
            self.send(EngineFault(conversation_id=name, code="bad_message", message=str(error)))
            return
        if isinstance(message, Shutdown):
            self._running = False
        elif isinstance(message, Command):
            engine.inbox.append(message)
        else:
            text = f"{type(message).__name__} is no command"
            self.send(EngineFault(conversation_id=None, code="bad_message", message=text))


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs an engine process until its end."""
    parser = argparse.ArgumentParser(prog="streaming.engine.worker", description=__doc__)
    parser.add_argument("--endpoint", required=True, help="ZeroMQ address of the gateway")
    EngineSettings.add_arguments(parser)
    namespace = parser.parse_args(arguments)
    settings = EngineSettings.from_namespace(namespace)
    start_logging(settings.log_level, settings.log_format, content=settings.log_content)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    worker = Worker(namespace.endpoint)
    lifeline.hold()
    try:
        worker.run(_loaded(worker, settings))
    finally:
        worker.close()


def _loaded(worker: Worker, settings: EngineSettings) -> Engine:
    """Loads an engine; where that fails, tells the gateway why and ends the process."""
    try:
        return worker.load(settings)
    except ModelError as error:
        reason = str(error)
    except Exception as error:  # whatever it is: without its reason it would be tried again
        logger.error("loading failed", exc_info=error)
        reason = f"{type(error).__name__}: {error}"
    worker.send(EngineFault(conversation_id=None, code="load_failed", message=reason))
    sys.exit(1)


if __name__ == "__main__":
    main()
    lifeline.end()
