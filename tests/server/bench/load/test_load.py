"""Real processes: callers, a gateway with the scripted engine, echoes, and a tiny real model."""

import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict
from subprocess import PIPE

import psutil
import pytest
from typer.testing import CliRunner

from server.bench import cli
from server.bench.errors import ProcessError, WarmUpError
from server.bench.load import bench, echo, served
from server.bench.load.options import LoadOptions
from server.bench.load.processes import started
from server.bench.load.scripted_engine import MODEL_ID, Timetable
from server.bench.load.served import Served, ServedOrder
from server.bench.load.step import Target, run_step
from server.bench.load.usage import listener_pids

START_LIMIT_S = 120
# Callers a second; and each leaves after its turn.
AT_ONCE = 50.0
ECHOED = {"websocket": "websockets", "webrtc": "aiortc"}
TRANSPORTS = list(ECHOED)


@contextmanager
def gateway(**settings):
    """A real gateway process with the scripted engine; every test may call it."""
    order = ServedOrder(settings={"log_level": "error", **settings}, is_scripted=True)
    command = (sys.executable, "-m", served.__name__, json.dumps(asdict(order)))
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        there = Served(**json.loads(process.stdout.readline()))
        assert there.model == MODEL_ID
        assert there.gateway_pid == process.pid
        yield there
    # With its stdin everything has ended, the engine too.
    assert process.returncode == 0
    assert not psutil.pid_exists(there.engine_pid)


@pytest.fixture(scope="module")
def roomy():
    with gateway(max_conversations=16) as there:
        yield there


@pytest.fixture(scope="module")
def narrow():
    with gateway(max_conversations=1) as there:
        yield there


def target(there, transport):
    roles = {"gateway": [there.gateway_pid], "engine": [there.engine_pid]}
    return Target(name="gateway", url=there.url, transport=transport, is_echo=False, roles=roles)


def invoke(*arguments):
    done = CliRunner().invoke(cli.app, ["load", *arguments, "--json"])
    assert done.exit_code == 0, done.output
    return done


def plain(step):
    assert step.summary.failures == 0, [r for r in step.records if not r.succeeded]
    return step.summary.counted


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_callers_of_every_kind(transport, roomy):
    """Each speaks into its first reply; one vanishes meanwhile, and over a socket one is slow."""
    slow = 0.25 if transport == "websocket" else 0.0
    options = LoadOptions(
        turns=1, barge_ins=1.0, vanishing=0.25, slow=slow, transport=transport, rate=AT_ONCE
    )
    step = await run_step(target(roomy, transport), options, 4)
    turns = plain(step)
    assert len(turns) == (2 if slow else 3)
    for turn in turns:
        assert turn.outcome == "interrupted"
        # The silence that ends a turn, then what the script waits; what is late is late on top.
        assert turn.first_sound_s > 0.4 + Timetable().first_sound_s
        assert turn.first_text_s > 0.4
        assert 0 < turn.speech_s < 9.0
        assert turn.barge_in_s is not None
        assert 0 < turn.barge_in_s < 5.0
    kinds = {record.kind: record.outcome for record in step.records if record.kind == "vanishing"}
    assert kinds == {"vanishing": "vanished"}
    assert {"gateway", "engine", "callers"} == set(step.costs)
    assert all(cost.cores > 0 and cost.memory_mib > 10 for cost in step.costs.values())
    assert step.lateness.frames > 100
    json.dumps(step.figures(), allow_nan=False)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_who_is_refused_stays_in_the_denominator(transport, narrow):
    """Three come, one seat is there; nobody stays for more than one turn."""
    options = LoadOptions(
        turns=1,
        barge_ins=0.0,
        vanishing=0.0,
        slow=0.0,
        processes=2,
        rate=AT_ONCE,
        transport=transport,
    )
    step = await run_step(target(narrow, transport), options, 3)
    summary = step.summary
    assert {turn.caller for turn in summary.counted} == {0, 1, 2}
    assert len(step.records) == 3
    refused = [turn for turn in summary.counted if not turn.succeeded]
    assert [(turn.outcome, turn.reason) for turn in refused] == [("refused", "server_full")] * 2
    assert summary.figures()["refusals"] == 2
    assert summary.figures()["first_sound"]["p95_s"] is None
    (answered,) = (turn for turn in summary.counted if turn.succeeded)
    assert answered.outcome == "answered"
    assert answered.speech_s == pytest.approx(Timetable().speech_s, rel=0.1)
    if transport == "websocket":
        assert answered.speech_s == pytest.approx(Timetable().speech_s)
    # Late is what a busy machine may make it, but no reply is made sooner than the script has it.
    assert 0.8 * Timetable().rtf < answered.speech_rtf < 4


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_bare_echo_gives_sound_back(transport):
    options = LoadOptions(turns=1, transport=transport, vanishing=0.0, slow=0.0)
    async with started(echo.__name__, transport) as process:
        called = Target(
            name="echo",
            url=await process.read(START_LIMIT_S),
            transport=transport,
            is_echo=True,
            roles={"echo": [process.pid]},
        )
        step = await run_step(called, options, 2)
    for turn in plain(step):
        assert 0 <= turn.first_sound_s < 10.0
    assert step.costs["echo"].cores > 0


async def test_the_environment_of_the_server_that_stays_is_not_the_bench_s(monkeypatch):
    """Its callers have no key, and its address is in use."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("OMNILIVE_METRICS_PORT", str(taken.getsockname()[1]))
        monkeypatch.setenv("OMNILIVE_API_KEYS", "kkkkkkkkkkkk")
        monkeypatch.setenv("OMNILIVE_MAX_CONVERSATIONS_PER_ADDRESS", "1")
        options = LoadOptions(turns=1, barge_ins=0, vanishing=0.0, slow=0.0, is_scripted=True)
        with gateway(**options.settings(None)) as there:
            plain(await run_step(target(there, "websocket"), options, 2))


async def test_what_cannot_start_says_why():
    order = ServedOrder(settings={"max_conversations": 0}, is_scripted=True)
    async with started(served.__name__, json.dumps(asdict(order))) as process:
        with pytest.raises(ProcessError, match=r"served ended: .*max-conversations"):
            await process.read(START_LIMIT_S)


async def test_nobody_there_is_no_measurement(machine):
    options = LoadOptions(url="ws://127.0.0.1:9/v1/realtime", turns=1)
    with pytest.raises(WarmUpError, match="lost"):
        await bench._load(options, machine, print)


@pytest.mark.usefixtures("restored")
def test_a_real_model_by_its_address_from_end_to_end(tiny_server, tmp_path):
    """Nothing but the address is known, and from it who listens there."""
    page = tmp_path / "load.html"
    done = invoke(
        *("--url", tiny_server.url, "--callers", "2", "--most", "2", "--turns", "1"),
        *("--max-reply-tokens", "4", "--barge-ins", "0", "--target-s", "60", "--html", str(page)),
    )
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["name"], said["ours"], said["reference"]) == ("load-websocket", 2, 2)
    assert (said["engine"], said["met"]) == ("real", True)
    wanted = said["wanted"]
    assert (wanted["turns"], wanted["failures"]) == (2, 0)
    assert wanted["first_sound"]["p50_s"] > 0.4
    assert wanted["speech_rtf_p50"] > 0
    assert wanted["costs"]["server"]["memory_mib"] > 100
    assert "<svg" in page.read_text()
    port = int(tiny_server.running.address.rpartition(":")[2])
    assert {os.getpid(), tiny_server.engine_pid()} <= set(listener_pids(port))


@pytest.mark.slow
@pytest.mark.usefixtures("restored")
def test_a_server_is_started_where_there_is_none(talkative_checkpoint):
    done = invoke(
        *("--model", str(talkative_checkpoint), "--dtype", "float32", "--threads", "1"),
        *("--callers", "1", "--most", "1", "--turns", "1", "--max-reply-tokens", "4"),
        *("--barge-ins", "0", "--target-s", "60"),
    )
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["ours"], said["engine"]) == (1, "real")
    assert said["wanted"]["costs"]["engine"]["memory_mib"] > 50


@pytest.mark.slow
@pytest.mark.usefixtures("restored")
def test_the_gateway_alone_beside_both_echoes():
    done = invoke(
        *("--scripted-engine", "--transport", "both", "--callers", "2", "--most", "2"),
        *("--turns", "1", "--steps", "1", "--slack-s", "10"),
    )
    said = json.loads(done.stdout.splitlines()[-1])
    for one, transport in zip(said["benches"], TRANSPORTS, strict=True):
        assert (one["ours"], one["reference"], one["engine"]) == (2, 2, "scripted")
        assert ECHOED[transport] in one["echo"]["target"]


def test_a_bad_option_is_told_in_a_line():
    refused = CliRunner().invoke(cli.app, ["load", "--url", "ws://192.0.2.7/v1/realtime"])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("omnilive bench load: --url ws://192.0.2.7")
    assert CliRunner().invoke(cli.app, ["load", "--callers", "0"]).exit_code == 2


@pytest.mark.parametrize("without_torch", [["--url", "ws://localhost"], ["--scripted-engine"]])
def test_threads_are_for_an_engine_that_the_bench_starts(without_torch):
    refused = CliRunner().invoke(cli.app, ["load", *without_torch, "--threads", "1"])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("omnilive bench load: --threads")


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("ws://localhost/v1/realtime", 80),
        ("http://localhost/v1/realtime", 80),
        ("wss://localhost/v1/realtime", 443),
        ("https://localhost/v1/realtime", 443),
        ("wss://localhost:8443/v1/realtime", 8443),
    ],
)
def test_the_port_whose_processes_are_measured(url, port):
    assert bench.port_of(url) == port
