"""Whatever comes in over the socket: every frame is answered or ignored, and the server lives."""

import asyncio
import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from tests.server.conftest import bare, hear

KINDS = [
    "session.update",
    "input_audio_buffer.append",
    "input_image_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "conversation.item.delete",
    "response.cancel",
    "output_audio_buffer.clear",
]
KEYS = [
    "session", "type", "audio", "input", "output", "format", "rate", "turn_detection", "threshold",
    "instructions", "item", "item_id", "previous_item_id", "role", "content", "text", "event_id",
    "output_modalities", "max_output_tokens", "transcription", "audio_end_ms", "content_index",
    "image", "image_url", "detail", "modalities", "tools", "function",
]  # fmt: skip
WORDS = [
    "realtime",
    "message",
    "user",
    "assistant",
    "server_vad",
    "audio/pcm",
    "input_text",
    "input_image",
    "data:image/png;base64,iVBORw0KGgo=",
    "root",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=8)
    | st.binary(max_size=64).map(lambda raw: base64.b64encode(raw).decode()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)
EVENTS = st.builds(
    lambda kind, fields: json.dumps({**fields, "type": kind}),
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4),
)
FRAMES = EVENTS | st.text(max_size=40) | st.binary(max_size=40) | VALUES.map(json.dumps)


async def read_to_the_end(socket):
    while True:
        await socket.recv()


@pytest.mark.usefixtures("tiny_server")
class TestFuzz:
    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(frames=st.lists(FRAMES, max_size=8))
    def test_any_frames_leave_the_session_alive(self, tiny_server, frames):
        asyncio.run(asyncio.wait_for(self.survive(tiny_server.url, frames), 120))

    async def survive(self, url, frames):
        async with bare(url) as socket:
            for frame in frames:
                await socket.send(frame)
            await socket.send('{"type": "input_audio_buffer.explode", "event_id": "the last"}')
            while True:
                event = await hear(socket)
                assert event["type"]
                if event["type"] == "error" and event["error"]["event_id"] == "the last":
                    return

    @settings(max_examples=20, deadline=None)
    @given(junk=st.binary(min_size=1, max_size=200))
    def test_bytes_that_are_no_websocket_end_only_their_own_connection(self, tiny_server, junk):
        asyncio.run(asyncio.wait_for(self.junk(tiny_server, junk), 120))

    async def junk(self, server, junk):
        async with bare(server.url) as healthy:
            async with bare(server.url) as broken:
                # A frame of a reserved kind, then anything: no client could mean this.
                broken.transport.write(b"\x8f" + junk)
                broken.transport.write_eof()
                with pytest.raises(ConnectionClosed):
                    await read_to_the_end(broken)
            await healthy.send('{"type": "input_audio_buffer.clear"}')
            assert (await hear(healthy))["type"] == "input_audio_buffer.cleared"
