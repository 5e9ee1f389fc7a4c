"""How late the event loop turns to what is due: the gateway's own slowness, whatever causes it.

Knows a timer and a histogram.
"""

from __future__ import annotations

import asyncio

from prometheus_client import Histogram

INTERVAL_S = 0.1


async def measure_loop_lag(lag: Histogram, interval_s: float = INTERVAL_S) -> None:
    """Observes, without end, how much later than `interval_s` a timer of that length rings."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + interval_s
        await asyncio.sleep(interval_s)
        lag.observe(max(0.0, loop.time() - due_s))
