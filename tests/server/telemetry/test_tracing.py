"""Traces: conversation, turn and stage as spans, and the way to them from a slow bucket."""

import asyncio
import subprocess
import sys
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.openmetrics.exposition import generate_latest

from server.errors import SettingsError
from server.settings import load_settings
from server.telemetry.names import TTFA_STAGES
from server.telemetry.spans import SpanTracing
from server.telemetry.tracing import NoTracing, new_tracing
from streaming.engine.messages.events import ResponseError, TextDelta, Usage
from tests.server.telemetry.rig import collector
from tests.server.telemetry.test_watch import REPLY, Clock, Talk
from tests.server.webrtc.rig import calling, question, tone


def traced_turn(ratio=1.0, **done):
    """A felt turn in a conversation that then ends; its spans by name, and the talk."""
    exporter = InMemorySpanExporter()
    tracing = SpanTracing(SimpleSpanProcessor(exporter), ratio)
    # Spans have the wall clock's time: moments are near to now.
    clock = Clock(time.monotonic())
    start_s = clock.now_s
    talk = Talk(tracing=tracing, clock=clock)
    clock.now_s = start_s + 0.5
    talk.watch.speech_stopped(start_s, 2_000)
    talk.ask()
    clock.now_s = start_s + 0.6
    talk.watch.heard(TextDelta(**REPLY, text="So"))
    clock.now_s = start_s + 0.7
    talk.sound(tone(0.25))
    clock.now_s = start_s + 1.6
    talk.done(**done)
    talk.watch.ends("client_left")
    talk.watch.closed()
    tracing.stop()
    return {span.name: span for span in exporter.get_finished_spans()}, talk


def test_a_conversation_has_turns_and_a_turn_its_stages():
    usage = Usage(input_tokens=40, cached_tokens=30, output_text_tokens=5, output_audio_tokens=25)
    spans, _ = traced_turn(usage=usage)
    assert set(spans) == {"conversation", "chat scripted", "answering", *TTFA_STAGES}
    conversation, turn = spans["conversation"], spans["chat scripted"]
    assert conversation.parent is None
    assert turn.parent.span_id == conversation.context.span_id
    assert conversation.attributes["omnilive.end_reason"] == "client_left"
    assert turn.attributes["gen_ai.operation.name"] == "chat"
    assert turn.attributes["gen_ai.request.model"] == "scripted"
    assert turn.attributes["gen_ai.output.type"] == "speech"
    assert turn.attributes["gen_ai.conversation.id"] == "conv"
    assert turn.attributes["gen_ai.usage.input_tokens"] == 40
    assert turn.attributes["gen_ai.usage.output_tokens"] == 30
    assert turn.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    moment = turn.start_time
    for name in (*TTFA_STAGES, "answering"):
        stage = spans[name]
        assert stage.parent.span_id == turn.context.span_id
        assert stage.start_time == moment
        moment = stage.end_time
    assert moment == turn.end_time
    assert turn.end_time - turn.start_time == pytest.approx(1.6e9, abs=1e8)
    assert len({span.context.trace_id for span in spans.values()}) == 1


def test_a_failed_reply_is_an_error_in_its_trace():
    error = ResponseError(code="internal_error", message="marmalade")
    spans, _ = traced_turn(status="failed", error=error)
    turn = spans["chat scripted"]
    assert not turn.status.is_ok
    assert turn.attributes["error.type"] == "failed"
    assert "marmalade" not in turn.to_json()


def test_a_slow_bucket_leads_to_its_trace():
    spans, talk = traced_turn()
    text = generate_latest(talk.meters.metrics.registry).decode()
    families = {f.name: f for f in openmetrics.text_string_to_metric_families(text)}
    exemplars = [s.exemplar for s in families["omnilive_ttfa_seconds"].samples if s.exemplar]
    (exemplar,) = exemplars
    turn = spans["chat scripted"].context
    assert exemplar.labels["trace_id"] == f"{turn.trace_id:032x}"
    assert exemplar.labels["span_id"] == f"{turn.span_id:016x}"


def test_what_is_not_sampled_leaves_neither_span_nor_exemplar():
    spans, talk = traced_turn(ratio=0.0)
    assert spans == {}
    assert " # {" not in generate_latest(talk.meters.metrics.registry).decode()


async def test_a_real_call_is_traced_as_it_went():
    exporter = InMemorySpanExporter()
    async with calling(speech_s=0.4) as rig:
        rig.gateway.telemetry.recorder.tracing = SpanTracing(SimpleSpanProcessor(exporter))
        peer = rig.peer()
        location = await peer.call()
        peer.voice.say(question())
        await peer.until("output_audio_buffer.stopped")
        await rig.http.post(location + "/hangup")
        await rig.until_empty()
        rig.gateway.telemetry.recorder.tracing.stop()
    names = [span.name for span in exporter.get_finished_spans()]
    assert names[-2:] == ["chat scripted", "conversation"]
    assert not any("what was said" in span.to_json() for span in exporter.get_finished_spans())


async def test_spans_go_to_the_endpoint_of_the_settings():
    async with collector() as (address, requests):
        settings = load_settings(otlp_endpoint=f"{address}/v1/traces")
        tracing = new_tracing(settings)
        talk = Talk(tracing=tracing, clock=Clock(time.monotonic()))
        talk.watch.closed()
        await asyncio.to_thread(tracing.stop)
        path, body = requests.get_nowait()
    assert path == b"/v1/traces"
    sent = ExportTraceServiceRequest.FromString(body)
    (resource,) = sent.resource_spans
    told = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert told["service.name"] == "omnilive"
    assert [span.name for span in resource.scope_spans[0].spans] == ["conversation"]


async def test_of_none_of_the_conversations_nothing_is_sent():
    async with collector() as (address, requests):
        settings = load_settings(otlp_endpoint=f"{address}/v1/traces", trace_sample_ratio=0)
        tracing = new_tracing(settings)
        Talk(tracing=tracing, clock=Clock(time.monotonic())).watch.closed()
        await asyncio.to_thread(tracing.stop)
        assert requests.empty()


def test_without_the_extra_the_setting_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    monkeypatch.delitem(sys.modules, "server.telemetry.spans", raising=False)
    settings = load_settings(otlp_endpoint="http://127.0.0.1:4318/v1/traces")
    with pytest.raises(SettingsError, match=r"omnilive\[tracing\]"):
        new_tracing(settings)


def test_without_the_setting_no_span_is_made():
    assert isinstance(new_tracing(load_settings()), NoTracing)
    # FastAPI loads OpenTelemetry's interface where it is installed; what makes spans it does not.
    script = "import server.cli, server.running, sys; print('opentelemetry.sdk' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "False\n"
