"""`omnilive demo`: the main job once. A server starts, is asked aloud, answers aloud, and ends.

Knows the order of the show. Server and client are the ones that everybody uses.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from secrets import token_urlsafe
from typing import Annotated

import typer

from clients.python.client import open_conversation
from clients.python.errors import ClientError
from clients.python.report import TurnReport
from clients.python.sources import Recording, check_writable, read_recording
from clients.python.talk import ask, hand_over
from server.errors import ServerError
from server.options import takes_settings
from server.running import running_server
from server.serve import ProgressLines, start_logging
from server.settings import Settings
from server.throwaway import OWN
from streaming.errors import StreamingError

QUESTION = Path(__file__).parent / "assets" / "question.wav"
# No client secret, whatever is drawn: those begin with `ek_`, and a server takes none for a key.
KEY_PREFIX = "demo-"


@takes_settings(without=OWN)
def demo(
    settings: Settings,
    question: Annotated[Path, typer.Option(help="sound file with the question")] = QUESTION,
    out: Annotated[Path, typer.Option(help="where the answer's sound goes")] = Path("answer.wav"),
    as_json: Annotated[bool, typer.Option("--json", help="end with one JSON object")] = False,
) -> None:
    """Start a server, ask it a recorded question at the pace of speech, and end."""
    key = KEY_PREFIX + token_urlsafe()
    settings = settings.model_copy(update=OWN | {"api_keys": key})
    start_logging(settings)
    try:
        check_writable(out)
        report = asyncio.run(_demo(settings, key, read_recording(question)))
        hand_over(report, out, as_json=as_json)
    except (ClientError, ServerError, StreamingError) as error:
        typer.echo(f"omnilive demo: {error}", err=True)
        raise typer.Exit(1) from None


async def _demo(settings: Settings, key: str, question: Recording) -> TurnReport:
    async with running_server(settings, ProgressLines()) as running:
        typer.echo(f"asking {running.ready.model_id} a question of {question.duration_s:.1f} s")
        async with open_conversation(running.url, key=key) as client:
            return await ask(client, question)
