"""`openai-agents` (Python), unmodified: the strictest validator of server events there is.

It reports every event that it cannot read as an error, so none may come.
"""

import asyncio

import pytest
from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner

from clients.python.sources import SAMPLE_RATE_HZ, read_recording
from server.demo import QUESTION

pytestmark = pytest.mark.clients

TURN_TIMEOUT_S = 120
VALIDATED = (
    "response.created",
    "rate_limits.updated",
    "response.output_item.added",
    "conversation.item.added",
    "response.output_audio.delta",
    "response.done",
)


@function_tool
def weather(city: str) -> str:
    """Says the weather of a city."""
    return f"18 degrees in {city}"


def runner_for(server, **settings):
    # A random model goes on to the end of its context; the kit has no option to bound that.
    agent = RealtimeAgent(name="guide", instructions="Be brief.", tools=[weather])
    config = {
        "url": f"{server.url}?model={server.running.ready.model_id}",
        "api_key": "none",
        "initial_model_settings": settings,
    }
    return RealtimeRunner(agent), config


async def until_turn_ends(session, seen):
    async with asyncio.timeout(TURN_TIMEOUT_S):
        async for event in session:
            seen.append(event)
            assert event.type != "error", event.error
            if event.type == "raw_model_event" and event.data.type == "turn_ended":
                return
    raise AssertionError("the session ended in the middle of a turn")


def raw_kinds(seen):
    return [
        event.data.data["type"]
        for event in seen
        if event.type == "raw_model_event" and event.data.type == "raw_server_event"
    ]


async def test_a_typed_turn_without_one_event_it_cannot_read(roomy_server):
    runner, config = runner_for(roomy_server, modalities=["audio"])
    seen = []
    async with await runner.run(model_config=config) as session:
        await session.send_message("Hello there.")
        await until_turn_ends(session, seen)
    assert sum(len(event.audio.data) for event in seen if event.type == "audio") > 0
    assert set(VALIDATED) <= set(raw_kinds(seen))
    histories = [event.history for event in seen if event.type == "history_updated"]
    assert [item.role for item in histories[-1]] == ["user", "assistant"]


async def test_a_spoken_turn_with_what_was_heard(roomy_server):
    detection = {"type": "server_vad"}
    runner, config = runner_for(roomy_server, turn_detection=detection)
    samples = read_recording(QUESTION).samples[: 3 * SAMPLE_RATE_HZ]
    seen = []
    async with await runner.run(model_config=config) as session:
        await session.send_audio(samples.tobytes())
        await session.send_audio(bytes(2 * SAMPLE_RATE_HZ))
        await until_turn_ends(session, seen)
        kinds = raw_kinds(seen)
    assert "input_audio_buffer.speech_started" in kinds
    assert kinds.index("input_audio_buffer.committed") < kinds.index("response.created")
