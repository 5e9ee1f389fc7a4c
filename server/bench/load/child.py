"""What every process of the bench does: keeps to its cores, says lines, ends with its parent.

Knows stdin, stdout and cores. Does not know who its parent is.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

# The order for a crowd names each of its callers.
MAX_LINE_BYTES = 2**24


def say(line: str) -> None:
    """Writes a line to the parent."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def parents_words() -> asyncio.StreamReader:
    """Returns stdin, to be read beside everything else; it ends with the parent, or sooner."""
    stdin = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    return stdin


def keep_to(cores: Sequence[int]) -> None:
    """Keeps this process to these cores, where the system can do that; none means any."""
    if cores and sys.platform == "linux":
        os.sched_setaffinity(0, cores)
