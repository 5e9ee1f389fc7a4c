"""What the caches can come to, what there is for them, and what loading left behind.

Knows where a machine says how much memory is free, and how it gets some back. A server whose
conversations could outgrow it does not start: it would be killed later, amidst all of them.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from pathlib import Path

import torch

from model.errors import ConfigError

GIB = 2**30
MEMINFO = Path("/proc/meminfo")
# Of the container or the service we run in; absent outside of one.
CGROUP = Path("/sys/fs/cgroup")


def check_fits(
    needed_bytes: int, free_bytes: int | None, *, max_conversations: int, context_tokens: int
) -> None:
    """Checks that the caches fit when every conversation is as long as it may be.

    Args:
        needed_bytes: what they take then.
        free_bytes: what there is; None where nobody knows.
        max_conversations: the setting, for the error.
        context_tokens: likewise.

    Raises:
        ConfigError: They do not; names both settings and both sizes.
    """
    if free_bytes is not None and needed_bytes > free_bytes:
        raise ConfigError(
            f"max_conversations {max_conversations} of context_tokens {context_tokens} each can "
            f"take {needed_bytes / GIB:.1f} GiB of KV cache, and {free_bytes / GIB:.1f} GiB of "
            "memory are free; lower one of the two"
        )


def free_bytes(device: torch.device) -> int | None:
    """Returns the memory of a device that nobody uses; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    known = [part for part in (_of_machine(), _of_cgroup()) if part is not None]
    return min(known, default=None)


def give_back_unused() -> None:
    """Gives the system what is free in this process's heap, on Linux with glibc.

    Loading takes weights apart in pieces that the heap keeps otherwise: half a gigabyte of
    omni-mini's. Elsewhere nothing happens.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def _of_machine() -> int | None:
    figures = _figures(MEMINFO)
    available_kib = figures.get("MemAvailable:")
    return None if available_kib is None else available_kib * 1024


def _of_cgroup() -> int | None:
    """What its limit leaves (cgroup v2); files that were read can be dropped, and do not count."""
    try:
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
    except (OSError, ValueError):  # no cgroup, or "max": no limit
        return None
    dropped = _figures(CGROUP / "memory.stat").get("inactive_file", 0)
    return max(0, limit - used + dropped)


def _figures(path: Path) -> dict[str, int]:
    """The first number of each line, by the line's first word."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    words = [line.split() for line in lines]
    return {first: int(number) for first, number, *_ in words if number.isdigit()}
