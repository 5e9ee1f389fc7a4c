"""The WebSocket of a real server on a real engine: who comes in, and what is answered."""

import asyncio
import base64
import json
import time
from contextlib import AsyncExitStack

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from clients.python.client import open_conversation
from clients.python.errors import ServerSaidError
from clients.python.turn import ask_typed
from server.realtime import choose_subprotocol
from server.sessions import max_turn_ms
from tests.server.conftest import bare, hear

TURN_ORDER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]
DELTAS = {"response.output_audio.delta", "response.output_audio_transcript.delta"}
SHORT = 6


async def until(client, kind):
    """Every event up to and with the first of this type."""
    events = [await client.receive()]
    while events[-1]["type"] != kind:
        assert events[-1]["type"] != "error", events[-1]
        events.append(await client.receive())
    return events


def pcm(seconds):
    t = np.arange(int(24_000 * seconds)) / 24_000
    return (9_000 * np.sin(2 * np.pi * 300 * t)).astype(np.int16).tobytes()


async def push_to_talk(client):
    return await client.configure(
        max_output_tokens=SHORT, audio={"input": {"turn_detection": None}}
    )


async def test_a_spoken_turn_in_the_order_that_clients_rely_on(tiny_server):
    async with open_conversation(tiny_server.url) as client:
        session = await push_to_talk(client)
        assert session["model"] == tiny_server.running.ready.model_id
        await client.append_audio(pcm(1.0))
        await client.send("input_audio_buffer.commit")
        await client.send("response.create", response={"metadata": {"mine": "7"}})
        committed = [event["type"] for event in await until(client, "conversation.item.done")]
        assert committed == [
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
        ]
        events = await until(client, "response.done")
        kinds = [event["type"] for event in events if event["type"] not in DELTAS]
        kinds = [kind for kind in kinds if kind != "rate_limits.updated"]
        assert kinds == TURN_ORDER
        response = events[-1]["response"]
        assert response["metadata"] == {"mine": "7"}
        assert response["usage"]["input_token_details"]["audio_tokens"] > 0
        assert response["usage"]["output_tokens"] > 0
        sound = b"".join(
            base64.b64decode(event["delta"])
            for event in events
            if event["type"] == "response.output_audio.delta"
        )
        assert len(sound) > 0
        assert len(sound) % 2 == 0


MODEL = {"type": "session.update", "session": {"type": "realtime", "model": "gpt-9"}}
BAD = {
    "not JSON": "{",
    "not an object": "[1, 2]",
    "binary": b"\x00\xff\x00",
    "unknown event": '{"type": "input_audio_buffer.explode"}',
    "no type": '{"audio": "AAAA"}',
    "broken base64": '{"type": "input_audio_buffer.append", "audio": "%%%"}',
    "half a sample": '{"type": "input_audio_buffer.append", "audio": "AAAA"}',
    "a WAV file": json.dumps({"type": "input_audio_buffer.append", "audio": 5}),
    "nothing to commit": '{"type": "input_audio_buffer.commit"}',
    "no such item": '{"type": "conversation.item.delete", "item_id": "nobody"}',
    "nothing to cancel": '{"type": "response.cancel"}',
    "a rate that is not served": json.dumps(
        {
            "type": "session.update",
            "session": {
                "type": "realtime",
                "audio": {"input": {"format": {"type": "audio/pcm", "rate": 11_025}}},
            },
        }
    ),
    "an image": json.dumps(
        {
            "type": "conversation.item.create",
            "item": {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}],
            },
        }
    ),
}


async def test_bad_input_gets_a_clear_error_and_the_session_lives(tiny_server):
    async with bare(tiny_server.url) as socket:
        for name, frame in BAD.items():
            await socket.send(frame)
            event = await hear(socket)
            assert event["type"] == "error", (name, event)
            assert len(event["error"]["message"]) > 10, name
        update = {"type": "realtime", "instructions": "be brief"}
        await socket.send(json.dumps({"type": "session.update", "session": update}))
        assert (await hear(socket))["type"] == "session.updated"


async def test_instructions_that_the_context_does_not_hold_are_taken_back(tiny_server):
    def update(instructions):
        session = {"type": "realtime", "instructions": instructions}
        return json.dumps({"type": "session.update", "event_id": "mine", "session": session})

    async with bare(tiny_server.url) as socket:
        first = await send_and_hear(socket, update("be brief"))
        assert first["type"] == "session.updated"
        assert (await send_and_hear(socket, update("d " * 2000)))["type"] == "session.updated"
        error = (await hear(socket))["error"]
        assert (error["type"], error["param"], error["event_id"]) == (
            "invalid_request_error",
            "session.instructions",
            "mine",
        )
        assert f"{tiny_server.settings.context_tokens} (context_tokens)" in error["message"]
        updated = await hear(socket)
        assert updated["session"]["instructions"] == "be brief"


async def send_and_hear(socket, frame):
    await socket.send(frame)
    return await hear(socket)


async def test_an_oversize_event_gets_an_error_that_names_the_limit(tiny_server):
    limit = tiny_server.settings.max_event_bytes
    async with bare(tiny_server.url) as socket:
        frame = json.dumps({"type": "input_audio_buffer.append", "audio": "A" * limit})
        await socket.send(frame)
        event = await hear(socket)
        assert event["type"] == "error"
        assert str(limit) in event["error"]["message"]
        await socket.send('{"type": "input_audio_buffer.clear"}')
        assert (await hear(socket))["type"] == "input_audio_buffer.cleared"
        with pytest.raises(ConnectionClosed) as closed:
            await send_and_hear(socket, "A" * (2 * limit + 1))
        assert closed.value.rcvd.code == 1009


async def test_a_session_says_when_it_ends_and_how_long_a_turn_may_be(tiny_server):
    limit = max_turn_ms(tiny_server.running.ready, tiny_server.settings)
    assert limit == 9_600  # three quarters of 320 tokens, 25 a second
    async with connect(tiny_server.url) as socket:
        created = (await hear(socket))["session"]
        left_s = created["expires_at"] - time.time()
        assert left_s == pytest.approx(tiny_server.settings.max_session_s, abs=30)
        await hear(socket)  # conversation.created
        detection = {"audio": {"input": {"turn_detection": None}}}
        await socket.send(
            json.dumps({"type": "session.update", "session": {"type": "realtime"} | detection})
        )
        await hear(socket)
        audio = base64.b64encode(pcm(9.7)).decode()
        await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        assert f"{limit}ms (max_turn_ms)" in (await hear(socket))["error"]["message"]


async def test_a_session_that_has_lasted_its_time_is_ended(tiny_server, monkeypatch):
    short = tiny_server.settings.model_copy(update={"max_session_s": 1})
    monkeypatch.setattr(tiny_server.running.gateway, "settings", short)
    async with bare(tiny_server.url) as socket:
        event = await hear(socket)
        assert event["error"]["code"] == "session_expired"
        assert "1 s (max_session_s)" in event["error"]["message"]
        with pytest.raises(ConnectionClosed):
            await hear(socket)


async def test_an_unknown_model_is_refused_by_name(tiny_server):
    with pytest.raises(ServerSaidError, match="'gpt-9'") as failure:
        async with open_conversation(tiny_server.url, model="gpt-9"):
            pass
    assert failure.value.code == "model_not_found"
    assert tiny_server.running.ready.model_id in str(failure.value)


async def test_one_more_than_the_limit_is_refused_and_a_free_seat_taken(tiny_server):
    limit = tiny_server.settings.max_conversations
    async with asyncio.timeout(60):
        async with AsyncExitStack() as seats:
            for _ in range(limit):
                await seats.enter_async_context(bare(tiny_server.url))
            with pytest.raises(ServerSaidError, match=f"{limit} conversations") as failure:
                async with open_conversation(tiny_server.url):
                    pass
            assert failure.value.code == "server_full"
        async with open_conversation(tiny_server.url) as client:
            await push_to_talk(client)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([], None),
        (["realtime"], "realtime"),
        (["openai-insecure-api-key.k", "realtime"], "realtime"),
    ],
)
async def test_the_subprotocol_is_selected_only_when_offered(tiny_server, offered, chosen):
    assert choose_subprotocol(offered) == chosen
    async with bare(tiny_server.url, subprotocols=offered or None) as socket:
        assert socket.subprotocol == chosen


async def answer(server, text):
    async with open_conversation(server.url) as client:
        await push_to_talk(client)
        report = await ask_typed(client, text)
        return report.answer_transcript, report.samples.tobytes()


async def test_conversations_at_the_same_time_do_not_disturb_each_other(tiny_server):
    questions = ["one", "another thing altogether"]
    alone = [await answer(tiny_server, question) for question in questions]
    together = await asyncio.gather(*(answer(tiny_server, question) for question in questions))
    assert [words for words, _ in together] == [words for words, _ in alone]
    # Speech is drawn at random for each reply: that it is there is all that can be asked of it.
    assert all(sound for _, sound in together)


async def test_bad_input_of_one_conversation_does_not_touch_another(tiny_server):
    async with bare(tiny_server.url) as socket:
        calm = asyncio.create_task(answer(tiny_server, "one"))
        while not calm.done():
            for frame in BAD.values():
                await socket.send(frame)
                assert (await hear(socket))["type"] == "error"
        assert (await calm)[0] == (await answer(tiny_server, "one"))[0]
