"""What `omnilive serve` logs of a conversation, from both its processes, at its most talkative."""

import asyncio
import json
import re
import signal
import subprocess

import httpx
import pytest
from websockets.asyncio.client import connect

from clients.python.client import open_conversation
from clients.python.errors import ServerSaidError
from clients.python.turn import ask_typed
from tests.server.conftest import hear
from tests.server.test_draining import END_TIMEOUT_S, FLAGS, SERVE

KEY = "sk-velvet-tamarind-4711"
WORDS = "marmalade zeppelin"
INSTRUCTIONS = "Speak like a cormorant."


async def converse(url, http_url):
    """A turn with a key, and several things that go wrong; what the reply was."""
    async with open_conversation(url, key=KEY) as client:
        await client.configure(instructions=INSTRUCTIONS, max_output_tokens=8)
        reply = await ask_typed(client, WORDS)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with connect(f"{url}?model={KEY}", additional_headers=headers) as socket:
        assert (await hear(socket))["error"]["code"] == "model_not_found"
    with pytest.raises(ServerSaidError):
        async with open_conversation(url, key=KEY + "-wrong"):
            pass
    async with httpx.AsyncClient(base_url=http_url, headers=headers, timeout=60) as http:
        body = {"model": "nobody", "messages": [{"role": "user", "content": WORDS}]}
        assert (await http.post("/v1/chat/completions", json=body)).status_code == 404
        answer = await http.post(
            "/v1/realtime/calls",
            content=f"v=0\r\ns={WORDS}\r\nm=audio",
            headers={"content-type": "application/sdp"},
        )
        assert answer.status_code == 400
    return reply.answer_transcript


def serve_and_converse(checkpoint, log, *flags):
    """What was replied, printed and logged."""
    command = [*SERVE, "--model", str(checkpoint), *FLAGS, "--log-level", "debug", *flags]
    command += ["--log-format", "json", "--api-keys", KEY]
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            printed = ""
            while "Ctrl-C" not in printed:
                line = process.stdout.readline()
                assert line, log.read_text()
                printed += line
            url = re.search(r"Realtime API +(\S+)", printed).group(1)
            http_url = url.replace("ws://", "http://").removesuffix("/v1/realtime")
            reply = asyncio.run(converse(url, http_url))
            process.send_signal(signal.SIGTERM)
            printed += process.communicate(timeout=END_TIMEOUT_S)[0]
        finally:
            process.kill()
    assert process.returncode == 0
    return reply, printed, log.read_text()


def test_neither_words_nor_keys_are_logged(talkative_checkpoint, tmp_path):
    reply, printed, logged = serve_and_converse(talkative_checkpoint, tmp_path / "log")
    assert len(reply) > 8
    for secret in (KEY, WORDS, INSTRUCTIONS, reply):
        assert secret not in printed + logged
    lines = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
    # Of both processes.
    assert {line["logger"] for line in lines} >= {"omnilive.realtime", "omnilive.model"}
    ours = [line for line in lines if line["logger"] == "omnilive.realtime"]
    left, *_ = (line for line in ours if line["message"] == "the client left")
    assert left["conversation"].startswith("conv_")
    refused = [line["message"] for line in ours if line["message"].startswith("hanging up")]
    assert refused == ["hanging up: model_not_found", "hanging up: invalid_api_key"]


def test_words_are_logged_where_that_is_asked_for(talkative_checkpoint, tmp_path):
    reply, _, logged = serve_and_converse(
        talkative_checkpoint, tmp_path / "log", "--log-content", "true"
    )
    said = [json.loads(line) for line in logged.splitlines() if '"omnilive.content"' in line]
    told = " ".join(line["message"] for line in said)
    assert WORDS in told
    assert INSTRUCTIONS in told
    assert reply.strip() in told
    assert len({line["conversation"] for line in said}) == 1
    assert KEY not in logged
