"""The gateway's side: whatever becomes of the process, every conversation is told, once."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import zmq
import zmq.asyncio

from streaming.engine.client import EngineClient
from streaming.engine.messages.commands import AddItem, CloseConversation, OpenConversation
from streaming.engine.messages.content import TextPart
from streaming.engine.messages.events import (
    AudioDelta,
    ConversationOpened,
    EngineFault,
    EngineLoading,
    Event,
    TextDelta,
)
from streaming.engine.settings import ClientSettings, EngineSettings
from streaming.errors import EngineGoneError, WireError
from tests.streaming.engine.driver import Talk, speech
from tests.streaming.engine.scripted_worker import READY

SCRIPTED = (sys.executable, "-m", "tests.streaming.engine.scripted_worker")
LIMIT_S = 120.0


@asynccontextmanager
async def scripted(*flags: str, **settings: float) -> AsyncIterator[EngineClient]:
    client = EngineClient(EngineSettings(), ClientSettings(**settings), worker=(*SCRIPTED, *flags))
    try:
        yield client
    finally:
        await client.stop()


async def get(queue: asyncio.Queue[Event]) -> Event:
    async with asyncio.timeout(LIMIT_S):
        return await queue.get()


async def open_conversation(client: EngineClient, name: str) -> asyncio.Queue[Event]:
    queue = client.subscribe(name)
    await client.send(OpenConversation(conversation_id=name))
    return queue


async def opened(client: EngineClient, name: str) -> asyncio.Queue[Event]:
    queue = await open_conversation(client, name)
    assert await get(queue) == ConversationOpened(conversation_id=name)
    return queue


async def test_a_start_tells_its_progress_and_what_the_engine_can_do() -> None:
    seen: list[EngineLoading] = []
    client = EngineClient(EngineSettings(), worker=SCRIPTED, progress=seen.append)
    assert client.ready is None
    assert await client.start() == READY == client.ready
    assert seen == [EngineLoading(stage="loading", fraction=0.5)]
    await client.stop()
    assert client.ready is None
    assert client.failure == "the engine was stopped"


async def test_a_death_is_told_to_every_conversation_and_the_next_engine_works() -> None:
    async with scripted() as client:
        await client.start()
        queues = [await opened(client, "a"), await opened(client, "b")]
        queues.append(await open_conversation(client, "dies"))
        for name, queue in zip(("a", "b", "dies"), queues, strict=True):
            fault = await get(queue)
            assert isinstance(fault, EngineFault)
            assert (fault.conversation_id, fault.code, fault.fatal) == (name, "engine_lost", True)
            assert "3" in fault.message
            assert queue.empty()
        # What the lost still say goes nowhere, and does not wait.
        await client.send(CloseConversation(conversation_id="a"))
        assert await client.wait_ready() == READY
        await opened(client, "a")


async def test_too_many_deaths_in_a_row_are_the_end() -> None:
    async with scripted(max_deaths=2) as client:
        await client.start()
        for _ in range(2):
            await client.wait_ready()
            assert isinstance(await get(await open_conversation(client, "dies")), EngineFault)
        with pytest.raises(EngineGoneError, match="2 engine deaths"):
            await client.wait_ready()
        assert client.failure is not None
        fault = await get(client.subscribe("late"))
        assert isinstance(fault, EngineFault)


async def test_a_conversation_that_opens_starts_the_count_anew() -> None:
    async with scripted(max_deaths=2) as client:
        await client.start()
        for _ in range(3):
            await client.wait_ready()
            await opened(client, "fine")
            await get(await open_conversation(client, "dies"))
            client.unsubscribe("fine")
        assert await client.wait_ready() == READY


async def test_a_process_that_does_not_start_is_named_with_its_status() -> None:
    async with scripted("stillborn", max_deaths=1) as client:
        with pytest.raises(EngineGoneError, match="status 7"):
            await client.start()


async def test_a_process_that_cannot_be_made_is_named(tmp_path) -> None:
    nobody = str(tmp_path / "nobody")
    client = EngineClient(EngineSettings(), ClientSettings(max_deaths=2), worker=(nobody,))
    with pytest.raises(EngineGoneError, match=r"2 engine deaths.*nobody"):
        async with asyncio.timeout(LIMIT_S):
            await client.start()
    assert client.failure is not None
    await client.stop()


async def test_an_address_that_cannot_be_had_is_named(tmp_path, monkeypatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    opened_before = len(os.listdir("/proc/self/fd"))
    async with scripted(max_deaths=2) as client:
        with pytest.raises(EngineGoneError, match="longer than 107"):
            async with asyncio.timeout(LIMIT_S):
                await client.start()
    assert len(os.listdir("/proc/self/fd")) <= opened_before
    assert not list(long.iterdir())


async def test_a_start_that_fails_by_our_own_fault_is_told(caplog) -> None:
    def fail(step: EngineLoading) -> None:
        raise BrokenPipeError("nobody reads the terminal")

    client = EngineClient(EngineSettings(), worker=SCRIPTED, progress=fail)
    with pytest.raises(EngineGoneError, match="nobody reads the terminal"):
        async with asyncio.timeout(LIMIT_S):
            await client.start()
    assert "nobody reads the terminal" in caplog.text
    await client.stop()


async def test_an_engine_that_says_what_is_no_message_is_replaced() -> None:
    async with scripted() as client:
        await client.start()
        fault = await get(await open_conversation(client, "babbles"))
        assert isinstance(fault, EngineFault)
        assert (fault.code, fault.fatal) == ("engine_lost", True)
        assert await client.wait_ready() == READY


async def test_an_engine_that_nothing_can_be_sent_to_is_replaced(monkeypatch) -> None:
    async def fail(*_: object) -> None:
        raise zmq.ZMQError(zmq.ENOTSOCK)

    async with scripted() as client:
        await client.start()
        queue = await opened(client, "a")
        with monkeypatch.context() as broken:
            broken.setattr(zmq.asyncio.Socket, "send_multipart", fail)
            await client.send(CloseConversation(conversation_id="a"))
            fault = await get(queue)
        assert isinstance(fault, EngineFault)
        assert "nothing can be sent" in fault.message
        assert await client.wait_ready() == READY


async def test_what_cannot_be_written_is_its_senders_alone() -> None:
    async with scripted() as client:
        await client.start()
        await opened(client, "a")
        part = TextPart(text="\ud800")
        with pytest.raises(WireError):
            await client.send(AddItem(conversation_id="a", item_id="i", role="user", parts=(part,)))
        await opened(client, "b")
        assert client.died == 0


async def test_what_cannot_be_loaded_is_not_tried_again_and_is_no_row_of_deaths(caplog) -> None:
    async with scripted("unloadable", max_deaths=5) as client:
        with pytest.raises(EngineGoneError) as failure:
            await client.start()
        assert str(failure.value) == "the engine cannot be loaded: no such device" == client.failure
        assert client.died == 1
    assert "death" not in caplog.text
    (line,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert line.getMessage() == "the engine cannot be loaded: no such device"


async def test_what_an_engine_said_last_is_heard_though_it_has_ended(monkeypatch) -> None:
    receive = zmq.asyncio.Socket.recv_multipart
    client = EngineClient(EngineSettings(), worker=(*SCRIPTED, "unloadable"))

    async def receive_late(socket: zmq.asyncio.Socket) -> list[bytes]:
        frames: list[bytes] = await receive(socket)
        assert client._link is not None
        await asyncio.wait({client._link._ended})
        return frames

    monkeypatch.setattr(zmq.asyncio.Socket, "recv_multipart", receive_late)
    with pytest.raises(EngineGoneError, match="no such device"):
        await client.start()
    assert client.died == 1
    await client.stop()


async def test_a_checkpoint_that_is_not_there_is_named(tmp_path) -> None:
    client = EngineClient(EngineSettings(model=str(tmp_path / "nothing")))
    with pytest.raises(EngineGoneError, match=r"cannot be loaded: .*nothing"):
        await client.start()
    await client.stop()


async def test_what_was_loaded_once_is_tried_again(tmp_path) -> None:
    # The first process serves and dies, the second has, say, no memory yet, the third serves.
    async with scripted("unloadable", "--but", str(tmp_path / "tries"), max_deaths=3) as client:
        await client.start()
        await get(await open_conversation(client, "dies"))
        assert await client.wait_ready() == READY
        await opened(client, "a")
        assert client.died == 2


@pytest.mark.parametrize("listener", [None, lambda step: None])
async def test_a_start_is_logged_where_nobody_listens_to_its_progress(caplog, listener) -> None:
    caplog.set_level("INFO", "omnilive")
    client = EngineClient(EngineSettings(), worker=SCRIPTED, progress=listener)
    await client.start()
    await client.stop()
    assert ("engine: loading 50%" in caplog.messages) is (listener is None)


async def test_a_process_that_is_never_ready_is_given_up() -> None:
    async with scripted("mute", max_deaths=1, start_timeout_s=0.5) as client:
        with pytest.raises(EngineGoneError, match=r"not ready in 0\.5 s"):
            await client.start()


async def test_an_engine_that_answers_no_ping_is_replaced() -> None:
    async with scripted(ping_interval_s=0.2, ping_timeout_s=1.0) as client:
        await client.start()
        fault = await get(await open_conversation(client, "hangs"))
        assert isinstance(fault, EngineFault)
        assert "not answering in 1 s (engine_hang_timeout_s)" in fault.message
        assert await client.wait_ready() == READY


async def test_time_in_which_the_gateway_itself_stood_still_is_no_silence(monkeypatch) -> None:
    loop = asyncio.get_running_loop()
    clock = loop.time
    async with scripted() as client:
        await client.start()
        queue = await opened(client, "a")
        with monkeypatch.context() as stopped:  # as by SIGSTOP, or with the whole machine
            stopped.setattr(loop, "time", lambda: clock() + 3600.0)
            await opened(client, "b")
            assert queue.empty()
            assert client.died == 0
            await client.stop()


async def test_how_long_an_engine_has_said_nothing_is_known() -> None:
    now_s = 100.0
    settings = ClientSettings(ping_interval_s=1000.0)
    client = EngineClient(EngineSettings(), settings, worker=SCRIPTED, clock=lambda: now_s)
    assert client.silent_s == 0.0
    assert not client.is_up
    try:
        await client.start()
        assert client.is_up
        now_s += 12.0
        assert client.silent_s == 12.0
        assert not client.is_up
        await opened(client, "a")
        assert client.silent_s == 0.0
        now_s += 3.0
    finally:
        await client.stop()
    assert client.silent_s == 0.0  # there is none that could say anything


async def test_a_reader_that_is_too_slow_is_lost_alone() -> None:
    async with scripted(queue_messages=8) as client:
        await client.start()
        spy = await opened(client, "spy")
        slow = await open_conversation(client, "floods")
        closed = await get(spy)
        assert closed == TextDelta(conversation_id="spy", response_id="floods", text="closed")
        events = [slow.get_nowait() for _ in range(slow.qsize())]
        assert len(events) == 8
        assert isinstance(events[-1], EngineFault)
        assert events[-1].code == "slow_consumer"
        await opened(client, "other")


async def test_who_leaves_is_closed_in_the_engine() -> None:
    async with scripted() as client:
        await client.start()
        spy = await opened(client, "spy")
        await opened(client, "a")
        client.unsubscribe("a")
        client.unsubscribe("a")
        closed = await get(spy)
        assert closed == TextDelta(conversation_id="spy", response_id="a", text="closed")
        assert spy.empty()


async def test_a_real_engine_is_killed_and_comes_back(quick_checkpoint) -> None:
    settings = EngineSettings(
        model=str(quick_checkpoint),
        dtype="float32",
        threads=1,
        context_tokens=256,
        max_speech_s=0.6,
    )
    client = EngineClient(settings)
    try:
        ready = await client.start()
        assert ready.voices == ("Ada", "Bob")
        assert ready.context_tokens == 256
        for turn in ("first", "second"):
            talk = Talk(turn)
            queue = await opened(client, turn)
            for command in [*talk.spoken("q", speech(0.5)), talk.respond("r", tokens=20)]:
                await client.send(command)
            kinds = set()
            while not kinds >= {TextDelta, AudioDelta}:
                kinds.add(type(await get(queue)))
            if turn == "first":
                os.kill(client.process_id, signal.SIGKILL)
                while not isinstance(event := await get(queue), EngineFault):
                    pass
                assert (event.code, event.fatal) == ("engine_lost", True)
                await client.wait_ready()
    finally:
        await client.stop()
