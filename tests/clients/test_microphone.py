"""The open microphone against a scripted server and scripted devices: barge-in cuts and tells."""

import asyncio
import base64
import json
import sys

import pytest
from websockets.asyncio.server import serve

from clients.python.client import open_conversation
from clients.python.errors import ConnectionFailed, ServerSaidError, SourceError
from clients.python.microphone import MAX_WAITING_FRAMES, converse, sound_devices
from tests.virtual_time import on_virtual_time

SECOND = bytes(48_000)


class Stream:
    """A device that works only when the test makes it."""

    def __init__(self, *, callback, **shape):
        self.callback = callback
        self.shape = shape

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


class Devices:
    def __init__(self):
        self.microphone = self.speaker = None
        self.opened = asyncio.Event()

    def RawInputStream(self, **options):
        self.microphone = Stream(**options)
        return self.microphone

    def RawOutputStream(self, **options):
        self.speaker = Stream(**options)
        self.opened.set()
        return self.speaker


class Said:
    def __init__(self):
        self.lines = []
        self.something = asyncio.Event()

    def add(self, line):
        self.lines.append(line)
        self.something.set()


def play(devices, size):
    out = bytearray(size)
    devices.speaker.callback(memoryview(out), size // 2, None, None)
    return bytes(out)


async def test_speaking_into_an_answer_stops_it_and_says_how_much_was_heard():
    devices, said, truncated = Devices(), Said(), []

    async def server(socket):
        async def tell(kind, **fields):
            await socket.send(json.dumps({"type": kind, **fields}))

        await tell("session.created", session={})
        assert base64.b64decode(json.loads(await socket.recv())["audio"]) == b"\1\0" * 960
        sound = base64.b64encode(b"\2\0" * 24_000).decode()
        await tell("response.output_audio.delta", item_id="item", delta=sound)
        await tell("response.output_audio_transcript.done", transcript=" Hello ")
        await said.something.wait()
        assert play(devices, 24_000) == b"\2\0" * 12_000
        await tell("input_audio_buffer.speech_started")
        truncated.append(json.loads(await socket.recv()))
        assert play(devices, 4) == bytes(4)
        await tell("error", error={"code": "over", "message": "the end of the script"})

    async with serve(server, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with open_conversation(f"ws://127.0.0.1:{port}") as client:
            talking = asyncio.create_task(converse(client, devices, said.add))
            await devices.opened.wait()
            devices.microphone.callback(b"\1\0" * 960, 960, None, None)
            with pytest.raises(ExceptionGroup) as ended:
                await talking
    assert ended.group_contains(ServerSaidError, match="the end of the script")
    assert said.lines == ["it    Hello"]
    (cut,) = truncated
    assert (cut["type"], cut["item_id"]) == ("conversation.item.truncate", "item")
    assert cut["audio_end_ms"] == 500


class Deaf:
    """A connection that takes nothing and says nothing."""

    async def append_audio(self, pcm):
        await asyncio.Event().wait()

    async def receive(self):
        await asyncio.Event().wait()


def test_a_server_that_takes_no_more_sound_ends_the_conversation():
    """The microphone goes on for four times as long as frames are kept."""
    devices = Devices()
    complaints = []

    async def talking():
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        conversation = asyncio.create_task(converse(Deaf(), devices, print))
        await devices.opened.wait()
        for _ in range(4 * MAX_WAITING_FRAMES):
            devices.microphone.callback(bytes(1920), 960, None, None)
            await asyncio.sleep(0.04)
        assert conversation.done(), "nobody was told"
        with pytest.raises(ConnectionFailed, match="took none of the last 250 frames"):
            await conversation
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert on_virtual_time(talking()) == []
    assert not complaints


def test_without_the_package_it_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(SourceError, match="name a sound file"):
        sound_devices()
