"""A slow bucket leads to its trace: a real Prometheus keeps what a real scrape brings."""

import asyncio
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clients.python.client import open_conversation
from clients.python.sources import read_recording
from tests.deploy.prometheus import PROGRAM, watching
from tests.server.conftest import TINY, ServerThread
from tests.server.telemetry.rig import collector
from tests.server.webrtc.rig import QUESTION

QUIET = bytes(2 * 24_000 // 10)


@pytest.mark.prometheus
@pytest.mark.skipif(PROGRAM is None, reason="no prometheus here (Debian: prometheus)")
async def test_a_bucket_of_a_turn_leads_to_its_trace(talkative_checkpoint, tmp_path):
    async with collector() as (address, requests):
        settings = TINY | {"model": str(talkative_checkpoint)}
        server = ServerThread(**settings, otlp_endpoint=f"{address}/v1/traces")
        await asyncio.to_thread(server.start)
        try:
            found = await exemplars_of_a_turn(server, tmp_path)
        finally:
            await asyncio.to_thread(server.stop)  # the last spans leave then
    sent = [
        ExportTraceServiceRequest.FromString(requests.get_nowait()[1])
        for _ in range(requests.qsize())
    ]
    traces = {
        span.trace_id.hex()
        for request in sent
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
    (series,) = found
    (exemplar,) = series["exemplars"]
    assert float(series["seriesLabels"]["le"]) >= float(exemplar["value"]) > 0
    assert exemplar["labels"]["trace_id"] in traces


async def exemplars_of_a_turn(server, directory):
    """What Prometheus keeps of one turn's time to the first audible sample."""
    async with watching(server.running.metrics_address, directory) as prometheus:
        await prometheus.until("omnilive_engine_up == 1")
        await talk(server.url)
        await prometheus.until("omnilive_ttfa_seconds_count > 0")
        now_s = time.time()
        return await prometheus.get(
            "/query_exemplars",
            query="omnilive_ttfa_seconds_bucket",
            start=now_s - 60,
            end=now_s + 60,
        )


async def talk(url):
    pcm = read_recording(QUESTION).samples.astype("<i2").tobytes()
    async with open_conversation(url) as client:
        await client.configure(
            max_output_tokens=4, audio={"input": {"turn_detection": {"type": "server_vad"}}}
        )
        await client.append_audio(pcm + QUIET * 8)
        await client.expect("response.done")
