"""`omnilive serve`: runs the server until it is told to stop.

Knows the terminal and signals. What runs is `running.py`.
"""

from __future__ import annotations

import asyncio
import signal

import typer

from server.banner import banner
from server.errors import ServerError
from server.options import takes_settings
from server.running import Running, running_server
from server.settings import Settings
from streaming import logs
from streaming.engine.messages.events import EngineLoading
from streaming.engine.start_lines import StartLines
from streaming.errors import EngineGoneError, StreamingError


@takes_settings()
def serve(settings: Settings) -> None:
    """Run the server."""
    start_logging(settings)
    try:
        asyncio.run(_serve(settings))
    except (ServerError, StreamingError) as error:
        typer.echo(f"omnilive serve: {error}", err=True)
        raise typer.Exit(1) from None


def start_logging(settings: Settings) -> None:
    """Sends the logs of this process to standard error."""
    logs.start_logging(settings.log_level, settings.log_format, content=settings.log_content)


class ProgressLines:
    """Prints the engine's start, a line whenever a stage begins or is a quarter further."""

    def __init__(self) -> None:
        self._lines = StartLines()

    def __call__(self, step: EngineLoading) -> None:
        """Prints one step, unless the last line said as much."""
        if (line := self._lines.line(step)) is not None:
            typer.echo(f"loading: {line}")


async def _serve(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    serving = asyncio.current_task()
    assert serving is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    try:
        async with running_server(settings, ProgressLines()) as running:
            typer.echo(banner(running))
            await _until_told(running)
    except asyncio.CancelledError:
        pass  # at once: while it loaded, by Ctrl-C, or by a second signal
    typer.echo("omnilive serve: stopped")


async def _until_told(running: Running) -> None:
    """Returns when the server has ended, drained by SIGTERM.

    Raises:
        EngineGoneError: It ended because its engine will not come back; says why.
    """
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    serving = asyncio.current_task()
    assert serving is not None
    loop.add_signal_handler(
        signal.SIGTERM, lambda: serving.cancel() if told.is_set() else told.set()
    )
    async with asyncio.TaskGroup() as group:
        drain = group.create_task(_drain(told, running), name="drain")
        loss = group.create_task(_end_without_engine(running), name="end without engine")
        await running.listening
        drain.cancel()
        loss.cancel()
    if loss.done() and not loss.cancelled() and (reason := loss.result()) is not None:
        raise EngineGoneError(reason)


async def _drain(told: asyncio.Event, running: Running) -> None:
    await told.wait()
    limit_s = running.gateway.settings.drain_timeout_s
    typer.echo(f"omnilive serve: draining for at most {limit_s:g} s; a second signal ends it")
    await running.drain()


async def _end_without_engine(running: Running) -> str | None:
    """Asks the server to end, where that is wanted, once its engine has failed; returns why."""
    if not running.gateway.settings.end_without_engine:
        return None
    reason = await running.gateway.engine.wait_failed()
    running.stop()
    return reason
