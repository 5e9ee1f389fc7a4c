"""How much one client may have: openings a minute, and conversations at the same time.

Knows counts by key and by address. Does not know who a client is (`auth.py`) or what it does.
Memory is bounded: a name is kept only while it has something open, or has asked for an opening
within the last minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from server.errors import TooFastError, TooManyOpenError
from streaming.protocol.limits import RateLeft

MINUTE_S = 60.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at_s: float


class RateLimit:
    """A minute's allowance for each name, which fills up evenly (token bucket)."""

    def __init__(self, per_minute: int | None, setting: str, clock: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._setting = setting
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def spend(self, name: str) -> None:
        """Takes one of what `name` may have.

        Raises:
            TooFastError: There is none left; names the limit and when to come back.
        """
        if self._per_minute is None:
            return
        now_s = self._clock()
        self._forget_full(now_s)
        bucket = self._buckets.pop(name, None) or _Bucket(self._per_minute, now_s)
        self._buckets[name] = bucket  # in the order of their last opening, the oldest first
        bucket.tokens = self._tokens(bucket, now_s)
        bucket.filled_at_s = now_s
        if bucket.tokens < 1.0:
            wait_s = (1.0 - bucket.tokens) * MINUTE_S / self._per_minute
            raise TooFastError(
                f"more than {self._per_minute} openings a minute ({self._setting}); "
                f"try again in {wait_s:.1f} s"
            )
        bucket.tokens -= 1.0

    def left(self, name: str) -> RateLeft | None:
        """Returns what `name` has left; None where there is no limit."""
        if self._per_minute is None:
            return None
        now_s = self._clock()
        full = float(self._per_minute)
        bucket = self._buckets.get(name)
        tokens = full if bucket is None else self._tokens(bucket, now_s)
        return RateLeft(
            name="requests",
            limit=self._per_minute,
            remaining=int(tokens),
            reset_seconds=(full - tokens) * MINUTE_S / full,
        )

    def _tokens(self, bucket: _Bucket, now_s: float) -> float:
        assert self._per_minute is not None
        gained = (now_s - bucket.filled_at_s) * self._per_minute / MINUTE_S
        return min(float(self._per_minute), bucket.tokens + gained)

    def _forget_full(self, now_s: float) -> None:
        # Whoever has its whole allowance back need not be remembered.
        while self._buckets:
            name = next(iter(self._buckets))
            bucket = self._buckets[name]
            if now_s - bucket.filled_at_s < MINUTE_S:
                break
            del self._buckets[name]


class Seats:
    """Conversations at the same time, for each name."""

    def __init__(self, limit: int | None, setting: str) -> None:
        self._limit = limit
        self._setting = setting
        self._taken: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._taken)

    def check(self, name: str) -> None:
        """Raises TooManyOpenError if `name` has as many as it may."""
        if self._limit is not None and self._taken[name] >= self._limit:
            raise TooManyOpenError(
                f"{self._limit} conversations of yours are open ({self._setting})"
            )

    @contextmanager
    def taken(self, name: str) -> Iterator[None]:
        """Takes a seat while the block runs."""
        self._taken[name] += 1
        try:
            yield
        finally:
            self._taken[name] -= 1
            if not self._taken[name]:
                del self._taken[name]
