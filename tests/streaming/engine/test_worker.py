"""The engine process itself, spoken to by nothing but frames."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from streaming.engine.client import WORKER
from streaming.engine.messages.commands import CloseConversation, OpenConversation, Ping, Shutdown
from streaming.engine.messages.events import (
    ConversationOpened,
    EngineFault,
    EngineLoading,
    EngineReady,
    Event,
    Pong,
)
from streaming.engine.messages.load import EngineLoad
from streaming.engine.settings import ClientSettings, EngineSettings
from streaming.engine.wire import decode, encode

LIMIT_MS = 120_000
RUN = f"runpy.run_module({WORKER[-1]!r}, run_name='__main__', alter_sys=True)"
# The same, but taking the interpreter apart lasts for a minute.
SLOW_TO_END = f"import atexit, runpy, time; atexit.register(time.sleep, 60); {RUN}"
# The same, but a step never ends.
BUSY = f"""
import runpy
from streaming.engine.engine import Engine
def step(self):
    while True:
        pass
Engine.step = step
{RUN}
"""
# The same, but the conversation "odd" is told half a character at its opening.
ODD = f"""
import runpy
from streaming.engine.engine import Engine
from streaming.engine.messages.events import TextDelta
real = Engine.step
def step(self):
    new = set(self._conversations)
    busy = real(self)
    if "odd" in self._conversations and "odd" not in new:
        self.outbox.append(TextDelta(conversation_id="odd", response_id="r", text=chr(0xd800)))
    return busy
Engine.step = step
{RUN}
"""

# The same, but nothing loads, for a reason that nobody foresaw.
UNLOADABLE = f"""
import runpy
import model.omni
def load_checkpoint(*_, **__):
    raise OverflowError("no number of ours")
model.omni.load_checkpoint = load_checkpoint
{RUN}
"""


class Line:
    """A worker process and the socket to it."""

    def __init__(self, endpoint: str, *flags: str, program: Sequence[str] = WORKER) -> None:
        self.socket = zmq.Context.instance().socket(zmq.PAIR)
        self.socket.linger = 0
        self.socket.rcvtimeo = LIMIT_MS
        self.socket.bind(endpoint)
        self.process = subprocess.Popen(
            [*program, "--endpoint", endpoint, *flags],
            stdin=subprocess.PIPE,
        )

    def send(self, *frames: bytes) -> None:
        self.socket.send_multipart(frames)

    def hear(self) -> Event:
        """The next message; how busy the engine is comes in between, and is left out."""
        while isinstance(message := decode(self.socket.recv_multipart()), EngineLoad):
            pass
        return message

    def hear_load(self, conversations: int) -> EngineLoad:
        """The next word of how busy it is with so many conversations."""
        while True:
            message = decode(self.socket.recv_multipart())
            if isinstance(message, EngineLoad) and message.conversations == conversations:
                return message

    def close(self) -> None:
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.socket.close()


@pytest.fixture(scope="module")
def line(quick_checkpoint, tmp_path_factory) -> Iterator[Line]:
    settings = EngineSettings(
        model=str(quick_checkpoint),
        dtype="float32",
        threads=1,
        context_tokens=256,
        max_speech_s=0.6,
    )
    line = Line(f"ipc://{tmp_path_factory.mktemp('line')}/engine", *settings.flags())
    yield line
    line.close()


@pytest.fixture(scope="module")
def started(line: Line) -> list[Event]:
    """What it said on its way to being ready."""
    events = [line.hear()]
    while not isinstance(events[-1], EngineReady):
        events.append(line.hear())
    return events


def test_a_start_says_what_it_does_and_what_it_can(started: list[Event]) -> None:
    *loading, ready = started
    assert {event.stage for event in loading} >= {"loading the checkpoint", "warming up"}
    assert ready.voices == ("Ada", "Bob")
    assert ready.inputs == ("text", "audio")
    assert ready.output_sample_rate_hz == 24_000


def test_frames_that_are_no_message_get_a_fault_and_the_loop_turns(
    line: Line, started: list[Event]
) -> None:
    bad_field = b'{"type":"UserAudioStart","conversation_id":"c7","item_id":3}'
    line.send(b"\xff\x00")
    line.send(bad_field)
    line.send(*encode(Pong(nonce=1)))
    line.send(*encode(Ping(nonce=2)))
    faults = [line.hear() for _ in range(3)]
    assert [fault.conversation_id for fault in faults] == [None, "c7", None]
    assert {fault.code for fault in faults} == {"bad_message"}
    assert "item_id" in faults[1].message
    assert line.hear() == Pong(nonce=2)


def test_a_warm_up_leaves_no_conversation_behind(line: Line, started: list[Event]) -> None:
    names = [f"c{i}" for i in range(started[-1].max_conversations)]
    for name in names:
        line.send(*encode(OpenConversation(conversation_id=name)))
    assert [line.hear() for _ in names] == [ConversationOpened(conversation_id=n) for n in names]


def test_it_says_how_busy_it_is(line: Line, started: list[Event]) -> None:
    count = started[-1].max_conversations  # all are open
    line.hear_load(count)
    line.send(*encode(CloseConversation(conversation_id="c0")))
    load = line.hear_load(count - 1)  # an engine with nothing to do tells its last change too
    assert load.resident_bytes > 10 * 2**20
    assert load.cpu_s > 0
    assert load.gpu_total_bytes is None
    # The turn that warmed it up went through every stage.
    busy = {stage.stage: stage.busy_s for stage in load.stages}
    assert min(busy[name] for name in ("encode", "prefill", "thinker", "talker", "token2wav")) > 0


def test_it_ends_when_it_is_told_to_and_takes_nothing_apart(
    quick_checkpoint: Path, tmp_path: Path
) -> None:
    settings = EngineSettings(model=str(quick_checkpoint), dtype="float32", threads=1)
    line = Line(
        f"ipc://{tmp_path}/engine", *settings.flags(), program=(sys.executable, "-c", SLOW_TO_END)
    )
    while not isinstance(line.hear(), EngineReady):
        pass
    line.send(*encode(Shutdown()))
    assert line.process.wait(ClientSettings().stop_timeout_s) == 0
    line.close()


def test_an_event_that_cannot_be_sent_costs_its_conversation_alone(
    quick_checkpoint: Path, tmp_path: Path
) -> None:
    settings = EngineSettings(model=str(quick_checkpoint), dtype="float32", threads=1)
    line = Line(f"ipc://{tmp_path}/engine", *settings.flags(), program=(sys.executable, "-c", ODD))
    while not isinstance(line.hear(), EngineReady):
        pass
    for name in ("other", "odd"):
        line.send(*encode(OpenConversation(conversation_id=name)))
        assert line.hear() == ConversationOpened(conversation_id=name)
    fault = line.hear()
    assert (fault.conversation_id, fault.code, fault.fatal) == ("odd", "internal_error", True)
    # It is closed, and the other is not.
    line.hear_load(1)
    line.send(*encode(OpenConversation(conversation_id="other")))
    assert line.hear().code == "duplicate"
    line.close()


def test_whatever_keeps_it_from_loading_is_told(tmp_path: Path) -> None:
    line = Line(f"ipc://{tmp_path}/engine", program=(sys.executable, "-c", UNLOADABLE))
    assert line.hear() == EngineLoading(stage="loading the checkpoint")
    reason = "OverflowError: no number of ours"
    assert line.hear() == EngineFault(conversation_id=None, code="load_failed", message=reason)
    assert line.process.wait(ClientSettings().stop_timeout_s) == 1
    line.close()


def test_it_ends_in_the_midst_of_a_step_and_while_it_loads(
    quick_checkpoint: Path, tmp_path: Path
) -> None:
    settings = EngineSettings(model=str(quick_checkpoint), dtype="float32", threads=1)
    program = (sys.executable, "-c", BUSY)
    line = Line(f"ipc://{tmp_path}/engine", *settings.flags(), program=program)
    while line.hear() != EngineLoading(stage="warming up"):
        pass
    line.process.stdin.close()
    assert line.process.wait(ClientSettings().stop_timeout_s) == 0
    line.close()


def test_it_ends_with_the_gateway(line: Line, started: list[Event]) -> None:
    line.process.stdin.close()
    assert line.process.wait(LIMIT_MS / 1000) == 0


def test_a_checkpoint_that_is_none_ends_it_with_a_word(tmp_path) -> None:
    line = Line(f"ipc://{tmp_path}/engine", "--model", str(tmp_path / "nothing"))
    events = [line.hear()]
    while not isinstance(events[-1], EngineFault):
        events.append(line.hear())
    assert events[-1].conversation_id is None
    assert "nothing" in events[-1].message
    assert line.process.wait(LIMIT_MS / 1000) == 1
    line.close()


def test_settings_come_back_from_their_flags() -> None:
    settings = EngineSettings(model="a b", threads=3, context_tokens=99, dtype="bfloat16", seed=5)
    settings = replace(settings, max_asides=0, max_transcripts=7, max_deferred=9)
    settings = replace(settings, log_level="debug", log_format="json", log_content=True)
    assert EngineSettings.from_flags(settings.flags()) == settings
    assert EngineSettings.from_flags([]) == EngineSettings()
