"""Reads a gateway's metrics, and a clock that tests turn."""

import asyncio
from contextlib import asynccontextmanager

from server.telemetry.journal import Journal
from server.telemetry.metrics import Metrics
from server.telemetry.recorder import Recorder
from server.telemetry.tracing import NoTracing
from streaming.engine.messages.events import EngineReady

READY = EngineReady(
    model_id="scripted",
    inputs=("text", "audio"),
    voices=("Ada",),
    max_conversations=4,
    context_tokens=64,
    output_sample_rate_hz=24_000,
)


class Clock:
    def __init__(self, now_s=100.0):
        self.now_s = now_s

    def __call__(self):
        return self.now_s


class Meters:
    """Metrics with a recorder in front of them."""

    def __init__(self, tracing=None):
        self.metrics = Metrics()
        self.journal = Journal(clock=lambda: 1_800_000_000)
        self.recorder = Recorder(self.metrics, self.journal, tracing or NoTracing(), lambda: READY)

    def value(self, name, **labels):
        return value(self.metrics, name, **labels)


def value(metrics, name, **labels):
    """One sample; a name as in a query, without the prefix."""
    found = metrics.registry.get_sample_value(f"omnilive_{name}", labels)
    assert found is not None, (name, labels)
    return found


@asynccontextmanager
async def collector():
    """Takes OTLP as a collector does: its address, and the requests that came."""
    requests = asyncio.Queue()

    async def take(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        requests.put_nowait((head.split()[1], await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests
