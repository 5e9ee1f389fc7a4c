"""`@openai/agents-realtime`, unmodified: spoken turns, barge-in and a tool over each transport.

The scenario is one (`scenario.mjs`), in Node and in a browser; what it must have seen stands here.
The kit drops what its validator does not know, and shows each complaint of the server.
"""

import json
import re
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import httpx
import numpy as np
import pytest
import soundfile

from clients.python.sources import SAMPLE_RATE_HZ, read_recording
from server.demo import QUESTION
from tests.clients.js.npm import run_node
from tests.clients.web.browser import CHROMIUM, browsing

pytestmark = pytest.mark.clients


def browser(test):
    """A test that needs Chromium."""
    test = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")(test)
    return pytest.mark.browser(test)


TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.done",
    "response.done",
]
RESULT = "18 degrees"
# The fewest positions that two pictures of a video make.
STEP_TOKENS = 128


def assert_in_order(kinds, expected):
    places = [kinds.index(kind) for kind in expected]
    assert places == sorted(places), kinds


def assert_conversed(saw, server):
    """What holds for every transport."""
    session = saw["session"]
    assert session["model"] == server.running.ready.model_id
    assert session["instructions"] == "Be brief."
    assert [tool["name"] for tool in session["tools"]] == ["weather"]
    assert session["audio"]["input"]["turn_detection"]["interrupt_response"] is True
    assert_in_order(saw["kinds"]["spoken"], TURN)
    question, answer = saw["history"]["spoken"]
    assert (question["role"], answer["role"]) == ("user", "assistant")
    assert question["content"][0]["type"] == "input_audio"
    assert answer["content"][0]["transcript"]
    assert saw["responses"]["spoken"]["usage"]["input_token_details"]["audio_tokens"] > 0
    assert_interrupted(saw)
    assert_tool_used(saw)


def assert_interrupted(saw):
    broken = saw["responses"]["broken"]
    assert broken["status"] == "cancelled"
    assert "conversation.item.truncated" in saw["kinds"]["bargeIn"]
    (item,) = (item for item in saw["history"]["bargeIn"] if item["itemId"] == said_by(broken))
    whole = broken["output"][0]["content"][0]["transcript"]
    heard = item["content"][0]["transcript"] or ""
    assert len(heard) < len(whole), "the kit's history is cut to what was heard"


def assert_tool_used(saw):
    calling, using = saw["responses"]["calling"], saw["responses"]["using"]
    assert [item["type"] for item in calling["output"]] == ["function_call"]
    assert calling["output"][0]["name"] == "weather"
    assert saw["called"] == [json.loads(calling["output"][0]["arguments"])]
    call, answer = saw["history"]["tool"][-2:]
    assert (call["type"], call["status"], call["output"]) == ("function_call", "completed", RESULT)
    assert answer["itemId"] == said_by(using)
    assert answer["content"][0]["transcript"]
    # The result was read: it, and the call before it, are in front of the answer.
    read = using["usage"]["input_tokens"] - calling["usage"]["input_tokens"]
    assert read > len(RESULT) // 4


def said_by(response):
    return response["output"][0]["id"]


async def test_over_a_websocket_in_node(js, kit_server, questions):
    model = kit_server.running.ready.model_id
    question = str(questions[SAMPLE_RATE_HZ])
    saw = await run_node(js / "websocket.mjs", kit_server.url, model, question)
    assert_conversed(saw, kit_server)
    assert saw["errors"] == []
    assert saw["interruptions"] == 1
    assert saw["responses"]["broken"]["status_details"]["reason"] == "turn_detected"
    assert saw["heard"]["bytes"] > SAMPLE_RATE_HZ


async def test_over_webrtc_in_node(js, kit_server, questions):
    model = kit_server.running.ready.model_id
    url = f"{kit_server.http}/v1/realtime"
    saw = await run_node(js / "webrtc.mjs", url, model, str(questions[48_000]))
    assert_conversed(saw, kit_server)
    assert saw["errors"] == []
    assert saw["responses"]["broken"]["status_details"]["reason"] == "turn_detected"
    assert saw["heard"]["callId"].startswith("rtc_")
    assert saw["heard"]["loudFrames"] > 100  # of 10 ms
    assert_played(saw)


def assert_played(saw):
    spoken, broken = saw["kinds"]["spoken"], saw["kinds"]["bargeIn"]
    assert_in_order(spoken, ["output_audio_buffer.started", "output_audio_buffer.stopped"])
    assert_in_order(broken, ["output_audio_buffer.started", "output_audio_buffer.cleared"])
    assert "response.output_audio.delta" not in spoken + broken


@contextmanager
def serving_files(directory):
    """The folder over HTTP, at another origin than the server's."""

    class Quiet(SimpleHTTPRequestHandler):
        extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=directory)) as server:
        thread = threading.Thread(target=server.serve_forever, name="files")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def microphone(tmp_path):
    """What the fake microphone hears: a moment, then the question, then a long silence."""
    samples = read_recording(QUESTION).samples
    quiet = np.zeros(SAMPLE_RATE_HZ, np.int16)
    path = tmp_path / "voice.wav"
    soundfile.write(path, np.concatenate([quiet, samples, *[quiet] * 60]), SAMPLE_RATE_HZ)
    return path


async def seen_in_a_browser(js, server, microphone, directory):
    """What the kit saw in Chromium, with the fake microphone and camera."""
    model = server.running.ready.model_id
    with serving_files(js) as files:
        page = browsing(
            f"{files}/browser.html", directory, microphone=microphone, ready="window.ready"
        )
        async with page as tab:
            await tab.run(f"begin({json.dumps(f'{server.http}/v1/realtime')}, {json.dumps(model)})")
            await tab.until("window.saw || window.failed", timeout_s=120)
            assert await tab.run("window.failed") is None
            return json.loads(await tab.run("JSON.stringify(window.saw)"))


def assert_in_a_browser(saw, server):
    assert_conversed(saw, server)
    assert saw["responses"]["broken"]["status_details"]["reason"] == "client_cancelled"
    assert saw["heard"]["callId"].startswith("rtc_"), "another origin may read Location"
    assert saw["heard"]["totalAudioEnergy"] > 0
    assert_played(saw)


@browser
async def test_over_webrtc_in_a_browser_whose_camera_the_model_sees(
    js, seeing_kit_server, microphone, tmp_path
):
    saw = await seen_in_a_browser(js, seeing_kit_server, microphone, tmp_path / "profile")
    assert_in_a_browser(saw, seeing_kit_server)
    assert saw["errors"] == []
    # The spoken question was filmed: its pictures stand in the prompt that its answer read. The
    # later turns were typed, and bring what was seen before them.
    spoken, broken = (pictures_of(saw, name) for name in ("spoken", "broken"))
    assert spoken >= 2 * STEP_TOKENS
    assert broken >= spoken + STEP_TOKENS
    async with httpx.AsyncClient() as http:
        metrics = (await http.get(f"{seeing_kit_server.http}/metrics")).text
    received, sampled = (total(metrics, name) for name in ("received", "sampled"))
    assert received > sampled >= 4


def pictures_of(saw, name):
    """Positions of pictures in the prompt of one response."""
    return saw["responses"][name]["usage"]["input_token_details"]["image_tokens"]


def total(metrics, name):
    """The value of one counter of pictures."""
    (line,) = re.findall(rf"^omnilive_video_frames_{name}_total{{.*}} (.+)$", metrics, re.MULTILINE)
    return float(line)


@browser
async def test_over_webrtc_in_a_browser_whose_camera_the_model_has_no_eyes_for(
    js, kit_server, microphone, tmp_path
):
    saw = await seen_in_a_browser(js, kit_server, microphone, tmp_path / "profile")
    assert_in_a_browser(saw, kit_server)
    # The camera is refused by a clear word, and the call goes on.
    assert [error["code"] for error in saw["errors"]] == ["camera_off"]
    assert pictures_of(saw, "spoken") == 0
