"""Many calls, opened and dropped in every way: afterwards everything is as before."""

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import random
import threading

import pytest

from tests.server.webrtc.rig import CameraTrack, calling
from tests.server.webrtc.test_camera import SEES

logger = logging.getLogger("omnilive.tests")

MAX_GROWTH_MB = 16


def memory_mb():
    """What is in use; what the C library only keeps for the next call is given back first."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def census():
    gc.collect()
    return {
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        # Without those of pools that have their bounds and grow to them when it is busy.
        "threads": sorted(
            thread.name
            for thread in threading.enumerate()
            if not thread.name.startswith(("asyncio_", "opus_"))
        ),
    }


async def one_call(rig, how):
    peer = rig.peer(camera=CameraTrack() if how == "films" else None)
    if how == "never connects":
        sdp = await peer.offer()
        headers = {"content-type": "application/sdp"}
        await rig.http.post("/v1/realtime/calls", content=sdp, headers=headers)
    else:
        location = await peer.call()
        if how != "drops at once":
            await peer.until("conversation.created")
        if how == "is hung up":
            await rig.http.post(location + "/hangup")
    await peer.close()
    rig.peers.remove(peer)


HOWS = ("never connects", "drops at once", "leaves", "is hung up", "films")


async def rounds(rig, count):
    draw = random.Random(count)
    for _ in range(count):
        await one_call(rig, draw.choice(HOWS))
    await rig.until_empty(30.0)
    await asyncio.sleep(0.2)


@pytest.mark.parametrize("count", [10, pytest.param(200, marks=pytest.mark.slow)])
async def test_dropped_calls_leave_nothing(count, caplog):
    caplog.set_level("WARNING", "aioice")  # a captured record keeps the whole connection alive
    options = {"call_connect_timeout_s": 5.0, "max_openings_per_address": None}
    async with calling(inputs=SEES, max_conversations=512, **options) as rig:
        await rounds(rig, 8)  # what is made once: threads, codecs, caches
        before, before_mb = census(), memory_mb()
        await rounds(rig, count)
        grown_mb = memory_mb() - before_mb
        logger.info("%d calls: %.1f MB more", count, grown_mb)
        assert census() == before
        assert grown_mb < MAX_GROWTH_MB
