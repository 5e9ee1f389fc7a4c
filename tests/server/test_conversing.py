"""The Python SDK in an open conversation, by a script instead of a microphone."""

import asyncio

from clients.python.client import open_conversation
from clients.python.conversing import converse_by
from clients.python.loudspeaker import Loudspeaker
from clients.python.sources import paced, read_recording, script
from server.demo import QUESTION

TURNS = 2


async def test_a_script_is_heard_and_answered_turn_by_turn(tiny_server):
    question = read_recording(QUESTION)
    spoken = script(question, 1.5, question)
    speaker, lines, over = Loudspeaker(), [], asyncio.Event()

    def say(line):
        lines.append(line.split()[0])
        if lines.count("it") >= TURNS and lines.count("you") >= TURNS:
            over.set()

    async with open_conversation(tiny_server.url) as client:
        await client.configure(
            max_output_tokens=6,
            audio={"input": {"turn_detection": {"type": "server_vad"}, "transcription": {}}},
        )
        source = paced(spoken.samples, then_silence=True)
        talking = asyncio.create_task(converse_by(client, source, speaker, say))
        async with asyncio.timeout(60):
            await over.wait()
        talking.cancel()
        await asyncio.wait([talking])
    assert sorted(lines) == ["it"] * TURNS + ["you"] * TURNS
    heard = memoryview(bytearray(4800))
    speaker.fill(heard)
    assert any(heard), "what was answered waits to be played"
