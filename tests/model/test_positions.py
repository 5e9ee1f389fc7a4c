from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from model.audio_encoder import audio_tokens
from model.errors import InputError
from model.positions import PositionCursor, clip_windows, rope_index
from tests.model import tiny

CONFIG = tiny.config().thinker
VISION, SOUND = CONFIG.vision_start_token_id, CONFIG.audio_start_token_id
VISION_END, SOUND_END = CONFIG.vision_end_token_id, CONFIG.audio_end_token_id


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One piece of a prompt; `grid` counts merged rows and columns."""

    kind: str
    tokens: int = 0
    mel_frames: int = 0
    steps: int = 1
    rows: int = 1
    columns: int = 1
    seconds_per_step: float = 1.0

    @property
    def grid(self) -> tuple[int, int, int]:
        return (self.steps, 2 * self.rows, 2 * self.columns)

    @property
    def windows(self) -> list[tuple[int, int]]:
        per_step = self.rows * self.columns
        audio = audio_tokens(self.mel_frames)
        return clip_windows(self.steps, per_step, self.seconds_per_step, audio, CONFIG)

    def ids(self) -> list[int]:
        area = self.rows * self.columns
        if self.kind == "text":
            return [7] * self.tokens
        if self.kind == "audio":
            return [SOUND, *[CONFIG.audio_token_index] * audio_tokens(self.mel_frames), SOUND_END]
        if self.kind == "image":
            return [VISION, *[CONFIG.image_token_index] * (area * self.steps), VISION_END]
        if self.kind == "video":
            return [VISION, *[CONFIG.video_token_index] * (area * self.steps), VISION_END]
        inside: list[int] = []
        for video, audio in self.windows:
            inside += [CONFIG.video_token_index] * video + [CONFIG.audio_token_index] * audio
        return [VISION, SOUND, *inside, SOUND_END, VISION_END]


def pieces_of(*kinds: str, longest_step_s: float = 2.0) -> st.SearchStrategy[list[Piece]]:
    side = st.integers(1, 4)
    piece = st.builds(
        Piece,
        kind=st.sampled_from(kinds),
        tokens=st.integers(1, 5),
        mel_frames=st.integers(3, 700),
        steps=st.integers(1, 6),
        rows=side,
        columns=side,
        seconds_per_step=st.floats(0.0625, longest_step_s, width=32),
    )
    return st.lists(piece, min_size=1, max_size=6)


def ours(pieces: list[Piece]) -> torch.Tensor:
    clips = [piece for piece in pieces if piece.kind in ("video", "clip")]
    return rope_index(
        [token for piece in pieces for token in piece.ids()],
        CONFIG,
        images=[piece.grid for piece in pieces if piece.kind == "image"],
        videos=[clip.grid for clip in clips],
        seconds_per_step=[clip.seconds_per_step for clip in clips],
    )


@pytest.fixture(scope="module")
def reference() -> Qwen2_5OmniThinkerForConditionalGeneration:
    return Qwen2_5OmniThinkerForConditionalGeneration(tiny.reference_config().thinker_config)


def theirs(
    reference: Qwen2_5OmniThinkerForConditionalGeneration, pieces: list[Piece]
) -> torch.Tensor:
    ids = torch.tensor([[token for piece in pieces for token in piece.ids()]])
    images = [piece.grid for piece in pieces if piece.kind == "image"]
    clips = [piece for piece in pieces if piece.kind in ("video", "clip")]
    positions, _ = reference.model.get_rope_index(
        ids,
        torch.tensor(images) if images else None,
        torch.tensor([clip.grid for clip in clips]) if clips else None,
        torch.ones_like(ids),
        use_audio_in_video=any(piece.kind == "clip" for piece in pieces),
        audio_seqlens=torch.tensor(
            [piece.mel_frames for piece in pieces if piece.kind in ("audio", "clip")]
        ),
        second_per_grids=torch.tensor([clip.seconds_per_step for clip in clips]),
    )
    return positions[:, 0]


@given(pieces=pieces_of("text", "audio", "image", "video"))
@settings(max_examples=60, deadline=None)
def test_parity_on_text_audio_images_and_silent_videos(reference, pieces):
    assert torch.equal(ours(pieces), theirs(reference, pieces))


@given(pieces=pieces_of("text", "audio", "image", "clip", longest_step_s=7.0))
@settings(max_examples=60, deadline=None)
def test_parity_on_videos_with_their_sound(reference, pieces):
    assert torch.equal(ours(pieces), theirs(reference, pieces))


def clip_positions(cursor: PositionCursor, piece: Piece) -> list[torch.Tensor]:
    """A clip as it comes live: window by window, video step by step, then the audio."""
    ids = [cursor.open_clip(with_audio=True)]
    for video, audio in piece.windows:
        for _ in range(video // (piece.rows * piece.columns)):
            ids.append(cursor.video((1, *piece.grid[1:]), piece.seconds_per_step))
        ids += [cursor.audio(audio // 2), cursor.audio(audio - audio // 2)]
    return [*ids, cursor.close_clip()]


def piecewise(pieces: list[Piece], cut: int) -> torch.Tensor:
    """The same prompt through a cursor, in pieces of at most `cut` tokens, with a rewound guess."""
    cursor = PositionCursor.of(CONFIG)
    ids = [torch.zeros(3, 0, dtype=torch.int64)]
    for piece in pieces:
        cursor.copy().text(99)
        if piece.kind == "text":
            for start in range(0, piece.tokens, cut):
                ids.append(cursor.text(min(cut, piece.tokens - start)))
        elif piece.kind == "audio":
            left = audio_tokens(piece.mel_frames)
            ids.append(cursor.text(1))
            for start in range(0, left, cut):
                ids.append(cursor.audio(min(cut, left - start)))
            ids.append(cursor.text(1))
        elif piece.kind == "image":
            ids += [cursor.text(1), cursor.image(piece.grid), cursor.text(1)]
        elif piece.kind == "video":
            ids.append(cursor.open_clip(with_audio=False))
            for _ in range(piece.steps):
                cursor.copy().video((3, *piece.grid[1:]), 5.0)
                ids.append(cursor.video((1, *piece.grid[1:]), piece.seconds_per_step))
            ids.append(cursor.close_clip())
        else:
            ids += clip_positions(cursor, piece)
    return torch.cat(ids, dim=1)


@given(pieces=pieces_of("text", "audio", "image", "video", "clip"), cut=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_piece_by_piece_equals_whole(pieces, cut):
    assert torch.equal(piecewise(pieces, cut), ours(pieces))


def test_a_clip_alternates_in_two_second_windows():
    # 2.5 steps a window of 2 s at 0.8 s a step; 25 audio tokens a second.
    assert clip_windows(6, 4, 0.8, 120, CONFIG) == [(12, 50), (8, 50), (4, 20)]
    assert clip_windows(2, 4, 1.0, 10, CONFIG) == [(8, 10)]
    assert clip_windows(1, 4, 1.0, 60, CONFIG) == [(4, 50), (0, 10)]


def test_a_second_of_video_is_25_positions():
    cursor = PositionCursor.of(CONFIG)
    cursor.text(10)
    cursor.open_clip(with_audio=False)
    ids = cursor.video((3, 4, 2), 1.0)
    assert ids.tolist() == [
        [11, 11, 36, 36, 61, 61],
        [11, 12, 11, 12, 11, 12],
        [11, 11, 11, 11, 11, 11],
    ]
    assert cursor.close_clip().tolist() == [[62]] * 3
    assert cursor.next == 63


@pytest.mark.parametrize(
    ("ids", "grids", "message"),
    [
        ([VISION, 191, VISION_END], {}, "more image placeholders"),
        ([VISION, 191, VISION_END], {"images": [(1, 4, 2)]}, "1 placeholders of token 191 at 1"),
        ([VISION, 191, VISION_END], {"images": [(1, 3, 2)]}, "fill 2s"),
        ([VISION, 191, VISION_END], {"images": [(0, 2, 2)]}, "must be positive"),
        ([7, 7], {"images": [(1, 2, 2)]}, "1 images or videos have no placeholder"),
        ([VISION, SOUND, 192, SOUND_END], {}, "starts at 0 has no end"),
        (
            [VISION, SOUND, 192, SOUND_END, VISION_END],
            {"videos": [(2, 2, 2)], "seconds_per_step": [1.0]},
            "1 video placeholders for a video of 2",
        ),
    ],
)
def test_placeholders_that_do_not_fit_are_refused(ids, grids, message):
    with pytest.raises(InputError, match=message):
        rope_index(ids, CONFIG, **grids)
