"""The wall clock, for the moments that clients are told; everything else counts on the loop's."""

from __future__ import annotations

import time


def unix_s() -> int:
    """Whole seconds of Unix time."""
    return int(time.time())
