"""What a sound leaves in the timeline: its vectors between two tokens, or the words that were said.

Knows which of the two a checkpoint takes. Does not know the timeline, nor when a sound ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from model.dictation import SILENCE, Dictation, text_of
from streaming.engine.pieces import Piece
from streaming.engine.template import Template

if TYPE_CHECKING:
    from torch import Tensor

    from model.mel import LogMel, LogMelState
    from streaming.engine.incoming import Hearing


class Sounds(Protocol):
    """Turns the encoded blocks of a sound into pieces."""

    blocks_a_pass: int

    def begin(self, log_mel: LogMel) -> LogMelState:
        """A sound of which no sample has come yet."""
        ...

    def opening(self, *, behind_text: bool) -> list[Piece]:
        """What comes before a sound."""
        ...

    def block(self, hearing: Hearing, vectors: Tensor) -> list[Piece]:
        """What the next block [n, D] adds."""
        ...

    def guess(self, hearing: Hearing, blocks: Sequence[Tensor]) -> list[Piece]:
        """What the last blocks and the end would add; of `hearing` only `item.said` changes."""
        ...

    def closing(self, hearing: Hearing) -> list[Piece]:
        """What the end of the sound adds."""
        ...


class SoundAsVectors:
    """A sound as the published models take it."""

    # A long recording must not hold up those who are playing.
    blocks_a_pass = 4

    def __init__(self, template: Template) -> None:
        self._template = template

    def begin(self, log_mel: LogMel) -> LogMelState:
        """See `Sounds`."""
        return log_mel.init_state()

    def opening(self, *, behind_text: bool) -> list[Piece]:
        """See `Sounds`."""
        return [self._template.audio_open]

    def block(self, hearing: Hearing, vectors: Tensor) -> list[Piece]:
        """See `Sounds`."""
        return [self._template.audio(vectors)]

    def guess(self, hearing: Hearing, blocks: Sequence[Tensor]) -> list[Piece]:
        """See `Sounds`."""
        return [*map(self._template.audio, blocks), self._template.audio_close]

    def closing(self, hearing: Hearing) -> list[Piece]:
        """See `Sounds`."""
        return [self._template.audio_close]


class SoundAsWords:
    """A sound as what was said in it, for a checkpoint that takes dictation.

    A message's parts stand on lines of their own: nothing else divides words from words.
    """

    # Each block takes a pass of the Thinker to choose its words.
    blocks_a_pass = 1

    def __init__(self, template: Template, dictation: Dictation) -> None:
        self._template = template
        self._dictation = dictation

    def begin(self, log_mel: LogMel) -> LogMelState:
        """See `Sounds`."""
        return self._dictation.begin(log_mel)

    def opening(self, *, behind_text: bool) -> list[Piece]:
        """See `Sounds`."""
        return [self._template.text("\n")] if behind_text else []

    def block(self, hearing: Hearing, vectors: Tensor) -> list[Piece]:
        """See `Sounds`."""
        before = hearing.words.settled
        hearing.words = self._dictation.listen(hearing.words, vectors)
        return self._written(hearing.words.settled, before)

    def guess(self, hearing: Hearing, blocks: Sequence[Tensor]) -> list[Piece]:
        """See `Sounds`."""
        heard = hearing.words
        for vectors in blocks:
            heard = self._dictation.listen(heard, vectors)
        sentence = self._dictation.sentence(heard)
        hearing.item.said = (*hearing.said, sentence)
        return self._written(text_of(sentence), hearing.words.settled)

    def closing(self, hearing: Hearing) -> list[Piece]:
        """See `Sounds`."""
        pieces = self.guess(hearing, [])
        hearing.said = hearing.item.said
        hearing.words = SILENCE
        return [*pieces, self._template.text("\n")] if hearing.rest else pieces

    def _written(self, text: str, before: str) -> list[Piece]:
        piece = self._template.text(text.removeprefix(before))
        return [piece] if len(piece) else []


def sounds_of(template: Template, dictation: Dictation | None) -> Sounds:
    """The form that a checkpoint takes."""
    return SoundAsVectors(template) if dictation is None else SoundAsWords(template, dictation)
