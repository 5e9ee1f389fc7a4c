"""TMRoPE: the temporal, height and width position of every token in the Thinker's sequence.

Knows how text, audio, images, videos and videos with their sound are numbered, for a whole prompt
(`rope_index`) and piece by piece as a conversation grows (`PositionCursor`); both give the same
ids. Does not know embeddings, nor what fills the placeholders.

The rules (Qwen2.5-Omni technical report, arXiv 2503.20215, section 2.2): text and audio count up by
one in all three rows, audio by one each 40 ms. An image or video keeps its row and column in the
height and width rows and its time, 25 ids a second, in the temporal one, all from a common base.
What follows any piece starts one above the piece's highest id. A video with its sound is cut into
windows of `seconds_per_chunk`, each window's video before its audio, both counted from one base;
its two opening markers share a position and so do its two closing ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import torch
from torch import Tensor

from model.errors import InputError
from model.figures import ThinkerConfig

T = TypeVar("T")

Grid = tuple[int, int, int]  # temporal steps, rows of patches, columns of patches


@dataclass(slots=True)
class _Clip:
    """A video that is still coming: where it began and what of it has been numbered."""

    base: int
    with_audio: bool
    steps: int = 0
    audio_tokens: int = 0


@dataclass(slots=True)
class PositionCursor:
    """Numbers a conversation piece by piece; every method returns ids [3, n] and moves on.

    `next` is the position that a text token would get. It is one above the last piece, which is one
    above everything so far, except behind a video taller than its last audio is long: there the
    reference's generate() starts decoding at `ids.max() + 1` instead.
    """

    ids_per_second: int
    merge_size: int
    next: int = 0
    _clip: _Clip | None = None

    @classmethod
    def of(cls, config: ThinkerConfig) -> Self:
        """A cursor at the start of an empty sequence."""
        merge_size = config.vision.spatial_merge_size if config.vision else 1
        return cls(ids_per_second=config.position_id_per_seconds, merge_size=merge_size)

    def copy(self) -> Self:
        """A cursor in the same place, to come back to after a guess."""
        clip = self._clip
        if clip is not None:
            clip = _Clip(clip.base, clip.with_audio, clip.steps, clip.audio_tokens)
        return type(self)(self.ids_per_second, self.merge_size, self.next, clip)

    def text(self, tokens: int) -> Tensor:
        """Ids of `tokens` text tokens."""
        assert self._clip is None, "text inside an open clip"
        return self._run(self.next, tokens)

    def audio(self, tokens: int) -> Tensor:
        """Ids of the next `tokens` audio tokens, of a clip with sound if one is open."""
        if self._clip is None:
            return self._run(self.next, tokens)
        assert self._clip.with_audio, "audio inside a clip that was opened without"
        first = self._clip.base + self._clip.audio_tokens
        self._clip.audio_tokens += tokens
        return self._run(first, tokens)

    def image(self, grid: Grid) -> Tensor:
        """Ids of an image of `grid` patches (before merging)."""
        assert self._clip is None, "an image inside an open clip"
        return self._seen(grid, self.next, torch.arange(grid[0]) * self.ids_per_second)

    def video(self, grid: Grid, seconds_per_step: float) -> Tensor:
        """Ids of a video's next `grid[0]` temporal steps, or of a whole one if no clip is open."""
        first, base = (self._clip.steps, self._clip.base) if self._clip else (0, self.next)
        times = _step_ids(first, grid[0], seconds_per_step, self.ids_per_second)
        ids = self._seen(grid, base, times)
        if self._clip:
            self._clip.steps += grid[0]
        return ids

    def open_clip(self, *, with_audio: bool) -> Tensor:
        """Ids of the markers that open a video: [3, 1], or [3, 2] when its sound comes along."""
        assert self._clip is None, "a clip inside an open clip"
        ids = self._marker(with_audio)
        self._clip = _Clip(base=self.next, with_audio=with_audio)
        return ids

    def close_clip(self) -> Tensor:
        """Ids of the markers that close the open video: as many as opened it."""
        assert self._clip is not None, "no open clip"
        with_audio, self._clip = self._clip.with_audio, None
        return self._marker(with_audio)

    def _marker(self, with_audio: bool) -> Tensor:
        ids = torch.full((3, 2 if with_audio else 1), self.next)
        self.next += 1
        return ids

    def _run(self, first: int, tokens: int) -> Tensor:
        if tokens:
            self.next = first + tokens
        return torch.arange(first, first + tokens).expand(3, -1)

    def _seen(self, grid: Grid, base: int, times: Tensor) -> Tensor:
        ids = base + _grid_ids(grid, times, self.merge_size)
        if ids.shape[1]:
            self.next = int(ids.max()) + 1
        return ids


def rope_index(
    ids: Sequence[int],
    config: ThinkerConfig,
    *,
    images: Sequence[Grid] = (),
    videos: Sequence[Grid] = (),
    seconds_per_step: Sequence[float] = (),
) -> Tensor:
    """Numbers a whole prompt.

    Args:
        ids: token ids, media as their placeholders. Whether a video brings its sound is read off
            its markers: the vision start is then followed by the audio start.
        config: placeholder ids and rates.
        images: patch grid of each image, in order.
        videos: patch grid of each video, in order.
        seconds_per_step: of each video, the time between two temporal steps.

    Returns:
        Position ids [3, len(ids)].

    Raises:
        InputError: placeholders and grids do not fit each other.

    Source: `get_rope_index` of transformers, for one sequence without padding.
    """
    cursor = PositionCursor.of(config)
    pieces = [torch.zeros(3, 0, dtype=torch.int64)]
    grids, clips = iter(images), iter(zip(videos, seconds_per_step, strict=True))
    at = 0
    while at < len(ids):
        end = _piece_end(ids, at, config)
        pieces.append(_piece(cursor, ids[at:end], grids, clips, config))
        if pieces[-1].shape[1] != end - at:
            raise InputError(
                f"{end - at} placeholders of token {ids[at]} at {at} for media of "
                f"{pieces[-1].shape[1]} positions"
            )
        at = end
    if (left := len(list(grids)) + len(list(clips))) > 0:
        raise InputError(f"{left} images or videos have no placeholder in the prompt")
    return torch.cat(pieces, dim=1)


def clip_windows(
    steps: int,
    tokens_per_step: int,
    seconds_per_step: float,
    audio_tokens: int,
    config: ThinkerConfig,
) -> list[tuple[int, int]]:
    """How a video and its sound alternate: (video tokens, audio tokens) of each window.

    Source: `get_chunked_index` of transformers. As there, a token further ahead than one window
    opens the next window only; that happens where steps are longer than windows.
    """
    rate = config.position_id_per_seconds
    width = rate * config.seconds_per_chunk
    times = [
        step * seconds_per_step * rate for step in range(steps) for _ in range(tokens_per_step)
    ]
    video, audio = _window_counts(times, width), _window_counts(range(audio_tokens), width)
    windows = max(len(video), len(audio))
    video += [0] * (windows - len(video))
    audio += [0] * (windows - len(audio))
    return list(zip(video, audio, strict=True))


def step_window(step: int, previous: int, *, seconds_per_step: float, config: ThinkerConfig) -> int:
    """The window of a video's temporal step, where the step before is in window `previous`.

    The same as `clip_windows` says of the whole.
    """
    rate = config.position_id_per_seconds
    width = rate * config.seconds_per_chunk
    return previous + (step * seconds_per_step * rate >= (previous + 1) * width)


def _window_counts(times: Sequence[float], width: int) -> list[int]:
    counts = [0]
    for time in times:
        if time >= len(counts) * width:
            counts.append(0)
        counts[-1] += 1
    return counts


def _step_ids(first: int, steps: int, seconds_per_step: float, ids_per_second: int) -> Tensor:
    """Temporal ids of steps, rounded down; in float32, where the reference rounds."""
    seconds = torch.tensor(seconds_per_step, dtype=torch.float32)
    return (torch.arange(first, first + steps) * seconds * ids_per_second).long()


def _grid_ids(grid: Grid, times: Tensor, merge_size: int) -> Tensor:
    """Ids [3, steps × rows × columns] of merged patches, rows and columns counted from 0."""
    _, patch_rows, patch_columns = grid
    if min(grid) < 1 or patch_rows % merge_size or patch_columns % merge_size:
        raise InputError(f"grid {grid} must be positive, and rows and columns fill {merge_size}s")
    rows = torch.arange(patch_rows // merge_size)
    columns = torch.arange(patch_columns // merge_size)
    return torch.cartesian_prod(times, rows, columns).T


def _piece(
    cursor: PositionCursor,
    tokens: Sequence[int],
    grids: Iterator[Grid],
    clips: Iterator[tuple[Grid, float]],
    config: ThinkerConfig,
) -> Tensor:
    """Ids of one piece, as `_piece_end` delimits it."""
    if tokens[0] == config.image_token_index:
        return cursor.image(_upcoming(grids, "image"))
    if tokens[0] == config.video_token_index:
        return cursor.video(*_upcoming(clips, "video"))
    if _opens_clip_with_audio(tokens, 0, config):
        grid, seconds = _upcoming(clips, "video")
        return _clip_with_audio(cursor, tokens, grid, seconds, config)
    return cursor.text(len(tokens))


def _clip_with_audio(
    cursor: PositionCursor,
    tokens: Sequence[int],
    grid: Grid,
    seconds_per_step: float,
    config: ThinkerConfig,
) -> Tensor:
    """Ids of a video and its sound in the order of their placeholders, markers included."""
    opening = cursor.open_clip(with_audio=True)
    inside = torch.tensor(tokens[2:-2])
    is_video = inside == config.video_token_index
    audio = cursor.audio(int((~is_video).sum()))
    video = cursor.video(grid, seconds_per_step)
    if video.shape[1] != int(is_video.sum()):
        raise InputError(
            f"{int(is_video.sum())} video placeholders for a video of {video.shape[1]} positions"
        )
    ids = torch.empty(3, len(inside), dtype=torch.int64)
    ids[:, is_video] = video
    ids[:, ~is_video] = audio
    # The last token of a piece bears its highest id, and the last piece says where to go on.
    cursor.next = int(ids[:, -1].max()) + 1
    return torch.cat([opening, ids, cursor.close_clip()], dim=1)


def _opens_clip_with_audio(ids: Sequence[int], at: int, config: ThinkerConfig) -> bool:
    opening = [config.vision_start_token_id, config.audio_start_token_id]
    return list(ids[at : at + 2]) == opening


def _piece_end(ids: Sequence[int], at: int, config: ThinkerConfig) -> int:
    """Where the piece that starts at `at` ends: a run of one placeholder, a clip, or text."""
    if _opens_clip_with_audio(ids, at, config):
        for end in range(at + 4, len(ids) + 1):
            if list(ids[end - 2 : end]) == [config.audio_end_token_id, config.vision_end_token_id]:
                return end
        raise InputError(f"the video with audio that starts at {at} has no end")
    seen = (config.image_token_index, config.video_token_index)
    end = at + 1
    if ids[at] in seen:
        while end < len(ids) and ids[end] == ids[at]:
            end += 1
        return end
    while end < len(ids) and ids[end] not in seen and not _opens_clip_with_audio(ids, end, config):
        end += 1
    return end


def _upcoming(media: Iterator[T], kind: str) -> T:
    found = next(media, None)
    if found is None:
        raise InputError(f"the prompt has more {kind} placeholders than {kind}s were given")
    return found
