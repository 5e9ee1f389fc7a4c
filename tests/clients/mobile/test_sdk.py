"""The SDK for React Native, in Node against a real server, over connections as phones have them."""

import asyncio
import json
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import clients
from clients.python.sources import read_recording
from server.demo import QUESTION
from tests.clients.js.npm import NODE, installed
from tests.clients.mobile.wire import Wire

HERE = Path(__file__).parent
SDK = Path(clients.__file__).parent / "mobile"
TIMEOUT_S = 60
# Fast enough for a test, and a machine that is busy is not taken for a network that is dead.
OPTIONS = {
    "pingMs": 100,
    "deadMs": 30_000,
    "retryMs": 20,
    "maxRetryMs": 100,
    "maxTries": 1000,
    "session": {"max_output_tokens": 6, "audio": {"input": {"turn_detection": None}}},
}
BY_VOICE = {"max_output_tokens": 6, "audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
# Where speech begins in the question, as the server's detector has it, and its step.
FIRST_WORD_MS, VAD_FRAME_MS = 116, 32
HELLO = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "Hello there."}],
}


@pytest.fixture(scope="session")
def sdk():
    """The SDK, compiled by its own compiler in its own strictness."""
    installed(SDK)
    compiler = SDK / "node_modules" / ".bin" / "tsc"
    done = subprocess.run([compiler], cwd=SDK, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    return SDK


class Phone:
    """The SDK in a process of its own, and all that it has said."""

    def __init__(self, process):
        self._process = process
        self.said = []
        self._more = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def do(self, name, **fields):
        """Gives a command and waits until it is carried out; what it threw, if it did."""
        begin = len(self.said)
        self._process.stdin.write(json.dumps({"do": name, **fields}).encode() + b"\n")
        return await self.until(lambda what: what["on"] in ("done", "threw"), begin)

    async def send(self, kind, **fields):
        assert (await self.do("send", event={"type": kind, **fields}))["on"] == "done"

    async def ask(self):
        await self.send("conversation.item.create", item=HELLO)
        await self.send("response.create")

    async def until(self, fits, begin=0):
        """The first thing said, from `begin` on, that fits."""
        async with asyncio.timeout(TIMEOUT_S), self._more:
            while True:
                for what in self.said[begin:]:
                    if fits(what):
                        return what
                begin = len(self.said)
                assert not self._reading.done(), self.said[-5:]
                await self._more.wait()

    async def event(self, kind, begin=0):
        found = await self.until(
            lambda what: what["on"] == "event" and what["event"]["type"] == kind, begin
        )
        return found["event"]

    async def state(self, name, begin=0):
        return await self.until(lambda what: what["on"] == "state" and what["state"] == name, begin)

    @property
    def events(self):
        return [what["event"] for what in self.said if what["on"] == "event"]

    @property
    def dropped(self):
        return [what for what in self.said if what["on"] == "dropped"]

    async def _read(self):
        async for line in self._process.stdout:
            async with self._more:
                self.said.append(json.loads(line))
                self._more.notify_all()
        async with self._more:
            self._more.notify_all()


@asynccontextmanager
async def phone(wire, **options):
    process = await asyncio.create_subprocess_exec(
        NODE,
        HERE / "driver.mjs",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    one = Phone(process)
    try:
        url = f"{wire.address}/v1/realtime"
        await one.do("open", options={"url": url, **OPTIONS, **options})
        yield one
        await one.do("close")
        async with asyncio.timeout(TIMEOUT_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await one._reading


@pytest.fixture
async def wire(sdk, tiny_server):
    port = int(tiny_server.running.address.rpartition(":")[2])
    async with Wire(port).listening() as wire:
        yield wire
    gateway = tiny_server.running.gateway
    async with asyncio.timeout(TIMEOUT_S):
        while gateway.conversations:  # noqa: ASYNC110 - it lives on another loop
            await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def question(tmp_path_factory):
    path = tmp_path_factory.mktemp("question") / "question.s16"
    path.write_bytes(read_recording(QUESTION).samples.tobytes())
    return str(path)


def assert_whole(events):
    """Nothing is missing and nothing came twice."""
    numbers = [event["x_seq"] for event in events if "x_seq" in event]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("program", ["units.test.mjs", "machine.test.mjs", "sample.test.mjs"])
def test_parts(sdk, program):
    done = subprocess.run(
        [NODE, "--test", HERE / program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


async def test_a_spoken_turn_over_a_slow_and_lossy_line(wire, question):
    wire.delay_s, wire.loss, wire.bytes_per_s = 0.03, 0.1, 400_000
    async with phone(wire, session=BY_VOICE) as one:
        await one.until(lambda what: what["on"] == "opened")
        await one.do("speak", file=question, silenceMs=1000)
        done = await one.event("response.done")
        assert done["response"]["status"] in ("completed", "incomplete")
        assert sum(what["ms"] for what in one.said if what["on"] == "audio") > 100
        started = await one.event("input_audio_buffer.speech_started")
        assert started["audio_start_ms"] == pytest.approx(FIRST_WORD_MS, abs=VAD_FRAME_MS)
        assert one.dropped == []
        assert_whole(one.events)
    assert wire.connections == 1


async def test_a_reply_that_is_cut_comes_whole(wire):
    async with phone(wire) as one:
        await one.ask()
        await one.event("response.output_audio_transcript.delta")
        begin = len(one.said)
        wire.cut()
        await one.state("waiting", begin)
        assert (await one.state("open", begin))["reason"] == "resumed"
        await one.event("response.done")
        assert_whole(one.events)
        assert one.dropped == []
        await one.ask()  # and it is the same conversation
        await one.until(
            lambda what: what["on"] == "event" and what["event"]["type"] == "response.done",
            len(one.said),
        )
        assert [e["type"] for e in one.events].count("session.created") == 1
    assert wire.connections == 2


async def test_what_was_sent_into_a_dead_line_arrives_once(wire):
    async with phone(wire, deadMs=1500) as one:
        await one.event("session.updated")
        wire.fall_silent()
        begin = len(one.said)
        await one.ask()
        assert "nothing came for 1500 ms" in (await one.state("waiting", begin))["reason"]
        await one.event("response.done")
        added = [e["item"]["role"] for e in one.events if e["type"] == "conversation.item.added"]
        assert added == ["user", "assistant"]
        assert [e["type"] for e in one.events].count("error") == 0
        assert_whole(one.events)
        assert one.dropped == []


async def test_seconds_of_sound_in_a_dead_line_arrive_once_while_the_microphone_goes_on(
    wire, question
):
    silence_ms = 4000
    spoken_ms = read_recording(QUESTION).duration_s * 1000 + silence_ms
    async with phone(wire, deadMs=1500) as one:
        await one.event("session.updated")
        wire.fall_silent()
        begin = len(one.said)
        # Twice what may wait is on its way; as much as may wait comes before the line is back.
        await one.do("speak", file=question, silenceMs=silence_ms, paced=True)
        await one.state("waiting", begin)
        await one.do("speak", silenceMs=2800)
        await one.state("open", begin)
        await one.do("speak", silenceMs=200)
        await one.send("input_audio_buffer.commit")
        await one.send("response.create")
        usage = (await one.event("response.done"))["response"]["usage"]
        assert one.dropped == []
        heard = usage["input_token_details"]["audio_tokens"]
        assert heard == pytest.approx((spoken_ms + 3000) / 40, abs=2)


async def test_many_cuts_lose_nothing(wire):
    async with phone(wire) as one:
        for _ in range(3):
            await one.until(lambda what: what["on"] == "opened")
            begin = len(one.said)
            await one.ask()
            wire.cut()
            await one.state("open", begin)
            wire.cut()
            await one.event("response.done", begin)
        assert_whole(one.events)
        assert [e["type"] for e in one.events].count("response.done") == 3
        assert [e["type"] for e in one.events].count("error") == 0


async def test_too_late_is_said_and_a_new_conversation_begins_as_the_first(
    wire, tiny_server, monkeypatch
):
    gateway = tiny_server.running.gateway
    short = gateway.settings.model_copy(update={"resume_window_s": 0.05})
    monkeypatch.setattr(gateway, "settings", short)
    async with phone(wire) as one:
        await one.event("session.updated")
        begin = len(one.said)
        wire.refuses = True
        wire.cut()
        await one.state("waiting", begin)
        await one.send("conversation.item.create", item=HELLO)
        async with asyncio.timeout(TIMEOUT_S):
            while gateway.conversations:  # noqa: ASYNC110 - it lives on another loop
                await asyncio.sleep(0.01)
        wire.refuses = False
        assert (await one.event("x_resync", begin))["code"] == "conversation_gone"
        session = (await one.event("session.updated", begin))["session"]
        assert session["max_output_tokens"] == 6
        assert session["audio"]["input"]["turn_detection"] is None
        (dropped,) = one.dropped
        assert dropped["reason"] == "conversation_gone"
        assert dropped["events"] >= 1
        begin = len(one.said)
        await one.ask()
        await one.event("response.done", begin)


async def test_events_that_are_not_kept_any_more_are_said_and_the_conversation_goes_on(
    wire, tiny_server, monkeypatch
):
    gateway = tiny_server.running.gateway
    small = gateway.settings.model_copy(update={"resume_log_bytes": 1024})
    monkeypatch.setattr(gateway, "settings", small)
    async with phone(wire) as one:
        await one.event("session.updated")
        await one.ask()
        await one.event("response.created")
        begin = len(one.said)
        wire.refuses = True
        wire.cut()
        await one.state("waiting", begin)
        await one.send("input_audio_buffer.clear")  # waits until the line is back
        (held,) = gateway.held._held.values()
        replies = held.conversation._session._replies
        seen = max(event["x_seq"] for event in one.events if "x_seq" in event)
        async with asyncio.timeout(TIMEOUT_S):
            while held.feed.log.holds_after(seen) or replies.item_id:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        wire.refuses = False
        resync = await one.event("x_resync", begin)
        assert resync["code"] == "events_lost"
        assert resync["x_seq"] > seen + 1
        assert (await one.state("open", begin))["reason"] == "resumed, with events missing"
        # The SDK has the session and the items of now, and asks for what it lacks.
        assert resync["session"]["max_output_tokens"] == 6
        _, answer = resync["item_ids"]
        await one.send("conversation.item.retrieve", item_id=answer)
        retrieved = await one.event("conversation.item.retrieved", begin)
        assert retrieved["item"]["content"][0]["transcript"]
        # What was sent meanwhile has come once, and what comes now is numbered without a gap.
        numbered = [event for event in one.events if event.get("x_seq", 0) > resync["x_seq"]]
        first, last = resync["x_seq"] + 1, numbered[-1]["x_seq"]
        assert [event["x_seq"] for event in numbered] == list(range(first, last + 1))
        kinds = [event["type"] for event in numbered]
        assert kinds.count("input_audio_buffer.cleared") == 1
        assert one.dropped == []
        begin = len(one.said)
        await one.ask()
        await one.event("response.done", begin)
        assert [e["type"] for e in one.events].count("session.created") == 1


async def test_a_microphone_that_is_faster_than_the_line_loses_old_sound_and_says_how_much(
    wire, question
):
    spoken_ms = read_recording(QUESTION).duration_s * 1000 + 3000
    wire.bytes_per_s = 20_000  # of the 64 kB that a second of sound needs
    limits = {"maxUnackedBytes": 16_384, "maxQueuedAudioMs": 1000}
    async with phone(wire, **limits) as one:
        await one.event("session.updated")
        await one.do("speak", file=question, silenceMs=3000)
        wire.bytes_per_s = None
        await one.send("input_audio_buffer.commit")
        await one.send("response.create")
        usage = (await one.event("response.done"))["response"]["usage"]
        lost_ms = sum(what["audioMs"] for what in one.dropped)
        assert {what["reason"] for what in one.dropped} == {"queue_full"}
        assert lost_ms > 2000
        # 25 tokens a second of what was not lost.
        heard = usage["input_token_details"]["audio_tokens"]
        assert heard == pytest.approx((spoken_ms - lost_ms) / 40, abs=2)


async def test_a_refusal_is_final_and_says_why(wire):
    process = phone(wire, model="gpt-9")
    async with process as one:
        rejected = await one.until(lambda what: what["on"] == "rejected")
        assert "'gpt-9'" in rejected["message"]
        assert "model_not_found" in rejected["message"]
        assert (await one.do("send", event={"type": "response.create"}))["on"] == "threw"
    assert wire.connections == 1
