"""The engine's only look at a clock.

Knows seconds of a clock that never goes back. Everything else takes a `Clock`, so that tests
can turn it.
"""

import time
from collections.abc import Callable

Clock = Callable[[], float]


def monotonic_s() -> float:
    """Seconds since an arbitrary moment, the same for the whole process."""
    return time.monotonic()
