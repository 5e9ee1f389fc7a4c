"""The `dashscope` SDK, unmodified, holds a spoken conversation over the Qwen-Omni-Realtime path.

It is a blocking client with a thread of its own, so these tests are not coroutines.
"""

import base64
import queue
import warnings

import numpy as np
import pytest
import soundfile
import soxr

from server.demo import QUESTION

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own dependencies, when it is imported
    from dashscope.audio.qwen_omni import (
        MultiModality,
        OmniRealtimeCallback,
        OmniRealtimeConversation,
    )

RATE_HZ = 16_000
WAIT_S = 60


class Listener(OmniRealtimeCallback):
    def __init__(self):
        self.events = queue.Queue()
        self.closed = queue.Queue()

    def on_event(self, message):
        self.events.put(message)

    def on_close(self, close_status_code, close_msg):
        self.closed.put(close_status_code)

    def until(self, kind):
        events = []
        while not events or events[-1]["type"] != kind:
            events.append(self.events.get(timeout=WAIT_S))
            assert kind == "error" or events[-1]["type"] != "error", events[-1]
        return events


@pytest.fixture
def talk(tiny_server):
    listener = Listener()
    conversation = OmniRealtimeConversation(
        model=tiny_server.running.ready.model_id,
        callback=listener,
        url=f"ws://{tiny_server.running.address}/api-ws/v1/realtime",
        api_key="none",
    )
    conversation.connect()
    yield conversation, listener
    conversation.close()
    conversation.thread.join(WAIT_S)
    assert not conversation.thread.is_alive()


def say(conversation, samples):
    for begin in range(0, len(samples), RATE_HZ // 10):
        pcm = samples[begin : begin + RATE_HZ // 10].tobytes()
        conversation.append_audio(base64.b64encode(pcm).decode())


def question():
    samples, rate_hz = soundfile.read(QUESTION, dtype="float32")
    speech = (soxr.resample(samples, rate_hz, RATE_HZ) * 32_000).astype("<i2")
    return np.concatenate([speech, np.zeros(RATE_HZ * 3 // 2, "<i2")])


@pytest.mark.clients
def test_a_spoken_turn_with_voice_detection_and_the_end_of_the_session(talk):
    conversation, listener = talk
    listener.until("session.created")
    conversation.update_session(
        output_modalities=[MultiModality.AUDIO, MultiModality.TEXT], voice="Chelsie", max_tokens=6
    )
    session = listener.until("session.updated")[-1]["session"]
    assert session["modalities"] == ["text", "audio"]
    say(conversation, question())
    events = listener.until("response.done")
    kinds = [event["type"] for event in events]
    for kind in (
        "input_audio_buffer.speech_started",
        "input_audio_buffer.committed",
        "conversation.item.created",
        "response.created",
        "response.audio_transcript.delta",
        "response.audio.delta",
    ):
        assert kind in kinds
    sound = [base64.b64decode(e["delta"]) for e in events if e["type"] == "response.audio.delta"]
    assert len(b"".join(sound)) > 0
    assert events[-1]["response"]["usage"]["output_tokens"] > 0
    # The kit's own reading of the stream.
    assert conversation.get_session_id() == session["id"]
    assert conversation.get_last_response_id() == events[-1]["response"]["id"]
    assert conversation.get_last_first_text_delay() is not None
    assert conversation.get_last_first_audio_delay() is not None
    conversation.end_session(timeout=WAIT_S)
    assert listener.until("session.finished")


@pytest.mark.clients
def test_push_to_talk_a_written_answer_and_an_image_that_is_not_taken(talk):
    conversation, listener = talk
    conversation.update_session(
        output_modalities=[MultiModality.TEXT],
        enable_turn_detection=False,
        enable_input_audio_transcription=False,
        max_tokens=6,
    )
    listener.until("session.updated")
    say(conversation, question())
    conversation.commit()
    conversation.create_response(instructions="Be brief.", output_modalities=[MultiModality.TEXT])
    events = listener.until("response.done")
    words = "".join(e["delta"] for e in events if e["type"] == "response.text.delta")
    assert words
    assert not [e for e in events if e["type"] == "response.audio.delta"]
    conversation.append_video("AAAA")
    error = listener.until("error")[-1]["error"]
    assert error["code"] == "unsupported_value"
    assert "not videos" in error["message"]
