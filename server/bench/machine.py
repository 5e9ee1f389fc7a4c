"""The machine a bench runs on: its name, the share of it that is used, and what it can do at most.

Knows processors, threads and two rates. Does not know what is benched.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from streaming.engine.clock import monotonic_s

_CPU_INFO = Path("/proc/cpuinfo")
# Far above any cache, so that every read comes from memory.
_READ_BYTES = 2**28
_MATRIX = 1024
_REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The hardware and how much of it a bench uses.

    Attributes:
        cpu: Its model, as it names itself.
        cores: Those used.
        cores_present: Those this process was allowed to use.
        torch_threads: Threads inside one operation, in our engine and in the reference alike.
        torch_version: Of both.
    """

    cpu: str
    cores: int
    cores_present: int
    torch_threads: int
    torch_version: str

    def figures(self) -> dict[str, Any]:
        """The fields and a line for people."""
        line = (
            f"{self.cpu}; {self.cores} of {self.cores_present} cores, "
            f"{self.torch_threads} torch threads, torch {self.torch_version}"
        )
        return {**asdict(self), "description": line}


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What the machine does at most.

    Attributes:
        read_bytes_s: Bytes read from memory in a second.
        operations_s: Multiplications and additions of matrix products in a second, by dtype.
    """

    read_bytes_s: float
    operations_s: dict[torch.dtype, float]

    def figures(self) -> dict[str, float]:
        """The rates under plain names, in giga units."""
        products = {
            f"{str(dtype).removeprefix('torch.')}_gflops": rate / 1e9
            for dtype, rate in self.operations_s.items()
        }
        return {"read_gbytes_s": self.read_bytes_s / 1e9, **products}


def take_cores(cores: int | None, threads: int | None) -> Machine:
    """Keeps this process, and those it starts, to its first `cores` cores.

    Args:
        cores: How many; None for two, the machine of the stated figures, or fewer if it has fewer.
        threads: Torch threads here; None for one a core.

    Returns:
        What is used now.
    """
    present = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    count = len(present) or os.cpu_count() or 1
    used = min(count, 2 if cores is None else cores)
    if sys.platform == "linux":
        os.sched_setaffinity(0, present[:used])
    torch.set_num_threads(threads or used)
    return Machine(
        cpu=_cpu_model(),
        cores=used,
        cores_present=count,
        torch_threads=torch.get_num_threads(),
        torch_version=torch.__version__,
    )


def measure_rates(dtypes: set[torch.dtype]) -> Rates:
    """Measures both rates with the threads set now; the best of a few trials of each."""
    memory = torch.ones(_READ_BYTES // 4)
    reading_s = best_s(lambda: memory.sum())
    operations = 2.0 * _MATRIX**3
    rates = {}
    for dtype in sorted(dtypes, key=str):
        matrix = torch.ones(_MATRIX, _MATRIX, dtype=dtype)
        rates[dtype] = operations / best_s(lambda matrix=matrix: matrix @ matrix)  # type: ignore[misc]
    return Rates(read_bytes_s=_READ_BYTES / reading_s, operations_s=rates)


def best_s(work: Callable[[], object], repeats: int = _REPEATS) -> float:
    """Seconds of the quickest of `repeats` calls, after one that does not count."""
    work()
    return min(timed_s(work) for _ in range(repeats))


def timed_s(work: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    began_s = monotonic_s()
    work()
    return monotonic_s() - began_s


def _cpu_model() -> str:
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
