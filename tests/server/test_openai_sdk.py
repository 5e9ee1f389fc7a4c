"""The official `openai` Python SDK, unmodified, holds a spoken conversation of three turns."""

import base64

import numpy as np
import pytest
from openai import AsyncOpenAI
from openai.types.realtime import RealtimeTranscriptionSessionCreateRequest

from clients.python.sources import SAMPLE_RATE_HZ, read_recording
from server.demo import QUESTION
from tests.server.conftest import serving

FRAME_SAMPLES = SAMPLE_RATE_HZ // 10


async def say(connection, samples):
    """Appends speech as fast as it goes: for the server, time is samples received."""
    for begin in range(0, len(samples), FRAME_SAMPLES):
        audio = base64.b64encode(samples[begin : begin + FRAME_SAMPLES].tobytes()).decode()
        await connection.input_audio_buffer.append(audio=audio)


async def hear(connection, kinds):
    """Takes events until the reply is done; returns its words and its sound."""
    words, sound = [], []
    async for event in connection:
        kinds.append(event.type)
        assert event.type != "error", event
        if event.type == "response.output_audio_transcript.delta":
            words.append(event.delta)
        elif event.type == "response.output_audio.delta":
            sound.append(base64.b64decode(event.delta))
        elif event.type == "response.done":
            return "".join(words), b"".join(sound), event.response
    raise AssertionError("the connection ended in the middle of a turn")


async def three_turns(server, max_output_tokens):
    question = read_recording(QUESTION).samples
    silence = np.zeros(SAMPLE_RATE_HZ, np.int16)
    client = AsyncOpenAI(base_url=f"{server.http}/v1", api_key="none")
    model = server.running.ready.model_id
    turns = []
    async with client.realtime.connect(model=model) as connection:
        session = {"type": "realtime", "max_output_tokens": max_output_tokens}
        await connection.session.update(session=session)
        for push_to_talk in (False, True, False):
            detection = None if push_to_talk else {"type": "server_vad"}
            audio = {"input": {"turn_detection": detection}}
            await connection.session.update(session={"type": "realtime", "audio": audio})
            kinds = []
            if push_to_talk:
                await say(connection, question)
                await connection.input_audio_buffer.commit()
                await connection.response.create()
            else:
                await say(connection, np.concatenate([question, silence]))
            turns.append((kinds, *await hear(connection, kinds)))
    await client.close()
    return turns


@pytest.mark.clients
async def test_three_spoken_turns(roomy_server):
    turns = await three_turns(roomy_server, max_output_tokens=6)
    inputs = []
    for kinds, words, sound, response in turns:
        assert response.status in ("completed", "incomplete")
        assert words
        assert len(sound) > 0
        assert kinds.index("input_audio_buffer.committed") < kinds.index("response.created")
        inputs.append(response.usage.input_tokens)
    by_voice = [kinds for kinds, *_ in turns[::2]]
    assert all("input_audio_buffer.speech_started" in kinds for kinds in by_voice)
    assert "input_audio_buffer.speech_started" not in turns[1][0]
    # The conversation is one: each turn stands behind all that was said before it.
    assert inputs == sorted(set(inputs))
    # And it is not read again: what came before is in the cache.
    assert turns[2][3].usage.input_token_details.cached_tokens > inputs[0]


@pytest.mark.clients
async def test_a_response_outside_the_conversation_reads_it_and_leaves_it(tiny_server):
    client = AsyncOpenAI(base_url=f"{tiny_server.http}/v1", api_key="none")
    model = tiny_server.running.ready.model_id
    aside = {"conversation": "none", "output_modalities": ["text"], "max_output_tokens": 4}
    content = [{"type": "input_text", "text": "Hello there."}]
    async with client.realtime.connect(model=model) as connection:
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": content}
        )
        read = []
        for wishes in ({}, {"input": []}, {"metadata": {"topic": "x"}}):
            await connection.response.create(response=aside | wishes)
            kinds = []
            _, _, response = await hear(connection, kinds)
            assert response.status == "incomplete"
            assert response.conversation_id is None
            added = [kind for kind in kinds if kind == "conversation.item.added"]
            assert len(added) == (not read), "only the client's own item is one"
            read.append(response.usage.input_tokens)
    assert response.metadata == {"topic": "x"}
    assert read[0] == read[2] > read[1], "with no input of its own it reads the conversation"
    await client.close()


async def written_down(connection, turns):
    """Says the question so often, by voice; the events, each turn's with its words."""
    silence = np.zeros(SAMPLE_RATE_HZ, np.int16)
    events = []
    for _ in range(turns):
        await say(connection, np.concatenate([read_recording(QUESTION).samples, silence]))
        async for event in connection:
            assert event.type != "error", event
            events.append(event)
            if event.type == f"{WORDS}.completed":
                break
    return events


WORDS = "conversation.item.input_audio_transcription"


@pytest.mark.clients
async def test_a_session_that_is_only_written_down(tiny_server):
    client = AsyncOpenAI(base_url=f"{tiny_server.http}/v1", api_key="none")
    model = tiny_server.running.ready.model_id
    query = {"intent": "transcription"}
    async with client.realtime.connect(model=model, extra_query=query) as connection:
        created = await connection.recv()
        assert isinstance(created.session, RealtimeTranscriptionSessionCreateRequest)
        heard = {"transcription": {"model": "gpt-4o-transcribe"}}
        await connection.session.update(
            session={
                "type": "transcription",
                "audio": {"input": heard},
                "include": ["item.input_audio_transcription.logprobs"],
            }
        )
        # More than the context of this server holds together.
        events = await written_down(connection, turns=5)
    kinds = [event.type for event in events]
    assert kinds[0] == "session.updated"
    assert not [kind for kind in kinds if kind.startswith("response.")]
    for kind in ("input_audio_buffer.speech_started", "input_audio_buffer.committed"):
        assert kinds.count(kind) == 5
    done = [event for event in events if event.type == f"{WORDS}.completed"]
    committed = [event.item_id for event in events if event.type.endswith("committed")]
    assert [event.item_id for event in done] == committed
    assert all(event.usage.type == "duration" for event in done)
    deltas = [event for event in events if event.type == f"{WORDS}.delta"]
    for written in done:
        said = [delta.delta for delta in deltas if delta.item_id == written.item_id]
        # The tiny checkpoint likes to end in line breaks, which are no part of a transcript.
        assert "".join(said).rstrip() == written.transcript.rstrip()
        octets = b"".join(bytes(token.bytes) for token in written.logprobs)
        assert octets.decode("utf-8", "replace").strip() == written.transcript.strip()
        assert all(token.logprob < 0 for token in written.logprobs)
    await client.close()


@pytest.mark.clients
async def test_a_secret_opens_the_kind_of_session_that_it_was_made_for(tiny_server):
    client = AsyncOpenAI(base_url=f"{tiny_server.http}/v1", api_key="none")
    for kind, intent, opens in [
        ("transcription", None, "transcription"),
        ("transcription", "transcription", "transcription"),
        ("realtime", "transcription", None),
    ]:
        secret = await client.realtime.client_secrets.create(session={"type": kind})
        assert secret.session.type == kind
        query = {} if intent is None else {"intent": intent}
        holder = AsyncOpenAI(base_url=client.base_url, api_key=secret.value)
        async with holder.realtime.connect(extra_query=query) as connection:
            first = await connection.recv()
        if opens is None:
            assert first.type == "error"
            assert "'realtime'" in first.error.message
        else:
            assert first.session.type == opens
        await holder.close()
    await client.close()


@pytest.mark.clients
@pytest.mark.weights
async def test_three_spoken_turns_on_omni_mini():
    # Short answers: the embedded checkpoint speaks in about real time on a busy core.
    with serving(max_speech_s=4.0) as server:
        turns = await three_turns(server, max_output_tokens=12)
    for _, words, sound, response in turns:
        assert response.status in ("completed", "incomplete")
        assert words
        assert len(sound) / 2 / SAMPLE_RATE_HZ > 0.3
