"""`/v1/chat/completions` of a real server, by the official SDK, and what a bare client gets."""

import asyncio
import base64
import io
import json
import threading
from contextlib import asynccontextmanager

import httpx
import numpy as np
import pytest
import soundfile
from openai import AsyncOpenAI, BadRequestError, NotFoundError

from server.media_files import MediaFiles
from server.settings import load_settings
from server.sound_files import decoded_sound, encoded_sound
from streaming.engine.messages.commands import Respond
from streaming.protocol.errors import ProtocolError
from tests.server.webrtc.rig import Asking, Rig, ScriptedEngine

SHORT = {"max_completion_tokens": 6}
HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello."}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.fixture
async def client(tiny_server):
    async with AsyncOpenAI(base_url=f"{tiny_server.http}/v1", api_key="none") as sdk:
        yield sdk


def wav(seconds=0.5, rate_hz=22_050):
    file = io.BytesIO()
    tone = np.sin(np.arange(int(seconds * rate_hz)) / 20) / 3
    soundfile.write(file, np.stack([tone, tone], axis=1), rate_hz, format="WAV")
    return file.getvalue()


# --- sound files ------------------------------------------------------------------------------


def test_a_file_becomes_the_engines_samples():
    pcm = decoded_sound(wav(0.5), "wav", max_ms=1000, param="p")
    assert len(pcm) / 4 / 16_000 == pytest.approx(0.5, abs=0.01)
    raw = decoded_sound(bytes(48_000), "pcm16", max_ms=1000, param="p")
    assert len(raw) / 4 / 16_000 == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("data", "word"), [(b"no sound", "sound file"), (wav(1.2), "1000ms")])
def test_what_is_no_sound_or_too_much_is_refused(data, word):
    with pytest.raises(ProtocolError, match=word) as failure:
        decoded_sound(data, "wav", max_ms=1000, param="p")
    assert failure.value.param == "p"


@pytest.mark.parametrize("kind", ["pcm16", "wav", "flac", "mp3", "opus"])
def test_an_answer_in_every_format(kind):
    pcm = np.zeros(24_000, "<i2").tobytes()
    back = decoded_sound(encoded_sound(pcm, kind), kind, max_ms=2000, param="p")
    assert len(back) / 4 / 16_000 == pytest.approx(1.0, abs=0.1)


# --- a scripted engine ------------------------------------------------------------------------


def asked(rig, body):
    return Asking(rig.app, "/v1/chat/completions", json.dumps(body).encode())


class Musing(ScriptedEngine):
    """Takes every question and answers none."""

    def __init__(self):
        super().__init__()
        self.asked = asyncio.Event()

    def answers(self, message):
        if isinstance(message, Respond):
            self.asked.set()
            return ()
        return super().answers(message)


def with_sound(data):
    sound = {"data": base64.b64encode(data).decode(), "format": "wav"}
    parts = [{"type": "input_audio", "input_audio": sound}]
    return {"model": "scripted", "messages": [{"role": "user", "content": parts}]}


@asynccontextmanager
async def scripted(engine, **settings):
    rig = Rig(engine, load_settings(**settings))
    try:
        yield rig
    finally:
        await rig.close()
        assert not rig.gateway.conversations
        assert not engine.queues


@pytest.mark.parametrize("streams", [False, True])
async def test_a_client_that_leaves_before_its_answer_gives_its_seat_back(streams):
    async with scripted(Musing()) as rig:
        asking = asked(rig, {"model": "scripted", "messages": HELLO, "stream": streams})
        async with asyncio.timeout(20):
            await rig.engine.asked.wait()
        assert len(rig.gateway.conversations) == 1
        await asking.leave()
        assert not rig.gateway.conversations


async def test_who_may_not_come_in_has_nothing_decoded():
    async with scripted(ScriptedEngine(), max_openings_per_address=1) as rig:
        for status in (400, 429):
            reply = await rig.http.post("/v1/chat/completions", json=with_sound(b"no sound"))
            assert reply.status_code == status, reply.text


async def test_what_is_decoded_has_a_seat(monkeypatch):
    begun, go_on = asyncio.Event(), threading.Event()
    loop, part = asyncio.get_running_loop(), MediaFiles.part

    def decode_slowly(files, asked):
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(20)
        return part(files, asked)

    monkeypatch.setattr(MediaFiles, "part", decode_slowly)
    async with scripted(ScriptedEngine(), max_conversations=1) as rig:
        asking = asked(rig, with_sound(wav()))
        async with asyncio.timeout(20):
            await begun.wait()
            reply = await rig.http.post("/v1/chat/completions", json=with_sound(wav()))
            assert reply.status_code == 503, reply.text
            go_on.set()
            assert (await asking.out.get())["status"] == 200
            await asking.task


# --- a real server ----------------------------------------------------------------------------


@pytest.mark.clients
async def test_a_written_answer_whole_and_in_a_stream(client, tiny_server):
    model = tiny_server.running.ready.model_id
    whole = await client.chat.completions.create(model=model, messages=HELLO, **SHORT)
    assert whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage.completion_tokens == 6
    stream = await client.chat.completions.create(
        model=model,
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True},
        **SHORT,
    )
    chunks = [chunk async for chunk in stream]
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens


@pytest.mark.clients
async def test_a_spoken_question_and_a_streamed_spoken_answer(client, tiny_server):
    sound = {"data": base64.b64encode(wav()).decode(), "format": "wav"}
    parts = [{"type": "text", "text": "Hear:"}, {"type": "input_audio", "input_audio": sound}]
    stream = await client.chat.completions.create(
        model=tiny_server.running.ready.model_id,
        messages=[{"role": "user", "content": parts}],
        modalities=["text", "audio"],
        audio={"voice": "alloy", "format": "pcm16"},
        stream=True,
        stream_options={"include_usage": True},
        **SHORT,
    )
    chunks = [chunk async for chunk in stream]
    audio = [c.choices[0].delta.audio for c in chunks if c.choices and c.choices[0].delta.audio]
    assert "".join(a.transcript or "" for a in audio)
    assert len(b"".join(base64.b64decode(a.data or "") for a in audio)) > 0
    assert chunks[-1].usage.prompt_tokens_details.audio_tokens > 0


@pytest.mark.clients
async def test_a_call_that_must_be_made_is_begun(roomy_server):
    async with AsyncOpenAI(base_url=f"{roomy_server.http}/v1", api_key="none") as client:
        stream = await client.chat.completions.create(
            model=roomy_server.running.ready.model_id,
            messages=HELLO,
            tools=[TOOL],
            tool_choice={"type": "function", "function": {"name": "f"}},
            stream=True,
            max_completion_tokens=60,
        )
        calls = [c async for chunk in stream for c in chunk.choices[0].delta.tool_calls or []]
    assert calls[0].function.name == "f"
    assert "".join(call.function.arguments for call in calls).startswith("{")


@pytest.mark.clients
async def test_refusals_are_the_sdks_own_errors(client, tiny_server):
    model = tiny_server.running.ready.model_id
    with pytest.raises(NotFoundError, match="gpt-9"):
        await client.chat.completions.create(model="gpt-9", messages=HELLO)
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = [{"role": "user", "content": [image]}]
    with pytest.raises(BadRequestError, match="not images") as failure:
        await client.chat.completions.create(model=model, messages=messages)
    assert failure.value.param == "messages[0].content[0].type"


@pytest.mark.clients
async def test_what_does_not_fit_the_context_is_the_clients_error(client, tiny_server):
    model = tiny_server.running.ready.model_id
    long = {"content": "word " * 400}
    for messages in ([{"role": "system", **long}, HELLO[1]], [{"role": "user", **long}]):
        with pytest.raises(BadRequestError, match="320") as failure:
            await client.chat.completions.create(model=model, messages=messages)
        assert failure.value.code == "context_length_exceeded"


async def test_bodies_that_are_none(tiny_server):
    url = f"{tiny_server.http}/v1/chat/completions"
    async with httpx.AsyncClient() as http:
        for body, status in ((b"{", 400), (b"[]", 400), (b"{}", 400)):
            reply = await http.post(url, content=body)
            assert reply.status_code == status
            assert reply.json()["error"]["message"]


async def test_a_client_that_leaves_gives_its_seat_back(tiny_server):
    body = {"model": tiny_server.running.ready.model_id, "messages": HELLO, "stream": True}
    url = f"{tiny_server.http}/v1/chat/completions"
    async with httpx.AsyncClient() as http, http.stream("POST", url, json=body) as reply:
        await anext(reply.aiter_bytes())
    async with httpx.AsyncClient() as http:
        for _ in range(100):
            state = await http.get(f"{tiny_server.http}/readyz")
            if state.json()["conversations"] == 0:
                return
    raise AssertionError("the seat is still taken")
