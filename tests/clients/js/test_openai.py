"""OpenAI's SDK for Node, unmodified, behind TLS as it asks for it."""

import pytest

from clients.python.sources import SAMPLE_RATE_HZ
from tests.clients.js.npm import run_node
from tests.clients.js.test_agents_realtime import TURN, assert_in_order
from tests.clients.js.tls import tls_before

pytestmark = pytest.mark.clients


async def test_a_spoken_turn_and_a_cancelled_answer(js, kit_server, questions, tmp_path):
    model = kit_server.running.ready.model_id
    port = int(kit_server.running.address.rpartition(":")[2])
    async with tls_before(port, tmp_path) as address:
        question = str(questions[SAMPLE_RATE_HZ])
        saw = await run_node(js / "openai.mjs", f"{address}/v1", model, question)
    assert saw["errors"] == []
    assert saw["session"]["model"] == model
    assert_in_order(saw["kinds"], TURN)
    assert saw["spoken"]["status"] == "incomplete"
    assert saw["spoken"]["usage"]["input_token_details"]["audio_tokens"] > 0
    assert isinstance(saw["transcript"], str)
    assert saw["broken"]["status"] == "cancelled"
    assert saw["broken"]["status_details"]["reason"] == "client_cancelled"
