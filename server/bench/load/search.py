"""The largest number that holds, found with few and costly trials.

Knows numbers. Does not know what a trial is. It takes for granted that what does not hold for some
number does not hold for a larger one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

# Near enough: the next trial would tell numbers apart that differ by less than this share.
PRECISION = 0.05


async def largest(
    holds: Callable[[int], Awaitable[bool]],
    *,
    start: int,
    most: int,
    trials: int,
    goes_on: Callable[[], bool] = lambda: True,
) -> int:
    """Doubles from `start` until something does not hold, then halves the distance.

    Args:
        holds: One trial of a number, from 1 on.
        start: The first number that is tried.
        most: None above this is tried.
        trials: How many numbers may be tried.
        goes_on: Asked before each trial but the first.

    Returns:
        The largest number that held, 0 if none did.
    """
    held, failed = 0, most + 1
    number = start
    for _ in range(trials):
        if await holds(number):
            held = number
        else:
            failed = number
        if failed - held <= max(1, held * PRECISION) or not goes_on():
            break
        number = min(2 * held, most) if failed > most else (held + failed) // 2
    return held
