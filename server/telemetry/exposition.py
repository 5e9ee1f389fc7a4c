"""`GET /metrics`: the registry as Prometheus reads it.

Knows the text formats, and that every series of ours names the model. Does not know what is
measured, nor on which port it is asked for (`routes.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from starlette.requests import Request
from starlette.responses import Response

from server.telemetry.metrics import PREFIX

# prometheus_client adds to each counter and histogram when it was made: twice as many series for
# what nobody asks.
CREATED = "_created"


class Labelled(Collector):
    """A registry whose series of ours have a label more."""

    def __init__(self, registry: CollectorRegistry, model: Callable[[], str]) -> None:
        self._registry = registry
        self._model = model

    def collect(self) -> Iterator[Metric]:
        """Gives every family with its label."""
        model = self._model()
        for family in self._registry.collect():
            ours = family.name.startswith(PREFIX)
            extra = {"model": model} if ours else {}
            family.samples = [
                _with(sample, extra)
                for sample in family.samples
                if not sample.name.endswith(CREATED)
            ]
            yield family


def _with(sample: Sample, extra: dict[str, str]) -> Sample:
    return sample._replace(labels={**sample.labels, **extra})


def answer(request: Request, collector: Labelled) -> Response:
    """Answers in OpenMetrics, with exemplars, to whoever asks for that, else in the older text."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(collector), headers={"Content-Type": content_type})
