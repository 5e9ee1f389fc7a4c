"""The wall clock, for the moments that others are told; everything else counts on the loop's."""

from __future__ import annotations

import time


def unix_s() -> int:
    """Whole seconds of Unix time."""
    return int(time.time())


def unix_ns_of(monotonic_s: float) -> int:
    """Nanoseconds of Unix time at a moment of `time.monotonic`."""
    return time.time_ns() - round((time.monotonic() - monotonic_s) * 1e9)
