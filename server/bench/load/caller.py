"""Scripted callers: what each says and when, and what became of it.

Knows scripts: plain callers, who sometimes speak into a reply, slow ones and vanishing ones. Does
not know sockets (`line.py`, `call.py`) or what events mean (`exchange.py`). Each end of a line that
breaks is a turn that failed.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from clients.python.errors import ClientError, ConnectionFailed, ServerSaidError
from server.bench.load.exchange import Exchange
from server.bench.load.life import Life
from server.bench.load.line import Line, Opening, Sound, either
from server.bench.load.record import Outcome
from server.bench.load.script import (
    ANSWER_LIMIT_S,
    REPLY_LIMIT_S,
    THINK_S,
    Script,
    Tally,
    TurnError,
)

# How far into a reply a caller speaks.
BARGE_IN_S = (0.3, 1.5)
# A slow caller takes no more events than this in a second, a vanishing one leaves in this time.
SLOW_EVENTS_S = 8.0
VANISH_S = (0.2, 6.0)


class Caller(Life):
    """One of them; `live` is its whole life."""

    def __init__(self, tally: Tally, script: Script, opening: Opening, random: Random) -> None:
        super().__init__(tally, script, opening, random)
        self._current: Exchange | None = None
        self._has_vanished = False

    async def _call(self) -> None:
        is_open = self._has_vanished = False
        try:
            async with self._opening() as line:
                is_open = True
                await either(self._listen(line), self._follow_script(line))
        except ServerSaidError as error:
            raise TurnError("failed" if is_open else "refused", error.code) from None
        except ClientError as error:
            outcome: Outcome = "vanished" if self._has_vanished else "lost"
            raise TurnError(outcome, "" if self._has_vanished else str(error)[:200]) from None

    async def _follow_script(self, line: Line) -> None:
        if self.tally.kind == "vanishing":
            await self._vanish(line)
        spoken_into: Exchange | None = None
        while spoken_into is not None or not self._may_leave:
            spoken_into = await self._turn(line, spoken_into)

    async def _turn(self, line: Line, spoken_into: Exchange | None) -> Exchange | None:
        """Asks and hears the answer; returns it if it is to be spoken into.

        Raises:
            TurnError: There was none.
        """
        if spoken_into is not None:
            spoken_into.interrupts = None  # or each turn would keep all before it
        exchange = self._current = Exchange(line.server_plays, spoken_into)
        saying = line.voice.say(self._random.choice(self._script.utterances))
        await saying.finished.wait()
        if spoken_into is not None:
            self._end_turn("interrupted", spoken_into, exchange.silenced_after_s(saying))
        exchange.question_sent(saying)
        await self._in_time(exchange.sounding.wait(), ANSWER_LIMIT_S, exchange)
        if not self._may_leave and await self._cuts_in(exchange):
            return exchange
        await self._in_time(exchange.answered.wait(), REPLY_LIMIT_S, exchange)
        if exchange.first_sound_s is None:
            raise TurnError("silent", "a reply without speech")
        await asyncio.sleep(exchange.left_s(self._clock()))
        self._end_turn("answered", exchange)
        await asyncio.sleep(self._random.uniform(*THINK_S))
        return None

    def _end_turn(
        self, outcome: Outcome, exchange: Exchange, barge_in_s: float | None = None
    ) -> None:
        """A turn is over, and with that the next begins."""
        now_s = self._clock()
        self.tally.end_turn(outcome, now_s, barge_in_s=barge_in_s, **exchange.figures())
        self.tally.begin_turn(now_s)

    async def _cuts_in(self, exchange: Exchange) -> bool:
        """Decides whether to speak into the reply, and waits until then; it may be over by then."""
        if self._random.random() >= self._script.barge_ins:
            return False
        await asyncio.sleep(self._random.uniform(*BARGE_IN_S))
        return not exchange.answered.is_set() or exchange.left_s(self._clock()) > 0

    async def _in_time(self, waiting: Any, limit_s: float, exchange: Exchange) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await waiting
        except TimeoutError:
            outcome: Outcome = "unanswered" if exchange.log.heard_speech else "unheard"
            raise TurnError(outcome, f"nothing within {limit_s:.0f} s") from None

    async def _vanish(self, line: Line) -> None:
        """Asks something and is gone, wherever that is."""
        self._current = Exchange(line.server_plays)
        line.voice.say(self._random.choice(self._script.utterances))
        await asyncio.sleep(self._random.uniform(*VANISH_S))
        self._has_vanished = True
        await line.vanish()
        raise ConnectionFailed("this caller has vanished")

    async def _listen(self, line: Line) -> None:
        """Takes what comes; a slow caller takes it slowly."""
        while True:
            came = await line.receive()
            exchange = self._current
            if exchange is None:
                continue
            if isinstance(came, Sound):
                exchange.take_sound(came.duration_s, self._clock())
                continue
            is_onset = exchange.onset_heard_s is None
            exchange.take_event(came, self._clock())
            if is_onset and exchange.onset_heard_s is not None:
                await self._stop_playing(line, exchange)
            if self.tally.kind == "slow":
                await asyncio.sleep(1 / SLOW_EVENTS_S)

    async def _stop_playing(self, line: Line, exchange: Exchange) -> None:
        """Says how much of the reply was heard, where only the caller knows."""
        spoken_into = exchange.interrupts
        if spoken_into is None or spoken_into.item_id is None or line.server_plays:
            return
        await line.send(
            "conversation.item.truncate",
            item_id=spoken_into.item_id,
            content_index=0,
            audio_end_ms=spoken_into.played_ms(self._clock()),
        )
