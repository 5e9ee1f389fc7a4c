"""What one gateway measures with, shared by all its conversations.

Knows who holds what. Does not know what a conversation is, nor HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.settings import Settings
from server.telemetry.content_log import ContentLog
from server.telemetry.engine_load import EngineCollector
from server.telemetry.exposition import Labelled
from server.telemetry.journal import Journal
from server.telemetry.loop_lag import measure_loop_lag
from server.telemetry.metrics import Metrics
from server.telemetry.names import Transport
from server.telemetry.queues import QueueCollector
from server.telemetry.recorder import Recorder
from server.telemetry.tracing import new_tracing
from server.telemetry.watch import ConversationWatch
from streaming.engine.client import EngineClient
from streaming.engine.messages.events import EngineReady


class Telemetry:
    """The metrics of a gateway and of its engine.

    Attributes:
        metrics: Everything that is counted here.
        journal: What was lately, for the operator page.
        recorder: What conversations tell of themselves goes there.
        exposition: The same, and what the engine counts, as Prometheus is given it.
    """

    def __init__(self, settings: Settings, engine: EngineClient) -> None:
        """Takes the settings.

        Raises:
            SettingsError: They ask for traces, and the packages for that are not there.
        """
        self.metrics = Metrics()
        self.metrics.sessions.limit.set(settings.max_conversations)
        self._settings = settings
        self._engine = engine
        self.journal = Journal()
        tracing = new_tracing(settings)
        self.recorder = Recorder(self.metrics, self.journal, tracing, self._seen)
        self.metrics.registry.register(EngineCollector(engine))
        self.metrics.registry.register(QueueCollector(self.journal.queues))
        self.exposition = Labelled(self.metrics.registry, self.model_id)

    def watch(self, transport: Transport) -> ConversationWatch:
        """Returns the clocks of one conversation that somebody asks for."""
        content = ContentLog(asked_for=self._settings.log_content)
        return ConversationWatch(self.recorder, transport, content)

    def model_id(self) -> str:
        """Returns the model's name, also while its engine is gone; "" before the first is there."""
        return "" if self._engine.last is None else self._engine.last.model_id

    @asynccontextmanager
    async def measuring(self) -> AsyncIterator[None]:
        """Measures what goes on by itself while the block runs."""
        lag = asyncio.create_task(measure_loop_lag(self.metrics.loop_lag), name="loop lag")
        try:
            yield
        finally:
            lag.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await lag
            await asyncio.to_thread(self.recorder.tracing.stop)

    def _seen(self) -> EngineReady:
        assert self._engine.last is not None, "a conversation before there was an engine"
        return self._engine.last
