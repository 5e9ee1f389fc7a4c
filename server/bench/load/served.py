"""A server under load, as a process of its own.

    python -m server.bench.load.served ORDER

ORDER is a `ServedOrder` as JSON. One line of JSON goes out when conversations can be had; the
server ends when stdin closes. Knows which engine it is told to take. It is the gateway that `serve`
runs, and the scripted engine can be had in no other way than by this order.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from server.bench.load import scripted_engine
from server.bench.load.child import keep_to, parents_words, say
from server.engine import new_engine
from server.errors import ServerError
from server.running import running_server
from server.settings import Settings
from server.throwaway import throwaway_settings
from streaming.engine.messages.events import EngineLoading
from streaming.errors import StreamingError


@dataclass(frozen=True, kw_only=True)
class ServedOrder:
    """What is served, and where it runs.

    Attributes:
        settings: Of the gateway, by name.
        is_scripted: The scripted engine instead of the real one.
        core: The one core that the gateway keeps to; None leaves it where it is.
        engine_cores: Those of the scripted engine; none means any.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    is_scripted: bool = False
    core: int | None = None
    engine_cores: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True)
class Served:
    """A server that takes conversations: where, which model, and its processes."""

    url: str
    model: str
    gateway_pid: int
    engine_pid: int | None


def engine_command(order: ServedOrder) -> tuple[str, ...]:
    """Returns the command of the scripted engine."""
    cores = ("--cores", ",".join(map(str, order.engine_cores))) if order.engine_cores else ()
    return (sys.executable, "-m", scripted_engine.__name__, *cores)


async def serve(order: ServedOrder) -> None:
    """Serves until stdin closes.

    Raises:
        ServerError: The server cannot be started.
        StreamingError: The engine did not become ready.
    """
    settings: Settings = throwaway_settings(**order.settings)
    engine = None
    if order.is_scripted:
        engine = new_engine(settings, worker=engine_command(order))
    async with running_server(settings, _unseen, engine=engine) as running:
        served = Served(
            url=running.url,
            model=running.ready.model_id,
            gateway_pid=os.getpid(),
            engine_pid=running.gateway.engine.process_id,
        )
        say(json.dumps(asdict(served)))
        await (await parents_words()).read()


def _unseen(loading: EngineLoading) -> None:
    """Progress is not for a bench's output."""


def main() -> None:
    """Runs the process until its end."""
    order = ServedOrder(**json.loads(sys.argv[1]))
    logging.basicConfig(level=logging.ERROR)
    keep_to([] if order.core is None else [order.core])
    try:
        asyncio.run(serve(order))
    except (ServerError, StreamingError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
