"""`omnilive talk`: one question to a running server, or an open conversation by microphone.

Knows the command line. The conversation itself is `turn.py` and `microphone.py`.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from clients.python.client import DEFAULT_URL, RealtimeClient, open_conversation
from clients.python.errors import ClientError, SourceError
from clients.python.microphone import converse, sound_devices
from clients.python.report import TurnReport
from clients.python.sources import Recording, check_writable, read_recording, write_wav
from clients.python.turn import ask_aloud, ask_typed


def talk(
    question: Annotated[
        Path | None, typer.Argument(help="sound file with the question; none: the microphone")
    ] = None,
    *,
    text: Annotated[str | None, typer.Option(help="type the question instead")] = None,
    out: Annotated[Path | None, typer.Option(help="write the spoken answer to this WAV")] = None,
    url: Annotated[str, typer.Option(help="the server's Realtime endpoint")] = DEFAULT_URL,
    model: Annotated[str | None, typer.Option(help="model to ask for")] = None,
    key: Annotated[str | None, typer.Option(help="API key or client secret")] = None,
    push_to_talk: Annotated[
        bool, typer.Option("--push-to-talk", help="say when the question ends, do not detect it")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Ask one question and hear the answer, with what it took; or talk by microphone."""
    try:
        if question is None and text is None:
            told = {"--push-to-talk": push_to_talk, "--out": out is not None, "--json": as_json}
            _check_effects(told, "by microphone")
        elif question is None:
            _check_effects({"--push-to-talk": push_to_talk}, "with --text")
        if out is not None:
            check_writable(out)
        report = asyncio.run(_talk(question, text, url, model, key, push_to_talk))
        if report is not None:
            hand_over(report, out, as_json=as_json)
    except ClientError as error:
        typer.echo(f"omnilive talk: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _check_effects(told: dict[str, bool], by: str) -> None:
    """Makes sure that nothing was told that has no effect.

    Raises:
        SourceError: Something was; names it.
    """
    if flags := [flag for flag, is_told in told.items() if is_told]:
        raise SourceError(f"{', '.join(flags)}: no effect {by}")


def hand_over(report: TurnReport, out: Path | None, *, as_json: bool) -> None:
    """Writes the answer's sound, if it is wanted, and prints the report whether that goes or not.

    Raises:
        SourceError: The sound cannot be written.
    """
    written = None
    try:
        if out is not None:
            write_wav(out, report.samples, report.sample_rate_hz)
            written = out
    finally:
        _show(report, written, as_json=as_json)


def _show(report: TurnReport, out: Path | None, *, as_json: bool) -> None:
    """Prints a report: for people, or as one JSON object."""
    if as_json:
        typer.echo(json.dumps({**report.figures(), "out": out and str(out)}, ensure_ascii=False))
        return
    typer.echo(report.table())
    if out is not None:
        typer.echo(f"the answer's sound is in {out}")


async def ask(
    client: RealtimeClient, question: Recording | str, *, push_to_talk: bool = False
) -> TurnReport:
    """Sets the session up for one question and asks it.

    Raises:
        ClientError: The turn could not be had to its end; says why.
    """
    if isinstance(question, str):
        return await ask_typed(client, question)
    detection = None if push_to_talk else {"type": "server_vad"}
    session = await client.configure(audio=_audio(detection))
    transcript = session["audio"]["input"].get("transcription") is not None
    return await ask_aloud(client, question, push_to_talk=push_to_talk, transcript=transcript)


def _audio(detection: dict[str, str] | None) -> dict[str, Any]:
    """The session's audio: how a turn's end is found, and the words of the user, please."""
    return {"input": {"turn_detection": detection, "transcription": {}}}


async def _talk(
    question: Path | None,
    text: str | None,
    url: str,
    model: str | None,
    key: str | None,
    push_to_talk: bool,
) -> TurnReport | None:
    if question is not None and text is not None:
        raise SourceError("give a sound file or --text, not both")
    if question is None and text is None:
        devices = sound_devices()
        async with open_conversation(url, model=model, key=key) as client:
            await client.configure(audio=_audio({"type": "server_vad"}))
            typer.echo("speak; Ctrl-C ends")
            try:
                await converse(client, devices, typer.echo)
            except* ClientError as group:
                raise group.exceptions[0] from None
        return None
    asked = text if question is None else read_recording(question)
    assert asked is not None
    async with open_conversation(url, model=model, key=key) as client:
        return await ask(client, asked, push_to_talk=push_to_talk)
