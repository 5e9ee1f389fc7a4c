"""What the engine says of itself, as metrics: read when somebody looks, not when it is said.

Knows the engine's client, `EngineLoad` and prometheus_client. The engine counts since its own
start, so that a counter begins anew with each engine, as Prometheus expects of counters.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from server.telemetry.metrics import PREFIX
from server.telemetry.names import BATCH
from streaming.engine.client import EngineClient
from streaming.engine.messages.events import EngineReady
from streaming.engine.messages.load import EngineLoad, StageLoad


class EngineCollector(Collector):
    """Gives out the last load of an engine; nothing but that it is down while there is none."""

    def __init__(self, engine: EngineClient) -> None:
        self._engine = engine

    def describe(self) -> list[Metric]:
        """Returns what it will give, by name, for the registry."""
        load = EngineLoad(gpu_allocated_bytes=0, gpu_used_bytes=0, gpu_total_bytes=0)
        return [*_life(True, 0, 0.0), *_families(load, None)]

    def collect(self) -> Iterator[Metric]:
        """Gives every family of this moment."""
        engine = self._engine
        ready = engine.ready
        yield from _life(engine.is_up, engine.died, None if ready is None else engine.silent_s)
        if engine.load is not None:
            yield from _families(engine.load, ready)


def _life(is_up: bool, deaths: int, silent_s: float | None) -> Iterator[Metric]:
    yield _gauge("engine_up", "Whether the engine takes conversations.", float(is_up))
    yield _counter("engine_deaths", "Engine processes that ended unasked.", deaths)
    if silent_s is not None:
        text = "How long the engine has said nothing, though it is asked."
        yield _gauge("engine_silence_seconds", text, silent_s)


def _families(load: EngineLoad, ready: EngineReady | None) -> Iterator[Metric]:
    yield from _queues(load)
    yield from _stages(load.stages)
    yield from _caches(load, ready)
    yield from _work(load)
    yield from _machine(load)


def _queues(load: EngineLoad) -> Iterator[Metric]:
    yield _gauge("engine_conversations", "Conversations in the engine.", load.conversations)
    text = "Replies that have been worked on."
    yield _gauge("num_requests_running", text, load.replies_running)
    text = "Replies that no pass has been run for."
    yield _gauge("num_requests_waiting", text, load.replies_waiting)


def _stages(stages: tuple[StageLoad, ...]) -> Iterator[Metric]:
    text = "Conversations that have a step for the stage."
    waiting = GaugeMetricFamily(PREFIX + "stage_waiting", text, labels=("stage",))
    text = "Time that the stage has worked."
    busy = CounterMetricFamily(PREFIX + "stage_busy_seconds", text, labels=("stage",))
    text = "Conversations in one pass of the stage."
    batches = HistogramMetricFamily(PREFIX + "stage_batch_size", text, labels=("stage",))
    for stage in stages:
        label = (stage.stage,)
        waiting.add_metric(label, stage.waiting)
        busy.add_metric(label, stage.busy_s)
        total = sum(size * count for size, count in enumerate(stage.passes, start=1))
        batches.add_metric(label, _buckets(stage.passes), total)
    yield from (waiting, busy, batches)


def _buckets(passes: tuple[int, ...]) -> list[tuple[str, float]]:
    """Passes of 1, 2, 3 … conversations as a histogram's cumulative buckets."""
    up_to = [0, *accumulate(passes)]
    buckets = [(f"{size:.1f}", float(up_to[min(size, len(passes))])) for size in BATCH]
    return [*buckets, ("+Inf", float(up_to[-1]))]


def _caches(load: EngineLoad, ready: EngineReady | None) -> Iterator[Metric]:
    text = "Share of a KV cache that is in use, all conversations together."
    usage = GaugeMetricFamily(PREFIX + "kv_cache_usage_ratio", text, labels=("stage",))
    usage.add_metric(("thinker",), _share(load.thinker_tokens, load.thinker_capacity))
    usage.add_metric(("talker",), _share(load.talker_tokens, load.talker_capacity))
    yield usage
    fullest = _share(load.fullest_tokens, 0 if ready is None else ready.context_tokens)
    yield _gauge("context_fullest_ratio", "How full the fullest conversation's is.", fullest)


def _work(load: EngineLoad) -> Iterator[Metric]:
    text = "What had begun in the engine and was put aside or thrown away."
    preempted = CounterMetricFamily(PREFIX + "preemptions", text, labels=("reason",))
    for each in load.preemptions:
        preempted.add_metric((each.reason,), each.count)
    yield preempted
    yield _counter("prompt_tokens", "Positions of prompts prefilled.", load.prefilled_tokens)
    text = "Tokens of replies drawn: text by the Thinker, codes that become sound by the Talker."
    drawn = CounterMetricFamily(PREFIX + "generation_tokens", text, labels=("stage",))
    drawn.add_metric(("thinker",), load.text_tokens)
    drawn.add_metric(("talker",), load.codec_tokens)
    yield drawn


def _machine(load: EngineLoad) -> Iterator[Metric]:
    yield _counter("engine_cpu_seconds", "CPU time of the engine process.", load.cpu_s)
    text = "Memory of the engine process."
    yield _gauge("engine_resident_memory_bytes", text, load.resident_bytes)
    gpu = (
        (
            "gpu_memory_allocated_bytes",
            "Tensors of the engine there.",
            load.gpu_allocated_bytes,
        ),
        ("gpu_memory_used_bytes", "Memory in use on the GPU, by anybody.", load.gpu_used_bytes),
        ("gpu_memory_total_bytes", "Memory of the GPU.", load.gpu_total_bytes),
    )
    for name, text, value in gpu:
        if value is not None:
            yield _gauge(name, text, value)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, text, value=value)
