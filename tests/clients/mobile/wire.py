"""A network between two ends of TCP that is slow, late, lossy, silent or cut, as a test wants it.

TCP itself hides a lost packet: what is seen of it is that everything behind it comes late, at once.
"""

import asyncio
import random
from contextlib import asynccontextmanager, suppress

PIECE_BYTES = 4096


class Wire:
    """Forwards to one address; what it is like can be changed while it forwards."""

    def __init__(self, port):
        self.port = port
        self.delay_s = 0.0
        self.bytes_per_s = None
        self.loss = 0.0  # share of pieces that come late
        self.late_s = 0.2
        self.refuses = False
        self.connections = 0
        self._random = random.Random(7)
        self._open = set()

    @property
    def address(self):
        return "ws://{}:{}".format(*self._server.sockets[0].getsockname()[:2])

    def cut(self):
        """Every connection is reset."""
        for line in list(self._open):
            line.cut()

    def fall_silent(self):
        """Nothing passes on the connections of now, and nobody is told."""
        for line in self._open:
            line.passes.clear()

    @asynccontextmanager
    async def listening(self):
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self._server.close()
            self.cut()
            for line in list(self._open):
                await line.over.wait()
            await self._server.wait_closed()

    async def _connect(self, reader, writer):
        if self.refuses:
            writer.transport.abort()
            return
        self.connections += 1
        line = _Line(self)
        self._open.add(line)
        try:
            await line.forward(reader, writer)
        finally:
            self._open.discard(line)


class _Line:
    def __init__(self, wire):
        self.wire = wire
        self.passes = asyncio.Event()
        self.passes.set()
        self.over = asyncio.Event()
        self._writers = []

    def cut(self):
        self.passes.set()
        for writer in self._writers:
            writer.transport.abort()

    async def forward(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.wire.port)
            self._writers = [writer, far_writer]
            async with asyncio.TaskGroup() as group:
                for source, sink in ((reader, far_writer), (far_reader, writer)):
                    group.create_task(self._pump(source, sink))
        except* OSError:
            pass  # a line that is cut
        finally:
            self.cut()
            for writer in self._writers:
                with suppress(OSError):
                    await writer.wait_closed()
            self.over.set()

    async def _pump(self, source, sink):
        wire = self.wire
        while piece := await source.read(PIECE_BYTES):
            late_s = wire.late_s if wire._random.random() < wire.loss else 0.0
            slow_s = len(piece) / wire.bytes_per_s if wire.bytes_per_s else 0.0
            if wait_s := wire.delay_s + late_s + slow_s:
                await asyncio.sleep(wait_s)
            await self.passes.wait()
            sink.write(piece)
            await sink.drain()
        raise ConnectionResetError  # one side is done: so is the other
