"""Turns over real sockets, from a real engine on a tiny checkpoint, as they are counted."""

import asyncio
import gc
from pathlib import Path

import httpx

import server
from clients.python.client import open_conversation
from clients.python.sources import read_recording
from server.telemetry.names import TTFA_STAGES
from streaming.turns.voice_activity import SileroVoiceActivity
from tests.server.telemetry.rig import value
from tests.server.test_realtime import until

QUESTION = Path(server.__file__).parent / "assets" / "question.wav"
FELT = {"transport": "websocket", "turn_detection": "server_vad"}
QUIET = bytes(2 * 24_000 // 10)


def question():
    """The recorded question as the wire has it, in pieces of 0.1 s."""
    pcm = read_recording(QUESTION).samples.astype("<i2").tobytes()
    return [pcm[start : start + 4_800] for start in range(0, len(pcm), 4_800)]


class Before:
    """What has changed since it was made: the server is everybody's."""

    def __init__(self, server):
        self.metrics = server.running.gateway.telemetry.metrics
        samples = (s for family in self.metrics.registry.collect() for s in family.samples)
        self._then = {(s.name, *sorted(s.labels.items())): s.value for s in samples}

    def gain(self, name, **labels):
        key = (f"omnilive_{name}", *sorted(labels.items()))
        return value(self.metrics, name, **labels) - self._then.get(key, 0.0)


async def test_a_spoken_turn_is_felt_in_stages_that_add_up(tiny_server):
    before = Before(tiny_server)
    async with open_conversation(tiny_server.url) as client:
        await client.configure(
            max_output_tokens=6, audio={"input": {"turn_detection": {"type": "server_vad"}}}
        )
        for piece in [*question(), *[QUIET] * 8]:
            await client.append_audio(piece)
        await until(client, "response.done")
    stages = {
        stage: before.gain("ttfa_stage_seconds_sum", stage=stage, transport="websocket")
        for stage in TTFA_STAGES
    }
    assert before.gain("ttfa_seconds_count", **FELT) == 1
    assert sum(stages.values()) > 0
    assert abs(sum(stages.values()) - before.gain("ttfa_seconds_sum", **FELT)) < 1e-6
    assert stages["first_wave"] > 0
    assert stages["first_text"] > 0
    assert before.gain("turns_total", **FELT) == 1
    assert before.gain("audio_rtf_count", transport="websocket") == 1
    assert before.gain("audio_underrun_seconds_count", transport="websocket") == 1
    assert before.gain("speech_generated_seconds_total") > 0


async def test_a_turn_that_the_client_ends_and_a_typed_one(tiny_server):
    before = Before(tiny_server)
    async with open_conversation(tiny_server.url) as client:
        await client.configure(max_output_tokens=6, audio={"input": {"turn_detection": None}})
        for piece in question():
            await client.append_audio(piece)
        await client.send("input_audio_buffer.commit")
        await client.send("response.create")
        await until(client, "response.done")
        await client.send("response.create")
        await until(client, "response.done")
    manual = {"transport": "websocket", "turn_detection": "none"}
    assert before.gain("turns_total", **manual) == 1
    assert before.gain("ttfa_seconds_count", **manual) == 1
    assert before.gain("vad_endpoint_delay_seconds_count", turn_detection="none") == 0
    assert before.gain("time_to_first_token_seconds_count", transport="websocket") == 2
    assert before.gain("prompt_tokens_cached_total") > 0


async def test_sessions_and_refusals_are_counted_by_how_they_came(tiny_server):
    before = Before(tiny_server)
    gateway = tiny_server.running.gateway
    body = {"model": gateway.ready().model_id, "max_tokens": 4}
    body["messages"] = [{"role": "user", "content": "Hi"}]
    async with httpx.AsyncClient(base_url=tiny_server.http, timeout=60) as http:
        assert (await http.post("/v1/chat/completions", json=body)).status_code == 200
        asked = await http.post("/v1/chat/completions", json=body | {"model": "gpt-9"})
        assert asked.status_code == 404
    async with open_conversation(tiny_server.url):
        assert before.gain("sessions_active", transport="websocket") == 1
    while gateway.conversations:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert before.gain("sessions_ended_total", transport="http", reason="answered") == 1
    assert before.gain("responses_total", transport="http", status="incomplete") == 1
    assert before.gain("refusals_total", transport="http", reason="model_not_found") == 1
    assert before.gain("sessions_ended_total", transport="websocket", reason="client_left") == 1
    assert before.gain("sessions_active", transport="websocket") == 0


async def test_what_hears_is_gone_with_its_session(tiny_server):
    """Its memory is none that Python counts, so no collection would come for it in time."""
    gateway = tiny_server.running.gateway
    gc.collect()
    before = listeners()
    gc.disable()
    try:
        async with open_conversation(tiny_server.url) as client:
            await client.configure(audio={"input": {"turn_detection": {"type": "server_vad"}}})
            assert listeners() > before
        # What stood before may go as well meanwhile.
        async with asyncio.timeout(10):
            while gateway.conversations or listeners() > before:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        gc.enable()


def listeners():
    # `isinstance` would ask every object for its `__class__`, at which some of torch's warn.
    return sum(type(thing) is SileroVoiceActivity for thing in gc.get_objects())


async def test_the_loops_lag_is_measured(tiny_server):
    assert value(tiny_server.running.gateway.telemetry.metrics, "event_loop_lag_seconds_count") > 0
