"""How many events wait for their readers, as metrics: counted when somebody looks.

Knows prometheus_client and lengths. Does not know what waits, nor for whom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.telemetry.metrics import PREFIX
from server.telemetry.names import SPOKEN, Transport

Queues = Callable[[Transport], Iterable[int]]


class QueueCollector(Collector):
    """Gives out how long the queues of open sessions are.

    Args:
        queues: the length of each, of the sessions over a transport.
    """

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def describe(self) -> list[Metric]:
        """Returns what it will give, by name, for the registry."""
        return list(self.collect())

    def collect(self) -> Iterator[Metric]:
        """Gives both families of this moment."""
        text = "Events that wait to be sent, of all sessions."
        together = GaugeMetricFamily(PREFIX + "send_queue_events", text, labels=("transport",))
        text = "Events that wait to be sent, of the session with the most."
        longest = GaugeMetricFamily(
            PREFIX + "send_queue_longest_events", text, labels=("transport",)
        )
        for transport in SPOKEN:
            lengths = list(self._queues(transport))
            together.add_metric((transport,), sum(lengths))
            longest.add_metric((transport,), max(lengths, default=0))
        yield from (together, longest)
