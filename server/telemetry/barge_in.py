"""Somebody speaks into a reply: what is known of that so far.

Does not know who notes it (`watch.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

# Speech shorter than this that interrupts a reply was no turn: a cough, a "mhm".
SHORT_MS = 300


@dataclass(slots=True)
class BargeIn:
    """Speech into a reply: when it began, and what is known of its turn."""

    onset_s: float
    was_heard: bool
    item_id: str | None = None
    is_over: bool = False
