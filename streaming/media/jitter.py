"""RTP packets in order, with lost time as silence: arithmetic on RTP's two counters.

Knows sequence numbers, timestamps and how long to wait for a packet that is missing. Does not know
codecs, sockets or a clock: every call is told the time.

A packet in order passes at once. Behind a gap, packets wait until the missing one comes, at most
`max_wait_s`; then the gap becomes silence, and everything flows at once again: a loss leaves no
delay behind. When packets stop coming (a track that is switched off, DTX), `expire` gives silence
at the pace of the clock, so that a turn can end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

MAX_WAIT_S = 0.040
# A stream that is quiet for so long is not late but switched off: with a network that only stalls
# nothing may be put between its words, or a turn would end in the middle of them.
QUIET_AFTER_S = 1.0
# How far sound and silence together may run ahead of the clock, so that no timestamp makes hours.
MAX_AHEAD_S = 2.0
# A packet further off than this is not lost or late: the stream began anew (RFC 3550, A.1).
MAX_DROPOUT = 3000
MAX_MISORDER = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One RTP packet of sound, its counters as they came."""

    sequence: int
    timestamp: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Time of which nothing came."""

    ticks: int


Piece: TypeAlias = Packet | Silence


@dataclass(slots=True)
class _Anchor:
    """Where a stream stands: what is expected next."""

    sequence: int
    timestamp: int


class JitterBuffer:
    """One stream of packets, from whichever comes first.

    Attributes:
        lost: Packets that were given up.
        late: Packets that came when their time had passed already.
        given: Packets that came out, in order.
        held_s: Time for which those waited here, added up.
    """

    def __init__(
        self,
        duration_ticks: Callable[[bytes], int],
        *,
        clock_hz: int = 48_000,
        max_wait_s: float = MAX_WAIT_S,
    ) -> None:
        self.lost = 0
        self.late = 0
        self.given = 0
        self.held_s = 0.0
        self._duration_ticks = duration_ticks
        self._clock_hz = clock_hz
        self._max_wait_s = max_wait_s
        self._next: _Anchor | None = None
        self._held: dict[int, tuple[Packet, float]] = {}
        self._strange = 0  # packets in a row that fit nowhere
        self._began_s = 0.0
        self._last_s = 0.0
        self._given_ticks = 0

    def push(self, packet: Packet, at_s: float) -> list[Piece]:
        """What is in order now that `packet` came at `at_s`."""
        if self._next is None:
            self._next = _Anchor(packet.sequence, packet.timestamp)
            self._began_s = at_s
        ahead = _signed(packet.sequence - self._next.sequence, 16)
        if not -MAX_MISORDER <= ahead <= MAX_DROPOUT:
            self._strange += 1
            if self._strange < 2:
                return []
            self._held.clear()
            self._next = _Anchor(packet.sequence, packet.timestamp)
            ahead = 0
        self._strange = 0
        if ahead < 0:
            self.late += 1
            return []
        self._last_s = max(self._last_s, at_s)
        self._held.setdefault(packet.sequence, (packet, at_s))
        return self._in_order(at_s)

    def expire(self, now_s: float) -> list[Piece]:
        """What the time has decided: waits that are over, and silence where nothing comes."""
        if self._next is None:
            return []
        pieces = self._in_order(now_s)
        if self._held:
            return pieces
        quiet_ticks = self._silence(self._ticks_of(now_s - self._last_s - QUIET_AFTER_S), now_s)
        if quiet_ticks > 0:
            self._last_s = now_s - QUIET_AFTER_S
            self._next.timestamp = (self._next.timestamp + quiet_ticks) & 0xFFFFFFFF
            pieces.append(Silence(ticks=quiet_ticks))
        return pieces

    def ahead_s(self, now_s: float) -> float:
        """How much more was given out than time has passed."""
        return self._given_ticks / self._clock_hz - (now_s - self._began_s)

    def _in_order(self, now_s: float) -> list[Piece]:
        assert self._next is not None
        pieces: list[Piece] = []
        while self._held:
            held = self._held.pop(self._next.sequence, None)
            if held is None:
                # The wait is that of whatever came first behind the gap.
                waits_since_s = min(at_s for _, at_s in self._held.values())
                if now_s - waits_since_s < self._max_wait_s - 1e-6:
                    break
                self._give_up_gap()
            else:
                self.given += 1
                self.held_s += max(0.0, now_s - held[1])
                pieces += self._take(held[0], now_s)
        return pieces

    def _give_up_gap(self) -> None:
        assert self._next is not None
        start = self._next.sequence
        missing = min((sequence - start) & 0xFFFF for sequence in self._held)
        self.lost += missing
        self._next.sequence = (start + missing) & 0xFFFF

    def _take(self, packet: Packet, now_s: float) -> list[Piece]:
        assert self._next is not None
        # A timestamp behind what was given out is sound that came late: nothing of it is lost.
        gap_ticks = _signed(packet.timestamp - self._next.timestamp, 32)
        silence_ticks = self._silence(gap_ticks, now_s)
        ticks = self._duration_ticks(packet.payload)
        self._given_ticks += ticks
        self._next.sequence = (packet.sequence + 1) & 0xFFFF
        self._next.timestamp = (packet.timestamp + ticks) & 0xFFFFFFFF
        if silence_ticks > 0:
            return [Silence(ticks=silence_ticks), packet]
        return [packet]

    def _silence(self, ticks: int, now_s: float) -> int:
        """Of `ticks`, how many may be given out."""
        room = self._ticks_of(MAX_AHEAD_S - self.ahead_s(now_s))
        allowed = max(0, min(ticks, room))
        self._given_ticks += allowed
        return allowed

    def _ticks_of(self, seconds: float) -> int:
        return round(seconds * self._clock_hz)


def _signed(difference: int, bits: int) -> int:
    """A difference of two counters that wrap, as the nearer way round."""
    half = 1 << (bits - 1)
    return ((difference + half) & ((1 << bits) - 1)) - half
