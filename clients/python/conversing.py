"""An open conversation: sound goes out as it comes, answers are played, and speech cuts them off.

Knows what both sides' events mean while nobody counts turns. Does not know where sound comes from
(a microphone, a file, a script: `sources.py`) or who plays it.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable

from clients.python.client import RealtimeClient, server_said
from clients.python.loudspeaker import Loudspeaker


async def converse_by(
    client: RealtimeClient,
    source: AsyncIterator[bytes],
    speaker: Loudspeaker,
    say: Callable[[str], None],
) -> None:
    """Talks until it is cancelled; `say` gets each side's words.

    When the user speaks into an answer, the loudspeaker falls silent and the server is told how
    much was heard.

    Args:
        client: An open conversation whose session has turn detection on.
        source: Frames at the pace of speech, as a microphone gives them (24 kHz mono, s16 LE).
        speaker: Where answers go; whoever plays takes them from there.
        say: Gets a line for each utterance.

    Raises:
        ServerSaidError: The server reported an error, or a reply failed.
        ConnectionFailed: The connection ended.
    """
    async with asyncio.TaskGroup() as group:
        group.create_task(_speak(client, source), name="speak")
        group.create_task(_listen(client, speaker, say), name="listen")


async def _speak(client: RealtimeClient, source: AsyncIterator[bytes]) -> None:
    async for frame in source:
        await client.append_audio(frame)


async def _listen(client: RealtimeClient, speaker: Loudspeaker, say: Callable[[str], None]) -> None:
    item_id: str | None = None
    while True:
        event = await client.receive()
        match event["type"]:
            case "error":
                raise server_said(event["error"])
            case "response.output_audio.delta":
                if event["item_id"] != item_id:
                    item_id = event["item_id"]
                    speaker.begin()
                speaker.write(base64.b64decode(event["delta"]))
            case "input_audio_buffer.speech_started":
                played_ms = speaker.stop()
                if played_ms is not None and item_id is not None:
                    await client.send(
                        "conversation.item.truncate",
                        item_id=item_id,
                        content_index=0,
                        audio_end_ms=played_ms,
                    )
            case "conversation.item.input_audio_transcription.completed":
                say(f"you   {event['transcript'].strip()}")
            case "response.output_audio_transcript.done":
                say(f"it    {event['transcript'].strip()}")
