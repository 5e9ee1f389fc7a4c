"""Processes that a bench starts: each says a line when it is there, and ends when its stdin closes.

Knows pipes and time limits. Does not know what is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from server.bench.errors import ProcessError

END_LIMIT_S = 30.0
# A line holds all records of a crowd.
MAX_LINE_BYTES = 2**26


class Started:
    """A process that was started; `started` makes and ends it."""

    def __init__(self, process: Process, name: str) -> None:
        self._process = process
        self._name = name
        self._complaints: deque[str] = deque(maxlen=20)
        self._draining = asyncio.create_task(self._drain(), name=f"{name} stderr")

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    async def write(self, line: str) -> None:
        """Sends it a line.

        Raises:
            ProcessError: It has ended.
        """
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(line.encode() + b"\n")
            await stdin.drain()
        except ConnectionError:
            raise await self._gone() from None

    async def read(self, limit_s: float | None = None) -> str:
        """Returns its next line.

        Raises:
            ProcessError: It ended, or said nothing in time; says why as far as it is known.
        """
        stdout = self._process.stdout
        assert stdout is not None
        try:
            async with asyncio.timeout(limit_s):
                line = await stdout.readline()
        except TimeoutError:
            raise ProcessError(f"{self._name} said nothing within {limit_s} s") from None
        if not line:
            raise await self._gone()
        return line.decode().rstrip("\n")

    def end(self) -> None:
        """Closes its stdin, which ends it."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def wait(self) -> None:
        """Waits for its end, and kills it when that takes too long."""
        try:
            async with asyncio.timeout(END_LIMIT_S):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await self._draining

    async def _gone(self) -> ProcessError:
        await self.wait()
        why = self._complaints[-1] if self._complaints else f"status {self._process.returncode}"
        return ProcessError(f"{self._name} ended: {why}")

    async def _drain(self) -> None:
        """Keeps the last words of its stderr, so that it never waits for a reader."""
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._complaints.append(line.decode(errors="replace").rstrip())


@asynccontextmanager
async def started(module: str, *arguments: str) -> AsyncIterator[Started]:
    """Runs a module of ours as a process; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=MAX_LINE_BYTES,
        start_new_session=True,  # Ctrl-C is ours to pass on, by closing its stdin
    )
    one = Started(process, module.rpartition(".")[2])
    try:
        yield one
    finally:
        one.end()
        await one.wait()


async def all_read(processes: Sequence[Started], limit_s: float | None = None) -> list[str]:
    """Returns the next line of each.

    Raises:
        ProcessError: One of them ended, or said nothing in time.
    """
    return list(await asyncio.gather(*(one.read(limit_s) for one in processes)))
