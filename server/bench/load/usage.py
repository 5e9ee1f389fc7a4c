"""What processes cost: their processor time and memory, sampled while a step runs.

Knows process ids. Does not know what the processes do. A process that is gone costs nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psutil

SAMPLE_S = 0.5
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of the processes of one role.

    Attributes:
        cores: Processor time for each second that passed.
        memory_mib: The most memory that was resident at a sample.
    """

    cores: float
    memory_mib: float


@dataclass(slots=True)
class _Role:
    processes: list[psutil.Process]
    began_cpu_s: float = 0.0
    cpu_s: float = 0.0
    memory_bytes: int = 0
    seen: dict[int, float] = field(default_factory=dict)

    def sample(self) -> None:
        memory = 0
        for process in self.processes:
            try:
                times = process.cpu_times()
                memory += process.memory_info().rss
            except psutil.Error:
                continue
            self.seen[process.pid] = times.user + times.system
        self.cpu_s = sum(self.seen.values())
        self.memory_bytes = max(self.memory_bytes, memory)


class Meter:
    """Samples roles from its making until it is read."""

    def __init__(self, roles: Mapping[str, Sequence[int]]) -> None:
        """Takes the process ids of each role; those that are not there are passed over."""
        self._clock = asyncio.get_running_loop().time
        self._began_s = self._clock()
        self._roles = {name: _Role(_processes(ids)) for name, ids in roles.items()}
        for role in self._roles.values():
            role.sample()
            role.began_cpu_s = role.cpu_s

    async def run(self) -> None:
        """Samples until it is cancelled."""
        while True:
            await asyncio.sleep(SAMPLE_S)
            self.sample()

    def sample(self) -> None:
        """Takes one sample."""
        for role in self._roles.values():
            role.sample()

    def read(self) -> dict[str, Cost]:
        """The cost of each role that has processes, since the beginning."""
        self.sample()
        passed_s = max(1e-9, self._clock() - self._began_s)
        return {
            name: Cost(
                cores=(role.cpu_s - role.began_cpu_s) / passed_s,
                memory_mib=role.memory_bytes / MIB,
            )
            for name, role in self._roles.items()
            if role.processes
        }


def listener_pids(port: int) -> list[int]:
    """Returns the processes of this user that listen on a port, and all that they started."""
    found = []
    for process in psutil.process_iter():
        try:
            listens = any(
                c.status == psutil.CONN_LISTEN and c.laddr.port == port
                for c in process.net_connections(kind="tcp")
            )
            if listens:
                found += [process.pid, *(child.pid for child in process.children(recursive=True))]
        except psutil.Error:
            continue
    return sorted(set(found))


def _processes(ids: Sequence[int]) -> list[psutil.Process]:
    found = []
    for pid in ids:
        try:
            found.append(psutil.Process(pid))
        except psutil.Error:
            continue
    return found
