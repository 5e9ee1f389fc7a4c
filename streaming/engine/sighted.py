"""One image or video as pieces of the prompt, each where TMRoPE places it.

Knows its opening, its temporal steps, the sound that comes with it, and its closing, in the order
in which they come. Does not know pixels or encoders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from model.chat import Chat
from model.config import ThinkerConfig
from model.positions import Grid, PositionCursor, step_window
from streaming.engine.pieces import Piece


@dataclass(frozen=True, slots=True, kw_only=True)
class SightKind:
    """An image (no `seconds_per_step`), or a video with its sound or without."""

    seconds_per_step: float | None = None
    with_sound: bool = False


class Sighted:
    """Makes the pieces of one image or video; each call moves on."""

    def __init__(self, chat: Chat, thinker: ThinkerConfig, kind: SightKind) -> None:
        self.kind = kind
        self._chat = chat
        self._thinker = thinker
        self._cursor = PositionCursor.of(thinker)

    def copy(self) -> Self:
        """Returns one in the same place, for a guess."""
        copied = type(self)(self._chat, self._thinker, self.kind)
        copied._cursor = self._cursor.copy()
        return copied

    def window(self, step: int, previous: int) -> int:
        """Returns which block of the sound temporal step number `step` stands before.

        Args:
            step: of the video, from 0.
            previous: what the step before it stands before.
        """
        assert self.kind.seconds_per_step is not None, "an image has no windows"
        return step_window(
            step,
            previous,
            seconds_per_step=self.kind.seconds_per_step,
            config=self._thinker,
        )

    def opening(self) -> Piece:
        """What comes before the first picture."""
        ids = self._chat.vision_open()
        if self.kind.with_sound:
            ids = [*ids, *self._chat.audio_open()]
        if self.kind.seconds_per_step is None:
            return Piece(tuple(ids))
        before = self._cursor.next
        return self._piece(
            ids, self._cursor.open_clip(with_audio=self.kind.with_sound), None, before
        )

    def picture(self, vectors: Tensor, grid: Grid) -> Piece:
        """The image, or the video's next temporal step: what the encoder made of it, [n, D]."""
        before = self._cursor.next
        if self.kind.seconds_per_step is None:
            placeholder = self._thinker.image_token_index
            places = self._cursor.image(grid)
        else:
            placeholder = self._thinker.video_token_index
            places = self._cursor.video(grid, self.kind.seconds_per_step)
        return self._piece([placeholder] * len(vectors), places, vectors, before)

    def sound(self, vectors: Tensor) -> Piece:
        """The next block of the video's sound: what the encoder made of it, [n, D]."""
        before = self._cursor.next
        places = self._cursor.audio(len(vectors))
        ids = [self._thinker.audio_token_index] * len(vectors)
        return self._piece(ids, places, vectors, before)

    def closing(self) -> Piece:
        """What comes behind the last of it."""
        ids = self._chat.vision_close()
        if self.kind.with_sound:
            ids = [*self._chat.audio_close(), *ids]
        if self.kind.seconds_per_step is None:
            return Piece(tuple(ids))
        before = self._cursor.next
        return self._piece(ids, self._cursor.close_clip(), None, before)

    def _piece(self, ids: list[int], places: Tensor, vectors: Tensor | None, before: int) -> Piece:
        return Piece(tuple(ids), vectors, places - before, self._cursor.next - before)
