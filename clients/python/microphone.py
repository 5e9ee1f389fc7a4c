"""A microphone and a loudspeaker, through the optional package `sounddevice`.

Knows devices. Does not know turns: in an open conversation the server says who speaks.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from types import ModuleType

from clients.python.client import RealtimeClient, server_said
from clients.python.errors import ConnectionFailed, SourceError
from clients.python.loudspeaker import Loudspeaker
from clients.python.sources import FRAME_MS, SAMPLE_RATE_HZ

MAX_WAITING_FRAMES = 250


def sound_devices() -> ModuleType:
    """Returns the `sounddevice` module once it has a microphone and a loudspeaker.

    Raises:
        SourceError: The package, its library or a device is missing; says what to do.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise SourceError(
            f"no microphone: {error}; `pip install 'omnilive[microphone]'`, or name a sound file"
        ) from None
    module: ModuleType = sounddevice
    try:
        module.check_input_settings(channels=1, dtype="int16", samplerate=SAMPLE_RATE_HZ)
        module.check_output_settings(channels=1, dtype="int16", samplerate=SAMPLE_RATE_HZ)
    except Exception as error:  # PortAudio raises several kinds, all meaning "no such device"
        raise SourceError(f"no microphone or loudspeaker: {error}; name a sound file") from None
    return module


async def converse(client: RealtimeClient, devices: ModuleType, say: Callable[[str], None]) -> None:
    """Talks by microphone and loudspeaker until it is cancelled; `say` gets each side's words.

    When the user speaks into an answer, the loudspeaker falls silent and the server is told how
    much was heard.

    Raises:
        ServerSaidError: The server reported an error, or a reply failed.
        ConnectionFailed: The connection ended.
    """
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING_FRAMES)
    speaker = Loudspeaker()

    def offer(frame: bytes) -> None:
        if heard.full():
            raise ConnectionFailed(f"the server took none of the last {MAX_WAITING_FRAMES} frames")
        heard.put_nowait(frame)

    def capture(frames: bytes, *_: object) -> None:
        loop.call_soon_threadsafe(offer, bytes(frames))

    def play(out: memoryview, *_: object) -> None:
        speaker.fill(memoryview(out).cast("B"))

    async def speak() -> None:
        while True:
            await client.append_audio(await heard.get())

    block = SAMPLE_RATE_HZ * FRAME_MS // 1000
    shape = {"samplerate": SAMPLE_RATE_HZ, "channels": 1, "dtype": "int16", "blocksize": block}
    with (
        devices.RawInputStream(callback=capture, **shape),
        devices.RawOutputStream(callback=play, **shape),
    ):
        async with asyncio.TaskGroup() as group:
            group.create_task(speak(), name="speak")
            group.create_task(_listen(client, speaker, say), name="listen")


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
