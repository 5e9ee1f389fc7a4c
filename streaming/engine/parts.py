"""The parts of an item one behind the other: what is closed, and what is opened next.

Knows which tokens stand between them, and how a whole sound or picture is taken in. Does not know
the timeline, nor how anything is encoded.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from model.mel import LogMel
from streaming.engine.incoming import Hearing, Live
from streaming.engine.messages.content import AudioPart, ImagePart, MediaPart, TextPart, VideoPart
from streaming.engine.pieces import Piece
from streaming.engine.seeing import Eyes
from streaming.engine.sounds import Sounds
from streaming.engine.template import Template
from streaming.errors import BadPartError


class Parts:
    """Follows the parts of items.

    Args:
        template: of the checkpoint.
        sounds: the form in which sounds are kept.
        log_mel: takes sound in.
        eyes: take pictures in.
    """

    def __init__(self, template: Template, sounds: Sounds, log_mel: LogMel, eyes: Eyes) -> None:
        self._template = template
        self._sounds = sounds
        self._log_mel = log_mel
        self._eyes = eyes

    def check(self, part: MediaPart) -> None:
        """Raises BadPartError if a part cannot be encoded."""
        if not isinstance(part, AudioPart):
            self._eyes.check(part)
        if not isinstance(part, ImagePart) and part.pcm is not None:
            samples_of(part.pcm)

    def follow(self, hearing: Hearing) -> list[Piece]:
        """Returns what closes the media that is open, and what follows it; see `next`."""
        sight = hearing.sight
        closing = self._sounds.closing(hearing) if sight is None else [sight.pieces.closing()]
        return [*closing, *self.next(hearing)]

    def next(self, hearing: Hearing) -> list[Piece]:
        """Returns the pieces up to the next media, which it opens, or up to the item's end."""
        pieces: list[Piece] = []
        hearing.sight = None
        while hearing.rest:
            part = hearing.rest.popleft()
            if isinstance(part, TextPart):
                pieces.append(self._template.text(part.text))
            elif not (isinstance(part, AudioPart) and not part.pcm):
                return [*pieces, *self._open(hearing, part, behind_text=bool(pieces))]
        hearing.ended = True
        return [*pieces, self._template.user_close]

    def push(self, hearing: Hearing, pcm: bytes) -> None:
        """Takes more samples of the sound that is open.

        Raises:
            BadPartError: Not float32, or not finite.
        """
        hearing.blocks.extend(self._log_mel.step(hearing.mel, samples_of(pcm)))

    def end_sound(self, hearing: Hearing) -> None:
        """The sound that is open has no more samples."""
        hearing.blocks.extend(self._log_mel.flush(hearing.mel))

    def _open(self, hearing: Hearing, part: MediaPart | Live, *, behind_text: bool) -> list[Piece]:
        """Takes a part in, and returns what opens it."""
        match part:
            case Live():
                hearing.sight = hearing.live
            case AudioPart(pcm=pcm):
                self._take_sound(hearing, pcm)
            case ImagePart():
                hearing.sight = self._eyes.image(part)
            case VideoPart(pcm=sound):
                fps = part.frames_per_second
                sight = self._eyes.video(fps, with_sound=bool(sound))
                self._eyes.push(sight, part.frames)
                self._eyes.finish(sight)
                hearing.sight = sight
                if sound:
                    self._take_sound(hearing, sound)
        opened = hearing.sight
        if opened is None:
            return self._sounds.opening(behind_text=behind_text)
        return [opened.pieces.opening()]

    def _take_sound(self, hearing: Hearing, pcm: bytes) -> None:
        hearing.mel, hearing.blocks_encoded = self._sounds.begin(self._log_mel), 0
        self.push(hearing, pcm)
        self.end_sound(hearing)


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
