"""One item of the user whose sound or pictures are coming in.

Knows what of it is due next, and in which order. Does not know how it is encoded.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, TypeAlias

from torch import Tensor

from model.dictation import SILENCE, Heard, Sentence
from model.mel import LogMelState
from streaming.engine.item import Item
from streaming.engine.messages.content import MediaPart, TextPart
from streaming.engine.seeing import Sight


class Phase(Enum):
    """What was last said of the sound of an item."""

    SPEAKING = auto()
    PAUSED = auto()
    STOPPED = auto()


class Live(Enum):
    """Stands among the parts of an item for the sound that the microphone hears."""

    SOUND = auto()


LIVE: Final = Live.SOUND
Rest: TypeAlias = TextPart | MediaPart | Live


@dataclass(slots=True)
class Hearing:
    """One item that is coming in.

    Attributes:
        item: where its pieces go.
        mel: samples that are no block yet.
        blocks: [bins, frames] blocks that were not encoded yet.
        blocks_encoded: how many blocks of this sound were.
        words: what they said, where words are kept instead of vectors.
        said: the sentences of the item's sounds before this one, there.
        phase: whether more is to come.
        guessed: the part block is in the timeline, as if nothing more came.
        sight: the image or video that is open in the timeline.
        live: the video of the live sound, which may still have to be opened.
        rest: parts of the item that follow.
        ended: all of it is in the timeline.
        is_stuck: there was no room for it in the timeline.
    """

    item: Item
    mel: LogMelState
    blocks: deque[Tensor] = field(default_factory=deque)
    blocks_encoded: int = 0
    words: Heard = SILENCE
    said: tuple[Sentence, ...] = ()
    phase: Phase = Phase.SPEAKING
    guessed: bool = False
    sight: Sight | None = None
    live: Sight | None = None
    rest: deque[Rest] = field(default_factory=deque)
    ended: bool = False
    is_stuck: bool = False

    @property
    def sees(self) -> bool:
        """Tells whether a picture is to be encoded next."""
        sight = self.sight
        if sight is None or not sight.waiting or self.guessed:
            return False
        if not sight.with_sound or sight.belongs_before(self.blocks_encoded):
            return True
        # A video that is longer than its sound.
        return self.phase is Phase.STOPPED and not self.blocks

    @property
    def hears(self) -> bool:
        """Tells whether there is sound to encode next, or something to end."""
        if self.sees or LIVE in self.rest:
            return False
        if self.blocks or self.phase is Phase.STOPPED:
            return True
        return self.phase is Phase.PAUSED and not self.guessed and not self.rest
