"""How far a response has come, and what moves it on: a table.

Knows phases and signals. Does not know what a response says in any of them.
"""

from __future__ import annotations

from enum import Enum, auto


class Phase(Enum):
    """How far a response has come."""

    CREATED = auto()
    STREAMING = auto()
    CANCELLING = auto()
    DONE = auto()


class Signal(Enum):
    """What moves a response on."""

    OUTPUT = auto()
    CANCEL = auto()
    END = auto()


# A pair that is missing here is our own mistake: nothing may follow the end.
TRANSITIONS: dict[tuple[Phase, Signal], Phase] = {
    (Phase.CREATED, Signal.OUTPUT): Phase.STREAMING,
    (Phase.CREATED, Signal.CANCEL): Phase.CANCELLING,
    (Phase.CREATED, Signal.END): Phase.DONE,
    (Phase.STREAMING, Signal.OUTPUT): Phase.STREAMING,
    (Phase.STREAMING, Signal.CANCEL): Phase.CANCELLING,
    (Phase.STREAMING, Signal.END): Phase.DONE,
    (Phase.CANCELLING, Signal.OUTPUT): Phase.CANCELLING,
    (Phase.CANCELLING, Signal.CANCEL): Phase.CANCELLING,
    (Phase.CANCELLING, Signal.END): Phase.DONE,
}
