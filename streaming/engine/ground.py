"""What every stage of the engine stands on.

Knows nothing but what is shared: the networks, the caches, the template, the way out and the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from model.omni import OmniModel
from streaming.engine.clock import Clock
from streaming.engine.memory import Memory
from streaming.engine.messages.events import Event
from streaming.engine.messages.load import PreemptionReason
from streaming.engine.scheduler import Stage
from streaming.engine.sounds import Sounds
from streaming.engine.template import Template


@dataclass(frozen=True, kw_only=True)
class Ground:
    """One engine's shared parts.

    Attributes:
        model: the networks of the checkpoint.
        memory: the caches of all conversations.
        template: words and vectors as pieces of a prompt.
        sounds: sounds as pieces of a prompt.
        emit: takes what is to be told to the gateway.
        clock: seconds; deadlines and marks are on it.
        drew: hears of each token of a reply that its Thinker or Talker drew.
        preempted: hears of each thing that had begun and is put aside or thrown away.
    """

    model: OmniModel
    memory: Memory
    template: Template
    sounds: Sounds
    emit: Callable[[Event], None]
    clock: Clock
    drew: Callable[[Stage], None]
    preempted: Callable[[PreemptionReason], None]
