"""A microphone and a loudspeaker, through the optional package `sounddevice`.

Knows devices. Does not know turns (`conversing.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from types import ModuleType
from typing import Any

from clients.python.client import RealtimeClient
from clients.python.conversing import converse_by
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

    Raises:
        ServerSaidError: The server reported an error, or a reply failed.
        ConnectionFailed: The connection ended, or takes no more sound.
    """
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING_FRAMES)
    full = asyncio.Event()
    speaker = Loudspeaker()

    def offer(frame: bytes) -> None:
        try:
            heard.put_nowait(frame)
        except asyncio.QueueFull:
            full.set()

    def capture(frames: bytes, *_: object) -> None:
        loop.call_soon_threadsafe(offer, bytes(frames))

    def play(out: memoryview, *_: object) -> None:
        speaker.fill(memoryview(out).cast("B"))

    async def source() -> AsyncIterator[bytes]:
        while True:
            yield await heard.get()

    block = SAMPLE_RATE_HZ * FRAME_MS // 1000
    shape = {"samplerate": SAMPLE_RATE_HZ, "channels": 1, "dtype": "int16", "blocksize": block}
    with (
        devices.RawInputStream(callback=capture, **shape),
        devices.RawOutputStream(callback=play, **shape),
    ):
        await _until(full, converse_by(client, source(), speaker, say))


async def _until(full: asyncio.Event, conversation: Coroutine[Any, Any, None]) -> None:
    """Talks until it is over, or no more sound can be kept: then whoever sends is stuck in that.

    Raises:
        ConnectionFailed: The server took nothing for too long.
    """
    talk = asyncio.create_task(conversation, name="conversation")
    watch = asyncio.create_task(full.wait(), name="watch")
    try:
        await asyncio.wait({talk, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not talk.done():
            raise ConnectionFailed(f"the server took none of the last {MAX_WAITING_FRAMES} frames")
        talk.result()
    finally:
        talk.cancel()
        watch.cancel()
        await asyncio.wait({talk, watch})
