"""A gateway without a network or a model, and peers that really call it.

HTTP goes through the application in this process, and WebRTC over the machine's own addresses, on
the loop of the test. The engine is a script; everything between is real.
"""

import asyncio
import fractions
import json
import time
from contextlib import asynccontextmanager
from pathlib import Path

import av
import httpx
import numpy as np
import soundfile
import soxr
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)

import server
from server.app import create_app
from server.gateway import Gateway
from server.settings import load_settings
from streaming.engine.client import EngineClient
from streaming.engine.messages.commands import OpenConversation, Respond, Transcribe, TruncateItem
from streaming.engine.messages.events import (
    AudioDelta,
    ConversationOpened,
    ConversationRefused,
    EngineFault,
    EngineReady,
    InputTranscript,
    InputTranscriptDelta,
    ItemTruncated,
    ResponseDone,
    TextDelta,
)

QUESTION = Path(server.__file__).parent / "assets" / "question.wav"
BASE = "http://localhost"
RATE_HZ = 48_000
FRAME = RATE_HZ // 50


def question():
    """A spoken question, s16 at 48 kHz."""
    samples, rate = soundfile.read(QUESTION, dtype="float32")
    return (soxr.resample(samples, rate, RATE_HZ) * 32_000).astype(np.int16)


def tone(seconds, rate_hz=24_000):
    t = np.arange(int(rate_hz * seconds)) / rate_hz
    return (9_000 * np.sin(2 * np.pi * 300 * t)).astype("<i2").tobytes()


class ScriptedEngine:
    """Answers each `Respond` with words and `speech_s` of a tone, at once; hears one question."""

    def __init__(self, *, speech_s=1.0, inputs=("text", "audio"), voices=("Ada",)):
        self.failure = None
        self.load = None
        self.died = 0
        self.silent_s = 0.0
        self.silence_limit_s = 10.0
        self.ready = self.last = EngineReady(
            model_id="scripted",
            inputs=inputs,
            voices=voices,
            max_conversations=1000,
            context_tokens=32_768,
            output_sample_rate_hz=24_000,
            instructions="Be brief.",
        )
        self.speech_s = speech_s
        self.heard = []
        self.refusal = None
        self.queues = {}

    is_up = EngineClient.is_up

    def subscribe(self, name):
        self.queues[name] = asyncio.Queue()
        return self.queues[name]

    def unsubscribe(self, name):
        self.queues.pop(name, None)

    async def send(self, message):
        self.heard.append(message)
        queue = self.queues.get(message.conversation_id)
        if queue is not None:
            for answer in self.answers(message):
                queue.put_nowait(answer)

    def lose(self, name):
        fault = EngineFault(conversation_id=name, code="engine_lost", message="it died", fatal=True)
        self.queues.pop(name).put_nowait(fault)

    def answers(self, message):
        name = message.conversation_id
        match message:
            case OpenConversation() if self.refusal:
                yield ConversationRefused(
                    conversation_id=name, code="capacity", message=self.refusal
                )
            case OpenConversation():
                yield ConversationOpened(conversation_id=name)
            case TruncateItem(item_id=item):
                yield ItemTruncated(conversation_id=name, item_id=item, text="what")
            case Transcribe(item_id=item):
                yield InputTranscriptDelta(conversation_id=name, item_id=item, text="What ")
                yield InputTranscript(conversation_id=name, item_id=item, text="What is it?")
            case Respond(response_id=response):
                reply = {"conversation_id": name, "response_id": response}
                yield TextDelta(**reply, text="what was said")
                yield AudioDelta(**reply, pcm=tone(self.speech_s))
                yield ResponseDone(**reply, status="completed")

    def of(self, kind):
        return [message for message in self.heard if isinstance(message, kind)]


class Voice(MediaStreamTrack):
    """A microphone: silence, and in between what it is told to say, at the pace of speech."""

    kind = "audio"

    def __init__(self):
        super().__init__()
        self.waiting = np.zeros(0, dtype=np.int16)
        self.spoke_at_s = None
        self._start_s = None
        self._frames = 0

    def say(self, samples):
        self.waiting = np.concatenate([self.waiting, samples])

    async def recv(self):
        now_s = time.monotonic()
        if self._start_s is None:
            self._start_s = now_s
        await asyncio.sleep(max(0.0, self._start_s + self._frames * 0.020 - now_s))
        piece, self.waiting = self.waiting[:FRAME], self.waiting[FRAME:]
        if len(piece) and self.spoke_at_s is None and np.abs(piece).max() > 1_000:
            self.spoke_at_s = time.monotonic()
        samples = np.zeros(FRAME, dtype=np.int16)
        samples[: len(piece)] = piece
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = self._frames * FRAME
        frame.time_base = fractions.Fraction(1, RATE_HZ)
        self._frames += 1
        return frame


class CameraTrack(MediaStreamTrack):
    """A camera whose pictures get brighter."""

    kind = "video"

    def __init__(self, columns=160, rows=120):
        super().__init__()
        self._shape = (rows, columns, 3)
        self._frames = 0

    async def recv(self):
        await asyncio.sleep(1 / 15)
        pixels = np.full(self._shape, min(255, 3 * self._frames), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = self._frames * 6_000
        frame.time_base = fractions.Fraction(1, 90_000)
        self._frames += 1
        return frame


class PeerError(Exception):
    def __init__(self, reply):
        super().__init__(f"{reply.status_code}: {reply.text}")
        self.status, self.error = reply.status_code, reply.json()["error"]


class Peer:
    """A client as a browser is one: offer, answer, events, and an ear."""

    def __init__(self, http, *, camera=None, channel=True):
        self.http = http
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.voice = Voice()
        self.pc.addTrack(self.voice)
        if camera is not None:
            self.pc.addTrack(camera)
        self.events = asyncio.Queue()
        self.heard = []  # (time, loudness, samples) of each frame
        self.closed = asyncio.Event()
        self._ear = None
        self.channel = self.pc.createDataChannel("oai-events") if channel else None
        if self.channel is not None:
            self.channel.on("message", lambda text: self.events.put_nowait(json.loads(text)))
            self.channel.on("close", self.closed.set)
        self.pc.on("track", self._listen)

    async def offer(self):
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def call(self, *, session=None, headers=None):
        """Places the call; its path."""
        sdp = await self.offer()
        if session is None:
            headers = {"content-type": "application/sdp", **(headers or {})}
            reply = await self.http.post("/v1/realtime/calls", content=sdp, headers=headers)
        else:
            files = {
                "sdp": (None, sdp, "application/sdp"),
                "session": (None, json.dumps(session), "application/json"),
            }
            reply = await self.http.post("/v1/realtime/calls", files=files, headers=headers)
        if reply.status_code != 201:
            raise PeerError(reply)
        self.answer = reply.text
        await self.pc.setRemoteDescription(RTCSessionDescription(reply.text, "answer"))
        return reply.headers["location"]

    async def hear(self):
        async with asyncio.timeout(20):
            return await self.events.get()

    async def until(self, kind):
        events = [await self.hear()]
        while events[-1]["type"] != kind:
            assert kind == "error" or events[-1]["type"] != "error", events[-1]
            events.append(await self.hear())
        return events

    def send(self, kind, **fields):
        self.channel.send(json.dumps({"type": kind, **fields}))

    def loud(self, since_s=0.0):
        return [(at_s, n) for at_s, level, n in self.heard if level > 500 and at_s >= since_s]

    async def close(self):
        if self._ear is not None:
            self._ear.cancel()
        await self.pc.close()

    def _listen(self, track):
        self._ear = asyncio.create_task(self._hear_track(track))

    async def _hear_track(self, track):
        while True:
            frame = await track.recv()
            samples = frame.to_ndarray().astype(np.float32)
            self.heard.append((time.monotonic(), float(np.abs(samples).max()), frame.samples))


class Asking:
    """A client that posts something to the application in this process, and may leave."""

    def __init__(self, app, path, body, content_type="application/json"):
        self._scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1", "method": "POST", "scheme": "http", "server": ("server", 80),
            "client": ("198.51.100.9", 1), "root_path": "", "path": path,
            "raw_path": path.encode(), "query_string": b"", "state": {},
            "headers": [(b"content-type", content_type.encode())],
        }  # fmt: skip
        self._in = asyncio.Queue()
        self._in.put_nowait({"type": "http.request", "body": body})
        self.out = asyncio.Queue()
        self.task = asyncio.create_task(app(self._scope, self._in.get, self.out.put))

    def goes(self):
        """Leaves, and does not wait for what becomes of that."""
        self._in.put_nowait({"type": "http.disconnect"})

    async def leave(self):
        self.goes()
        async with asyncio.timeout(20):
            await self.task


class Rig:
    """The gateway, its engine, and an HTTP client for it."""

    def __init__(self, engine, settings):
        self.engine = engine
        self.gateway = Gateway(settings=settings, engine=engine)
        self.app = create_app(self.gateway)
        self.http = self.client()
        self.peers = []

    def client(self, address="198.51.100.1", **options):
        transport = httpx.ASGITransport(self.app, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url=BASE, timeout=30, **options)

    def peer(self, **options):
        peer = Peer(self.http, **options)
        self.peers.append(peer)
        return peer

    async def until_empty(self, timeout_s=10.0):
        async with asyncio.timeout(timeout_s):
            while len(self.gateway.calls) or self.gateway.conversations:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def close(self):
        for peer in self.peers:
            await peer.close()
        await self.gateway.calls.close()
        await self.http.aclose()


@asynccontextmanager
async def calling(*, speech_s=1.0, inputs=("text", "audio"), **settings):
    """A gateway to call; at its end nothing may be left open."""
    rig = Rig(ScriptedEngine(speech_s=speech_s, inputs=inputs), load_settings(**settings))
    try:
        yield rig
    finally:
        await rig.close()
        assert not rig.gateway.conversations
        assert not rig.engine.queues
