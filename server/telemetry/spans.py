"""Conversation → turn → stage as OpenTelemetry spans, under the names of its GenAI conventions.

Knows OpenTelemetry. Does not know how anything was measured. Nothing that was said is in a span.
Source: semantic conventions for generative AI (status: development), attributes `gen_ai.*`.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from server.clock import unix_ns_of
from server.telemetry.reply_watch import ReplyReport
from server.telemetry.tracing import Trace

if TYPE_CHECKING:
    from server.telemetry.watch import ConversationWatch

SERVICE = "omnilive"
EXPORT_TIMEOUT_S = 5
FINISH_REASONS = {
    "completed": "stop",
    "incomplete": "length",
    "cancelled": "cancelled",
    "failed": "error",
}
NS_PER_S = 1_000_000_000


def exporting(endpoint: str, ratio: float) -> SpanTracing:
    """Returns what sends its spans to an OTLP endpoint, in a thread of its own."""
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_TIMEOUT_S)
    return SpanTracing(BatchSpanProcessor(exporter), ratio)


class SpanTracing:
    """Implements `server.telemetry.tracing.Tracing`.

    Args:
        processor: where spans go.
        ratio: share of the conversations that are traced.
    """

    def __init__(self, processor: SpanProcessor, ratio: float = 1.0) -> None:
        resource = Resource.create({"service.name": SERVICE, "service.version": version(SERVICE)})
        sampler = ParentBased(TraceIdRatioBased(ratio))
        # Not the process's own: several gateways may be in it, and it has other users.
        self._provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer(SERVICE)
        self._conversations: dict[str, Span] = {}

    def opened(self, watch: ConversationWatch) -> None:
        """Begins a trace."""
        self._conversations[watch.conversation_id] = self._tracer.start_span(
            "conversation",
            context=Context(),
            kind=SpanKind.SERVER,
            attributes={
                "gen_ai.provider.name": SERVICE,
                "gen_ai.conversation.id": watch.conversation_id,
                "omnilive.transport": watch.transport,
            },
        )

    def closed(self, watch: ConversationWatch, reason: str) -> None:
        """Ends a trace."""
        span = self._conversations.pop(watch.conversation_id)
        span.set_attributes({"omnilive.end_reason": reason, "omnilive.turns": watch.turns})
        span.end()

    def reply_ended(self, report: ReplyReport) -> Trace | None:
        """Adds a turn with its stages."""
        conversation = self._conversations.get(report.conversation_id)
        if conversation is None:
            return None
        began_ns = unix_ns_of(report.began_s)
        ended_ns = max(began_ns, unix_ns_of(report.ended_s))
        span = self._tracer.start_span(
            f"chat {report.model}",
            context=trace.set_span_in_context(conversation, Context()),
            attributes=_attributes(report),
            start_time=began_ns,
        )
        if report.status == "failed":
            span.set_status(Status(StatusCode.ERROR))
        self._add_stages(span, report, began_ns, ended_ns)
        span.end(ended_ns)
        found = span.get_span_context()
        if not found.trace_flags.sampled:
            return None
        return {"trace_id": f"{found.trace_id:032x}", "span_id": f"{found.span_id:016x}"}

    def stop(self) -> None:
        """Sends what was not sent yet."""
        self._provider.shutdown()

    def _add_stages(self, turn: Span, report: ReplyReport, began_ns: int, ended_ns: int) -> None:
        """One span a stage, each where the one before ends; behind them the rest of the reply."""
        context = trace.set_span_in_context(turn, Context())
        at_ns = began_ns
        for stage, part_s in report.parts.items():
            until_ns = min(ended_ns, at_ns + round(part_s * NS_PER_S))
            self._tracer.start_span(stage, context, start_time=at_ns).end(until_ns)
            at_ns = until_ns
        if report.parts:
            self._tracer.start_span("answering", context, start_time=at_ns).end(ended_ns)


def _attributes(report: ReplyReport) -> dict[str, AttributeValue]:
    usage = report.usage
    known: dict[str, AttributeValue | None] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": SERVICE,
        "gen_ai.request.model": report.model,
        "gen_ai.response.model": report.model,
        "gen_ai.response.id": report.response_id,
        "gen_ai.response.finish_reasons": (FINISH_REASONS[report.status],),
        "gen_ai.conversation.id": report.conversation_id,
        "gen_ai.output.type": "speech" if report.sound_s > 0 else "text",
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.output_tokens": usage.output_text_tokens + usage.output_audio_tokens,
        "error.type": "failed" if report.status == "failed" else None,
        "omnilive.transport": report.transport,
        "omnilive.turn_detection": report.turn_detection,
        "omnilive.ttfa_s": report.ttfa_s,
        "omnilive.speech_s": report.sound_s,
        "omnilive.rtf": report.rtf,
        "omnilive.underrun_s": report.underrun_s,
    }
    return {name: value for name, value in known.items() if value is not None}
