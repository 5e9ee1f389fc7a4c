"""How busy the engine is: sums since its start, and a look at this moment.

Knows passes, caches and what a process takes of its machine. Does not know who is told, or when
(`reports.py`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import get_args

import torch

from streaming.engine.conversation import Conversation
from streaming.engine.memory import Memory
from streaming.engine.messages.load import (
    EngineLoad,
    PreemptionReason,
    Preemptions,
    StageLoad,
    StageName,
)
from streaming.engine.scheduler import Stage, Work

NAMES: dict[Stage, StageName] = {
    Stage.ENCODE: "encode",
    Stage.SEE: "see",
    Stage.PREFILL: "prefill",
    Stage.THINKER: "thinker",
    Stage.TALKER: "talker",
    Stage.TOKEN2WAV: "token2wav",
    Stage.TRANSCRIBE: "transcribe",
}
PREEMPTIONS: tuple[PreemptionReason, ...] = get_args(PreemptionReason)
STATM = Path("/proc/self/statm")
PAGE_BYTES = 4096


class Meter:
    """Counts what the loop does.

    Args:
        max_rows: conversations in the largest batch.
    """

    def __init__(self, max_rows: int) -> None:
        self._busy_s = dict.fromkeys(Stage, 0.0)
        self._passes = {stage: [0] * max_rows for stage in Stage}
        self._prefilled_tokens = 0
        self._drawn: Counter[Stage] = Counter()
        self._preemptions = dict.fromkeys(PREEMPTIONS, 0)
        self._waiting: Counter[Stage] = Counter()

    def saw(self, works: Iterable[Work]) -> None:
        """Notes what could run now."""
        self._waiting = Counter(work.stage for work in works)

    def ran(self, stage: Stage, rows: int, busy_s: float) -> None:
        """Notes a pass of a stage for so many conversations."""
        self._busy_s[stage] += busy_s
        self._passes[stage][rows - 1] += 1

    def prefilled(self, tokens: int) -> None:
        """Notes positions of prompts that went into the cache."""
        self._prefilled_tokens += tokens

    def drew(self, stage: Stage) -> None:
        """Notes a token of a reply, of text or of speech; none that ends it."""
        self._drawn[stage] += 1

    def preempted(self, reason: PreemptionReason) -> None:
        """Notes that something which had begun was put aside or thrown away."""
        self._preemptions[reason] += 1

    def load(
        self,
        conversations: Mapping[str, Conversation],
        memory: Memory,
        device: torch.device,
    ) -> EngineLoad:
        """Returns all of it, with a look at the conversations and the machine."""
        replies = [c.reply for c in conversations.values() if c.reply is not None]
        slots = [c.slot for c in conversations.values()]
        running = sum(reply.marks.begun_s is not None for reply in replies)
        allocated_bytes, used_bytes, total_bytes = _gpu(device)
        return EngineLoad(
            conversations=len(conversations),
            replies_running=running,
            replies_waiting=len(replies) - running,
            stages=tuple(map(self._stage, Stage)),
            thinker_tokens=sum(memory.thinker.lengths[slot] for slot in slots),
            thinker_capacity=memory.scratch * memory.thinker.capacity_tokens,
            talker_tokens=sum(memory.talker.lengths[slot] for slot in slots),
            talker_capacity=memory.scratch * memory.talker.capacity_tokens,
            fullest_tokens=max((memory.length(slot) for slot in slots), default=0),
            preemptions=tuple(
                Preemptions(reason=reason, count=count)
                for reason, count in self._preemptions.items()
            ),
            prefilled_tokens=self._prefilled_tokens,
            text_tokens=self._drawn[Stage.THINKER],
            codec_tokens=self._drawn[Stage.TALKER],
            cpu_s=time.process_time(),
            resident_bytes=_resident_bytes(),
            gpu_allocated_bytes=allocated_bytes,
            gpu_used_bytes=used_bytes,
            gpu_total_bytes=total_bytes,
        )

    def _stage(self, stage: Stage) -> StageLoad:
        return StageLoad(
            stage=NAMES[stage],
            waiting=self._waiting[stage],
            busy_s=self._busy_s[stage],
            passes=tuple(self._passes[stage]),
        )


def _resident_bytes() -> int:
    """Memory of this process; 0 where the system does not tell in Linux's way."""
    try:
        return int(STATM.read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


def _gpu(device: torch.device) -> tuple[int | None, int | None, int | None]:
    """Bytes of our tensors, bytes in use by anybody, and all bytes, of a device that is a GPU.

    No test has run this on a GPU yet; on a CPU all three are None, and no metric is made of them.
    """
    if device.type != "cuda":
        return None, None, None
    free_bytes, total_bytes = torch.cuda.mem_get_info(device)
    return torch.cuda.memory_allocated(device), total_bytes - free_bytes, total_bytes
