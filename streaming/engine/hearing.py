"""Spoken items on their way in: samples to blocks, blocks to pieces of the timeline.

Knows when a block is complete, what silence means for the part block, and how an item with several
parts follows on. Does not know the Thinker's cache: what it changes in the timeline it hands to
`cut`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial

import numpy as np
import torch
from torch import Tensor

from model.audio_encoder import audio_tokens
from model.mel import LogMel, LogMelState
from streaming.engine.conversation import Conversation
from streaming.engine.ground import Ground
from streaming.engine.memory import Finish
from streaming.engine.messages import AudioPart, TextPart
from streaming.engine.timeline import Item, Piece
from streaming.errors import BadPartError, RefusedError

# Blocks of one item in one pass: a long recording must not hold up those who are playing.
BLOCKS_A_PASS = 4


class Phase(Enum):
    """What was last said of the sound of an item."""

    SPEAKING = auto()
    PAUSED = auto()
    STOPPED = auto()


@dataclass(slots=True)
class Hearing:
    """One item whose sound is coming in.

    Attributes:
        item: where its pieces go.
        mel: samples that are no block yet.
        blocks: [bins, frames] blocks that were not encoded yet.
        phase: whether more is to come.
        guessed: the part block is in the timeline, as if nothing more came.
        rest: parts of the item that follow this sound.
    """

    item: Item
    mel: LogMelState
    blocks: deque[Tensor] = field(default_factory=deque)
    phase: Phase = Phase.SPEAKING
    guessed: bool = False
    rest: deque[TextPart | AudioPart] = field(default_factory=deque)

    @property
    def due(self) -> bool:
        """Tells whether there is something to encode or to end."""
        if self.blocks:
            return True
        return self.phase is Phase.STOPPED or (self.phase is Phase.PAUSED and not self.guessed)


class Listener:
    """Takes samples of many items and encodes their blocks in shared batches.

    Args:
        ground: the audio encoder, the template and the caches.
    """

    def __init__(self, ground: Ground) -> None:
        audio = ground.model.config.thinker.audio
        self._device = ground.model.device
        self._tower = ground.model.thinker.audio_tower
        self._log_mel = LogMel(audio.num_mel_bins, audio.block_frames)
        self._block_tokens = audio_tokens(audio.block_frames)
        self._template = ground.template
        self._memory = ground.memory

    def start(self, conversation: Conversation, item: Item) -> Hearing:
        """Begins a spoken item, which is in the timeline already."""
        hearing = Hearing(item, self._log_mel.init_state())
        conversation.hearing[item.item_id] = hearing
        return hearing

    def hear(self, conversation: Conversation, hearing: Hearing, pcm: bytes) -> None:
        """Takes more samples, float32 LE; what was guessed of the part block is taken back.

        Raises:
            BadPartError: Not float32, or not finite.
            RefusedError: More waits to be encoded than the context has room for.
        """
        waiting = len(hearing.blocks) * self._block_tokens
        room = conversation.timeline.attainable_room
        if waiting > room:
            raise RefusedError(
                f"{waiting} tokens of sound wait and the context has room for {room}"
            )
        self._retract(conversation, hearing)
        hearing.phase = Phase.SPEAKING
        self._push(hearing, pcm)

    def pause(self, hearing: Hearing) -> None:
        """Silence has begun."""
        if hearing.phase is Phase.SPEAKING:
            hearing.phase = Phase.PAUSED

    def stop(self, hearing: Hearing) -> None:
        """Nothing more comes."""
        hearing.phase = Phase.STOPPED

    def start_parts(
        self, conversation: Conversation, item: Item, parts: Sequence[TextPart | AudioPart]
    ) -> None:
        """Begins an opened item whose parts, at least one of them sound, are all there.

        Raises:
            BadPartError: A part's samples are not float32, or not finite.
        """
        hearing = Hearing(item, self._log_mel.init_state(), phase=Phase.STOPPED)
        hearing.rest.extend(parts)
        self._extend(conversation, hearing, self._next_parts(hearing))
        conversation.hearing[item.item_id] = hearing

    def encode(self, conversations: Sequence[Conversation]) -> list[Finish]:
        """Encodes the next blocks of each conversation's first item that has any due.

        Returns:
            For each conversation, what puts the result into its timeline.
        """
        due = [next(h for h in c.hearing.values() if h.due) for c in conversations]
        blocks = [self._next_blocks(hearing) for hearing in due]
        encoded = iter(
            self._tower.encode_blocks([block.to(self._device) for own in blocks for block in own])
        )
        vectors = [[next(encoded) for _ in own] for own in blocks]
        return [
            partial(self._finish, conversation, hearing, own)
            for conversation, hearing, own in zip(conversations, due, vectors, strict=True)
        ]

    def _next_blocks(self, hearing: Hearing) -> list[Tensor]:
        if hearing.blocks:
            return list(hearing.blocks)[:BLOCKS_A_PASS]
        # Stopped after a pause: what was guessed is what it is.
        return [] if hearing.guessed else self._log_mel.peek(hearing.mel)

    def _finish(self, conversation: Conversation, hearing: Hearing, encoded: list[Tensor]) -> None:
        pieces = [self._template.audio(vectors) for vectors in encoded if len(vectors)]
        if hearing.blocks:
            self._extend(conversation, hearing, pieces)
            for _ in encoded:
                hearing.blocks.popleft()
        elif hearing.phase is Phase.PAUSED:
            closing = [*pieces, self._template.audio_close, self._template.user_close]
            self._extend(conversation, hearing, closing, speculative=True)
            hearing.guessed = True
            self._memory.cut(conversation.slot, conversation.timeline.expect_answer(hearing.item))
        elif hearing.guessed:
            self._complete(conversation, hearing)
        else:
            following = [self._template.audio_close, *self._next_parts(hearing)]
            self._extend(conversation, hearing, [*pieces, *following])
            if not hearing.blocks and not len(hearing.mel.pending):
                self._complete(conversation, hearing)

    def _next_parts(self, hearing: Hearing) -> list[Piece]:
        """Returns the pieces up to the next sound, which it starts, or up to the item's end."""
        pieces: list[Piece] = []
        while hearing.rest:
            part = hearing.rest.popleft()
            if isinstance(part, AudioPart) and part.pcm:
                hearing.mel = self._log_mel.init_state()
                self._push(hearing, part.pcm)
                return [*pieces, self._template.audio_open]
            if isinstance(part, TextPart):
                pieces.append(self._template.text(part.text))
        hearing.mel = self._log_mel.init_state()
        return [*pieces, self._template.user_close]

    def _complete(self, conversation: Conversation, hearing: Hearing) -> None:
        hearing.item.speculative = 0
        hearing.item.complete = True
        del conversation.hearing[hearing.item.item_id]
        self._memory.cut(conversation.slot, conversation.timeline.expect_answer(hearing.item))

    def _extend(
        self,
        conversation: Conversation,
        hearing: Hearing,
        pieces: list[Piece],
        *,
        speculative: bool = False,
    ) -> None:
        timeline = conversation.timeline
        self._memory.cut(
            conversation.slot, timeline.extend(hearing.item, pieces, speculative=speculative)
        )

    def _retract(self, conversation: Conversation, hearing: Hearing) -> None:
        if hearing.guessed:
            self._memory.cut(conversation.slot, conversation.timeline.retract(hearing.item))
            hearing.guessed = False

    def _push(self, hearing: Hearing, pcm: bytes) -> None:
        hearing.blocks.extend(self._log_mel.step(hearing.mel, samples_of(pcm)))


def samples_of(pcm: bytes) -> Tensor:
    """float32 LE bytes -> samples [n].

    Raises:
        BadPartError: The bytes are no whole samples, or one of them is not finite.
    """
    if len(pcm) % 4:
        raise BadPartError(f"{len(pcm)} bytes are no whole number of float32 samples")
    samples = torch.from_numpy(np.frombuffer(pcm, dtype="<f4").astype(np.float32))
    if not samples.isfinite().all():
        raise BadPartError("samples must be finite numbers in -1..1")
    return samples
