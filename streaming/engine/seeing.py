"""Pictures on their way in: frames to temporal steps, steps to encoder vectors.

Knows how frames are cut up for the encoder, and which temporal step of a video belongs to which
block of its sound. Does not know items or the timeline: the listener puts what is seen there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from torch import Tensor

from model.errors import InputError
from model.positions import Grid
from model.vision_input import (
    IMAGE_BOUNDS,
    RGB,
    Patches,
    PixelBounds,
    VideoState,
    VisionInput,
    fitted_size,
    scaled,
)
from streaming.engine.ground import Ground
from streaming.engine.messages.content import Frame, ImagePart, VideoPart
from streaming.engine.pieces import Piece
from streaming.engine.sighted import Sighted, SightKind
from streaming.errors import BadPartError

PIXEL_BYTES = 3

# What the encoder made of a temporal step, and the step's grid.
Glimpse: TypeAlias = tuple[Tensor, Grid]


@dataclass(slots=True)
class Sight:
    """One image or video that is being looked at.

    Attributes:
        pieces: makes its pieces.
        state: frames that are no temporal step yet.
        waiting: temporal steps, or the one of an image, that were not encoded yet.
        steps: how many were.
        window: which block of its sound the last of them stands before.
    """

    pieces: Sighted
    state: VideoState
    waiting: deque[Patches] = field(default_factory=deque)
    steps: int = 0
    window: int = 0

    @property
    def with_sound(self) -> bool:
        """Whether it is a video with its sound."""
        return self.pieces.kind.with_sound

    def belongs_before(self, block: int) -> bool:
        """Tells whether the next step stands before block number `block` of the sound."""
        return self.pieces.window(self.steps, self.window) <= block

    def passed(self) -> None:
        """Notes that the next step was encoded."""
        self.waiting.popleft()
        if self.with_sound:
            self.window = self.pieces.window(self.steps, self.window)
        self.steps += 1

    def end(self, heard: int, sounds: Sequence[Tensor], glimpses: Sequence[Glimpse]) -> list[Piece]:
        """Returns the rest of a video and of its sound, and its closing; it may go on all the same.

        Args:
            heard: blocks of its sound that stand before.
            sounds: what the encoder made of the blocks that are left.
            glimpses: the temporal steps that are left.
        """
        ghost, step, window = self.pieces.copy(), self.steps, self.window
        left, pieces = deque(glimpses), list[Piece]()
        for block, vectors in enumerate(sounds, start=heard):
            while left and ghost.window(step, window) <= block:
                window = ghost.window(step, window)
                pieces.append(ghost.picture(*left.popleft()))
                step += 1
            if len(vectors):
                pieces.append(ghost.sound(vectors))
        return [*pieces, *(ghost.picture(*glimpse) for glimpse in left), ghost.closing()]


class Eyes:
    """Cuts pictures up and encodes them.

    Args:
        ground: the vision encoder and the template.
    """

    def __init__(self, ground: Ground) -> None:
        thinker = ground.model.thinker
        self._tower = thinker.visual
        self._device = ground.model.device
        self._inputs = ground.model.config.omnilive.inputs
        self._template = ground.template
        config = ground.model.config.thinker.vision
        bounds = _bearable(ground.model.image_bounds)
        self._vision = None if config is None else VisionInput(config, image_bounds=bounds)

    def check(self, part: ImagePart | VideoPart) -> None:
        """Checks what can be wrong with a part.

        Raises:
            BadPartError: This checkpoint does not see, or these are no pictures.
        """
        wanted = "image" if isinstance(part, ImagePart) else "video"
        if wanted not in self._inputs:
            takes = ", ".join(self._inputs)
            raise BadPartError(f"this checkpoint takes no {wanted}; it takes {takes}")
        if isinstance(part, ImagePart):
            self._check_frame(part.frame)
            return
        if not 0 < part.frames_per_second <= 100:
            raise BadPartError(f"frames_per_second is {part.frames_per_second}, not in 0..100")
        if not part.frames:
            raise BadPartError("a video needs at least 1 frame, got 0")
        for frame in part.frames:
            self._check_frame(frame)

    def image(self, part: ImagePart) -> Sight:
        """Begins to look at a checked image."""
        sight = self._sight(SightKind())
        sight.waiting.append(self._cutter.image(_pixels(part.frame)))
        return sight

    def video(self, frames_per_second: float, *, with_sound: bool) -> Sight:
        """Begins to look at a video whose frames are still to come."""
        seconds = self._cutter.config.temporal_patch_size / frames_per_second
        return self._sight(SightKind(seconds_per_step=seconds, with_sound=with_sound))

    def push(self, sight: Sight, frames: Sequence[Frame]) -> None:
        """Takes a video's next checked frames; all are scaled to the first one's size."""
        for frame in frames:
            pixels = _pixels(frame)
            source = sight.state.source
            if source is not None and pixels.shape[:2] != source:
                pixels = scaled(pixels, source)
            sight.waiting.extend(self._cutter.step(sight.state, [pixels]))

    def finish(self, sight: Sight) -> None:
        """The video has no more frames: one that is left over makes a step."""
        sight.waiting.extend(self._cutter.flush(sight.state))

    def unfinished(self, sight: Sight) -> list[Patches]:
        """What `finish` would make, and the video may go on."""
        state = VideoState(sight.state.size, sight.state.source, list(sight.state.pending))
        return self._cutter.flush(state)

    def encode(self, patches: Patches) -> Tensor:
        """Patches to the Thinker's vectors [n, D]."""
        assert self._tower is not None, "pictures are refused where there is no tower"
        vectors: Tensor = self._tower(patches.values.to(self._device), [patches.grid])
        return vectors

    def tokens(self, sight: Sight) -> int:
        """How many positions the steps take that were not encoded yet."""
        merged = self._cutter.config.spatial_merge_size**2
        return sum(len(patches.values) // merged for patches in sight.waiting)

    @property
    def _cutter(self) -> VisionInput:
        assert self._vision is not None, "pictures are refused where there is no tower"
        return self._vision

    def _sight(self, kind: SightKind) -> Sight:
        return Sight(self._template.sighted(kind), self._cutter.init_state())

    def _check_frame(self, frame: Frame) -> None:
        rows, columns = frame.rows, frame.columns
        if min(rows, columns) < 1 or len(frame.pixels) != rows * columns * PIXEL_BYTES:
            raise BadPartError(
                f"{len(frame.pixels)} bytes are no RGB picture of {rows} × {columns} pixels"
            )
        try:
            fitted_size(rows, columns, 1, self._cutter.image_bounds)
        except InputError as error:
            raise BadPartError(str(error)) from None


def _bearable(bounds: PixelBounds) -> PixelBounds:
    """The bounds of a checkpoint, but never above ours.

    The published ones allow 16,384 positions for one image: while it is encoded everybody waits.
    """
    most = IMAGE_BOUNDS.max_pixels
    return PixelBounds(
        min_pixels=min(bounds.min_pixels, most), max_pixels=min(bounds.max_pixels, most)
    )


def _pixels(frame: Frame) -> RGB:
    flat = np.frombuffer(frame.pixels, dtype=np.uint8)
    return flat.reshape(frame.rows, frame.columns, PIXEL_BYTES)
