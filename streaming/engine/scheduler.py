"""Which batch runs next: the one whose earliest deadline is nearest.

Knows deadlines and stages. Does not know torch, the networks or what a conversation says: it is
given the work that could run now, and picks. Deadlines:

- a playing reply's is the moment its client's buffer runs dry;
- a reply that waits for its first packet has the end of the turn plus the target;
- prefill while the user speaks has until the next block is complete;
- what nobody waits for (transcripts, making room after an edit) has none.

A playing reply about to run dry goes before everything else, even before a reply that is already
late: a stream that plays never underruns so that a new one can start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from streaming.errors import RefusedError

NEVER_S = math.inf


class Stage(IntEnum):
    """The stages of the engine; of two with one deadline, the one nearer the listener runs."""

    TOKEN2WAV = 0
    TALKER = 1
    THINKER = 2
    PREFILL = 3
    ENCODE = 4
    SEE = 5
    TRANSCRIBE = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One conversation could do one step of one stage now.

    `playing` says that its client hears a reply at this moment, so that `deadline_s` is when the
    sound would stop.
    """

    conversation_id: str
    stage: Stage
    deadline_s: float
    playing: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What runs next: one stage for these conversations, most urgent first."""

    stage: Stage
    conversation_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SchedulerConfig:
    """Targets and limits.

    `guard_s` is how long before it runs dry a playing reply goes before everything else: at least
    what one chunk takes from Talker to samples. `max_batch` bounds the conversations in one batch;
    a stage that is not named has no bound but the number of conversations.
    """

    max_conversations: int
    first_packet_target_s: float = 0.3
    guard_s: float = 0.4
    max_batch: Mapping[Stage, int] = field(
        default_factory=lambda: {
            Stage.TOKEN2WAV: 1,
            Stage.PREFILL: 4,
            Stage.ENCODE: 4,
            Stage.SEE: 1,
        }
    )


class Scheduler:
    """Picks batches, and refuses at the door what could not be served."""

    def __init__(self, config: SchedulerConfig) -> None:
        self._config = config

    def admit(self, open_conversations: int) -> None:
        """Checks that one more conversation fits.

        Raises:
            RefusedError: Every slot is taken; names the limit.
        """
        limit = self._config.max_conversations
        if open_conversations >= limit:
            raise RefusedError(
                f"all {limit} conversations of the engine are open (max_conversations)"
            )

    def pick(self, works: Iterable[Work], now_s: float) -> Batch | None:
        """Returns the batch to run now, or None when there is nothing to do."""
        ordered = sorted(works, key=lambda work: self._rank(work, now_s))
        if not ordered:
            return None
        stage = ordered[0].stage
        mates = [work.conversation_id for work in ordered if work.stage is stage]
        size = self._config.max_batch.get(stage, self._config.max_conversations)
        return Batch(stage=stage, conversation_ids=tuple(mates[:size]))

    def first_packet_deadline_s(self, turn_ended_s: float) -> float:
        """Returns when the first packet of a reply is due."""
        return turn_ended_s + self._config.first_packet_target_s

    def _rank(self, work: Work, now_s: float) -> tuple[bool, float, Stage]:
        running_dry = work.playing and work.deadline_s - now_s <= self._config.guard_s
        return (not running_dry, work.deadline_s, work.stage)


@dataclass(slots=True)
class Playout:
    """What is known of a client's buffer: what was sent, and since when it plays.

    The engine sends samples at once and cannot see them played; it takes the client to play from
    the first packet on without a pause. After a gap the clock starts anew with the next packet.
    """

    started_s: float | None = None
    sent_s: float = 0.0

    @property
    def dry_at_s(self) -> float:
        """When the client has played all that was sent; minus infinity before the first packet."""
        return -math.inf if self.started_s is None else self.started_s + self.sent_s

    def sent(self, duration_s: float, now_s: float) -> None:
        """Notes a packet of `duration_s` that leaves now."""
        if self.started_s is None:
            self.started_s = now_s
        elif now_s > self.dry_at_s:
            self.started_s = now_s - self.sent_s
        self.sent_s += duration_s
