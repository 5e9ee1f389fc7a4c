"""A process full of callers.

    python -m server.bench.load.crowd [CORE …]

One line of JSON comes in, a `CrowdOrder`; `ready` goes out; the moments of the step come in and the
callers begin; `counted` goes out once every plain caller has had its counted turns; when stdin
closes everybody hangs up and one line of JSON goes out, a `CrowdReport`. So a crowd ends with
whoever started it. Knows that conversation and who its callers are. Does not know other crowds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from clients.python.sources import SAMPLE_RATE_HZ, Recording, read_recording
from model.recipes.omni_mini.evaluate.people import recordings_by_people
from server.bench.load.call import calls_url, open_call
from server.bench.load.caller import Caller
from server.bench.load.child import keep_to, parents_words, say
from server.bench.load.echo_caller import EchoCaller, open_socket_echo
from server.bench.load.line import Opening, Punctuality, either, open_socket
from server.bench.load.orders import CallerOrder, CrowdOrder, CrowdReport
from server.bench.load.people import said_by_people
from server.bench.load.script import Script, Tally
from server.bench.load.speech import (
    Voice,
    call_utterance,
    held_out_questions,
    socket_utterance,
)
from server.bench.questions import SHORT_S, question

VANISHING_TURNS = 1
# Questions are encoded at each start; so many are variety enough.
HELD_OUT_COUNT = 24


class Crowd:
    """The callers of one process."""

    def __init__(self, order: CrowdOrder) -> None:
        self._order = order
        self._encoded = socket_utterance if order.transport == "websocket" else call_utterance
        self._utterances = [self._encoded(said) for said in _recordings(order)]
        self._silence = self._encoded(
            Recording(samples=np.zeros(SAMPLE_RATE_HZ, np.int16), speech_end_samples=0)
        )
        self._punctuality = Punctuality()
        self._tallies: list[Tally] = []

    async def live(
        self,
        started_s: float,
        counts_from_s: float,
        counted: Callable[[], None],
        end: asyncio.Event,
    ) -> CrowdReport:
        """Lets everybody talk until the end, and says so when all have been counted.

        Args:
            started_s: The step's beginning on the monotonic clock, which all processes share.
            counts_from_s: From when on turns count, on the same clock.
            counted: Called once.
            end: Set when it is over.
        """
        order = self._order
        script = Script(
            utterances=self._utterances,
            turns=order.turns,
            stays=order.stays,
            barge_ins=order.barge_ins,
            started_s=started_s,
            counts_from_s=counts_from_s,
        )
        async with asyncio.TaskGroup() as group:
            lives = [group.create_task(self._life(caller, script)) for caller in order.callers]
            await either(self._all_counted(), end.wait())
            counted()
            await end.wait()
            for life in lives:
                life.cancel()
        for tally in self._tallies:
            tally.close(asyncio.get_running_loop().time())
        return CrowdReport(
            records=[record for tally in self._tallies for record in tally.records],
            lateness=self._punctuality.figures(),
        )

    def _life(self, caller: CallerOrder, script: Script) -> Coroutine[Any, Any, None]:
        owed = VANISHING_TURNS if caller.kind == "vanishing" else script.turns
        tally = Tally(caller.number, caller.kind, owed, script)
        self._tallies.append(tally)
        kind = EchoCaller if self._order.is_echo else Caller
        random = Random(f"{self._order.seed} {caller.number}")
        one = kind(tally, script, self._opening(), random)
        return one.live(script.started_s + caller.arrives_s)

    async def _all_counted(self) -> None:
        """Waits until no plain caller owes a turn, and of those that leave, no other either."""
        for tally in self._tallies:
            if tally.kind == "plain" or not tally.script.stays:
                await tally.paid.wait()

    def _opening(self) -> Opening:
        """What opens a line for one caller, with a microphone of its own each time."""
        order, punctuality = self._order, self._punctuality

        def open_line() -> Any:
            voice = Voice(self._silence)
            if order.transport == "webrtc":
                url = order.url if order.is_echo else calls_url(order.url)
                session = None if order.is_echo else order.session
                return open_call(url, order.key, session, voice, punctuality)
            if order.is_echo:
                return open_socket_echo(order.url, voice, punctuality)
            return open_socket(order.url, order.key, order.session, voice, punctuality)

        return open_line


def _recordings(order: CrowdOrder) -> list[Recording]:
    if order.warms_up:
        return [question(SHORT_S)]
    if order.speech:
        return [read_recording(Path(path)) for path in order.speech]
    if order.voices == "people":
        return said_by_people(recordings_by_people())
    return held_out_questions(HELD_OUT_COUNT)


async def _main() -> None:
    stdin = await parents_words()
    crowd = Crowd(CrowdOrder.read(await stdin.readline()))
    say("ready")
    moments = await stdin.readline()
    if not moments:
        return
    end = asyncio.Event()

    async def wait_for_end() -> None:
        await stdin.read()
        end.set()

    ending = asyncio.create_task(wait_for_end())
    report = await crowd.live(**json.loads(moments), counted=lambda: say("counted"), end=end)
    await ending
    say(json.dumps(asdict(report)))


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    keep_to([int(core) for core in sys.argv[1:]])
    asyncio.run(_main())
