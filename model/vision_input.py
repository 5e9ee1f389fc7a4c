"""RGB pictures and video frames to the patches that the vision encoder sees.

Knows how large a picture may and must be, how it is scaled, and in which order its patches lie.
Does not know image files, video containers, which frames of a video are worth seeing, or the
encoder.

A picture is scaled with Pillow's bicubic filter, as the published image processor does where
torchvision is absent: the same values to float32 rounding (1e-6). Where torchvision is present the
reference scales with torch's antialiased bicubic filter, which rounds once where Pillow rounds
twice: one channel in ten then differs, by 1 of 255. Videos follow the same path, frame by frame.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model.errors import CheckpointError, ConfigError, InputError
from model.figures import VisionEncoderConfig
from model.positions import Grid

RGB = np.ndarray[Any, np.dtype[np.uint8]]  # [rows, columns, 3]

# The published processor's normalisation (that of CLIP), by channel.
_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
_DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)
_LONGEST_ASPECT = 200


@dataclass(frozen=True, kw_only=True)
class PixelBounds:
    """How few and how many pixels a picture has once it is scaled."""

    min_pixels: int
    max_pixels: int

    def __post_init__(self) -> None:
        if not 1 <= self.min_pixels <= self.max_pixels:
            raise ConfigError(
                f"min_pixels {self.min_pixels} must be in 1..max_pixels {self.max_pixels}"
            )


# 28 × 28 pixels are one position of the Thinker: an image costs 4 to 1280 of them, two video frames
# 128 to 768.
IMAGE_BOUNDS = PixelBounds(min_pixels=4 * 28 * 28, max_pixels=1280 * 28 * 28)
VIDEO_BOUNDS = PixelBounds(min_pixels=128 * 28 * 28, max_pixels=768 * 28 * 28)


@dataclass(frozen=True, kw_only=True)
class Patches:
    """A picture cut up: `values` [steps × rows × columns, channels × frames × side²]."""

    values: Tensor
    grid: Grid


@dataclass(slots=True)
class VideoState:
    """A video on its way in: its scaled size, and the scaled frames that fill no step yet."""

    size: tuple[int, int] | None = None
    source: tuple[int, int] | None = None
    pending: list[RGB] = field(default_factory=list)

    def reset(self) -> None:
        """Forgets the video; the state is as new."""
        self.size = self.source = None
        self.pending = []


class VisionInput:
    """Cuts pictures for an encoder with these figures, within these bounds.

    Source: `Qwen2VLImageProcessor` and `Qwen2VLVideoProcessor` of transformers.
    """

    def __init__(
        self,
        config: VisionEncoderConfig,
        *,
        image_bounds: PixelBounds = IMAGE_BOUNDS,
        video_bounds: PixelBounds = VIDEO_BOUNDS,
    ) -> None:
        self.config = config
        self.image_bounds = image_bounds
        self.video_bounds = video_bounds

    def image(self, image: RGB) -> Patches:
        """Cuts one image [rows, columns, 3] uint8; both frames of its one step are that image.

        Raises:
            InputError: not such an array, or longer than 200 times its width.
        """
        size = self._scaled_size(_checked(image), self.image_bounds)
        return self._cut([scaled(image, size)])

    def video(self, frames: Sequence[RGB]) -> Patches:
        """Cuts a whole video, its frames as sampled; an odd last frame is seen twice.

        Raises:
            InputError: no frames, or frames that differ in size.
        """
        if not frames:
            raise InputError("a video needs at least 1 frame, got 0")
        state = self.init_state()
        steps = [*self.step(state, frames), *self.flush(state)]
        _, rows, columns = steps[0].grid
        return Patches(
            values=torch.cat([step.values for step in steps]), grid=(len(steps), rows, columns)
        )

    def init_state(self) -> VideoState:
        """The state of a video of which nothing has come."""
        return VideoState()

    def step(self, state: VideoState, frames: Sequence[RGB]) -> list[Patches]:
        """Takes a video's next frames; gives the temporal steps they filled, one each.

        Raises:
            InputError: a frame of another size than the first; the state has not changed.
        """
        source = state.source or (_checked(frames[0]).shape[:2] if frames else None)
        for frame in frames:
            if _checked(frame).shape[:2] != source:
                raise InputError(
                    f"a frame of {frame.shape[0]} × {frame.shape[1]} pixels in a video of {source}"
                )
        if frames and state.size is None:
            state.size, state.source = self._scaled_size(frames[0], self.video_bounds), source
        steps = []
        for frame in frames:
            assert state.size is not None
            state.pending.append(scaled(frame, state.size))
            if len(state.pending) == self.config.temporal_patch_size:
                steps.append(self._cut(state.pending))
                state.pending = []
        return steps

    def flush(self, state: VideoState) -> list[Patches]:
        """The video is over: its last step, if a frame is left, filled up with that frame."""
        steps = [self._cut(state.pending)] if state.pending else []
        state.reset()
        return steps

    def _scaled_size(self, image: RGB, bounds: PixelBounds) -> tuple[int, int]:
        side = self.config.patch_size * self.config.spatial_merge_size
        return fitted_size(image.shape[0], image.shape[1], side, bounds)

    def _cut(self, frames: Sequence[RGB]) -> Patches:
        """The patches of one temporal step, its last frame repeated until the step is full."""
        depth = self.config.temporal_patch_size
        frames = [*frames, *[frames[-1]] * (depth - len(frames))]
        patch, merge = self.config.patch_size, self.config.spatial_merge_size
        pixels = (np.stack(frames).astype(np.float32) / np.float32(255.0) - _MEAN) / _DEVIATION
        rows, columns = pixels.shape[1] // patch, pixels.shape[2] // patch
        parts = torch.from_numpy(pixels).view(
            depth, rows // merge, merge, patch, columns // merge, merge, patch, 3
        )  # frame, group row, row in group, y, group column, column in group, x, channel
        parts = parts.permute(1, 4, 2, 5, 7, 0, 3, 6)
        return Patches(values=parts.reshape(rows * columns, -1), grid=(1, rows, columns))


def fitted_size(rows: int, columns: int, side: int, bounds: PixelBounds) -> tuple[int, int]:
    """The size to scale to: multiples of `side`, within the bounds, the aspect kept where possible.

    Raises:
        InputError: one side is more than 200 times the other.
    """
    if max(rows, columns) > _LONGEST_ASPECT * min(rows, columns):
        raise InputError(f"a picture of {rows} × {columns} is beyond 1:{_LONGEST_ASPECT} in aspect")
    fitted = round(rows / side) * side, round(columns / side) * side
    if fitted[0] * fitted[1] > bounds.max_pixels:
        shrink = math.sqrt(rows * columns / bounds.max_pixels)
        return (
            max(side, math.floor(rows / shrink / side) * side),
            max(side, math.floor(columns / shrink / side) * side),
        )
    if fitted[0] * fitted[1] < bounds.min_pixels:
        grow = math.sqrt(bounds.min_pixels / (rows * columns))
        return (
            math.ceil(rows * grow / side) * side,
            math.ceil(columns * grow / side) * side,
        )
    return fitted


def load_image_bounds(directory: str | Path) -> PixelBounds:
    """The bounds a checkpoint's preprocessor_config.json gives; `IMAGE_BOUNDS` where it has none.

    Raises:
        CheckpointError: the file is there and does not give whole numbers that can be bounds.
    """
    path = Path(directory) / "preprocessor_config.json"
    if not path.exists():
        return IMAGE_BOUNDS
    try:
        data = json.loads(path.read_bytes())
        size = data.get("size") or {}
        fewest, most = IMAGE_BOUNDS.min_pixels, IMAGE_BOUNDS.max_pixels
        return PixelBounds(
            min_pixels=_first_of(data.get("min_pixels"), size.get("shortest_edge"), fewest),
            max_pixels=_first_of(data.get("max_pixels"), size.get("longest_edge"), most),
        )
    except (OSError, ValueError, AttributeError, TypeError, RecursionError, ConfigError) as error:
        raise CheckpointError(f"{path} does not give pixel bounds: {error}") from None


def _first_of(*values: Any) -> int:
    return int(next(value for value in values if value is not None))


def _checked(image: RGB) -> RGB:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(
            f"a picture must be uint8 [rows, columns, 3], got {image.dtype} {list(image.shape)}"
        )
    return image


def scaled(image: RGB, size: tuple[int, int]) -> RGB:
    """The picture at `size` (rows, columns)."""
    rows, columns = size
    return np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BICUBIC))
