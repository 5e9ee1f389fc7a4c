"""A whole conversation with its media to what the Thinker's offline pass takes.

Knows messages of text, sound, images and videos, the order of their placeholders, and how encoder
outputs take the placeholders' places. Does not know decoding, caches or streaming: it is the
reference that the pieces of a live conversation are held against.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.audio_encoder import audio_tokens
from model.chat import Chat, Role
from model.config import Modality, OmniConfig
from model.errors import InputError
from model.mel import LogMel, mel_frames
from model.positions import clip_windows, rope_index
from model.thinker import Thinker
from model.tokenizer import Tokenizer
from model.vision_input import RGB, Patches, VisionInput


@dataclass(frozen=True, kw_only=True)
class Text:
    """Words."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Audio:
    """Sound: 16 kHz mono float samples [n] in -1..1."""

    samples: Tensor


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A still image [rows, columns, 3] uint8."""

    image: RGB


@dataclass(frozen=True, kw_only=True)
class Video:
    """Frames sampled at an even pace, and the 16 kHz sound [n] to be heard with them, if any."""

    frames: Sequence[RGB]
    frames_per_second: float = 2.0
    sound: Tensor | None = None


Part = Text | Audio | Picture | Video


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message; only a user's has parts other than text."""

    role: Role
    parts: Sequence[Part]


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What the Thinker's offline pass takes.

    Attributes:
        ids: token ids, media as placeholders.
        position_ids: [3, len(ids)].
        mels: log-mel frames [bins, T] of each sound, in order.
        images: patches of each image, in order.
        videos: patches of each video, in order.
        seconds_per_step: of each video.
    """

    ids: list[int]
    position_ids: Tensor
    mels: list[Tensor]
    images: list[Patches]
    videos: list[Patches]
    seconds_per_step: list[float]


@dataclass(slots=True)
class _Draft:
    ids: list[int] = field(default_factory=list)
    mels: list[Tensor] = field(default_factory=list)
    images: list[Patches] = field(default_factory=list)
    videos: list[Patches] = field(default_factory=list)
    seconds_per_step: list[float] = field(default_factory=list)


class PromptBuilder:
    """Builds prompts for one checkpoint.

    Args:
        config: the checkpoint's.
        tokenizer: the checkpoint's.
        vision: how pictures are cut; the published bounds by default.
        as_streamed: hear sounds with the running maximum of the streamed log-mel form instead of
            the published whole-clip one.
    """

    def __init__(
        self,
        config: OmniConfig,
        tokenizer: Tokenizer,
        *,
        vision: VisionInput | None = None,
        as_streamed: bool = False,
    ) -> None:
        audio = config.thinker.audio
        self._config = config
        self._chat = Chat(tokenizer)
        self._log_mel = LogMel(audio.num_mel_bins, audio.block_frames)
        self._as_streamed = as_streamed
        self._vision = vision
        if vision is None and config.thinker.vision is not None:
            self._vision = VisionInput(config.thinker.vision)

    def build(self, messages: Sequence[Message], *, reply: bool = True) -> Prompt:
        """Makes the prompt of a conversation.

        Args:
            messages: in order; the checkpoint's system prompt comes first if none does.
            reply: end with the opening of the assistant's message.

        Raises:
            InputError: media that the checkpoint does not take, or that cannot be encoded.
        """
        draft = _Draft()
        if not messages or messages[0].role != "system":
            draft.ids += self._chat.system(self._config.omnilive.system_prompt)
        for message in messages:
            draft.ids += self._chat.opening(message.role)
            for part in message.parts:
                self._add(draft, part, message.role)
            draft.ids += self._chat.closing()
        if reply:
            draft.ids += self._chat.assistant_open()
        return self._finished(draft)

    def _finished(self, draft: _Draft) -> Prompt:
        positions = rope_index(
            draft.ids,
            self._config.thinker,
            images=[image.grid for image in draft.images],
            videos=[video.grid for video in draft.videos],
            seconds_per_step=draft.seconds_per_step,
        )
        return Prompt(
            ids=draft.ids,
            position_ids=positions,
            mels=draft.mels,
            images=draft.images,
            videos=draft.videos,
            seconds_per_step=draft.seconds_per_step,
        )

    def _add(self, draft: _Draft, part: Part, role: Role) -> None:
        if isinstance(part, Text):
            draft.ids += self._chat.text(part.text)
            return
        if role != "user":
            raise InputError(f"a {role} message takes text only, got {type(part).__name__}")
        if isinstance(part, Audio):
            self._add_audio(draft, part.samples)
        elif isinstance(part, Picture):
            self._add_picture(draft, part)
        else:
            self._add_video(draft, part)

    def _add_audio(self, draft: _Draft, samples: Tensor) -> None:
        tokens = self._heard(draft, samples)
        placeholder = self._config.thinker.audio_token_index
        draft.ids += [*self._chat.audio_open(), *[placeholder] * tokens, *self._chat.audio_close()]

    def _heard(self, draft: _Draft, samples: Tensor) -> int:
        """Adds a sound's features; returns how many positions it takes."""
        self._require("audio")
        log_mel = self._log_mel.running if self._as_streamed else self._log_mel.forward
        draft.mels.append(log_mel(samples))
        tokens = audio_tokens(mel_frames(len(samples)))
        if not tokens:
            raise InputError(f"a sound of {len(samples)} samples is too short; 321 make a position")
        return tokens

    def _add_picture(self, draft: _Draft, picture: Picture) -> None:
        patches = self._seeing("image").image(picture.image)
        draft.images.append(patches)
        placeholders = [self._config.thinker.image_token_index] * self._vectors(patches)
        draft.ids += [*self._chat.vision_open(), *placeholders, *self._chat.vision_close()]

    def _add_video(self, draft: _Draft, video: Video) -> None:
        if not video.frames_per_second > 0:
            raise InputError(f"frames_per_second must be above 0, got {video.frames_per_second}")
        vision = self._seeing("video")
        patches = vision.video(video.frames)
        seconds = vision.config.temporal_patch_size / video.frames_per_second
        draft.videos.append(patches)
        draft.seconds_per_step.append(seconds)
        thinker = self._config.thinker
        draft.ids += self._chat.vision_open()
        if video.sound is None:
            draft.ids += [thinker.video_token_index] * self._vectors(patches)
        else:
            heard = self._heard(draft, video.sound)
            steps = patches.grid[0]
            draft.ids += self._chat.audio_open()
            per_step = self._vectors(patches) // steps
            for seen, sounds in clip_windows(steps, per_step, seconds, heard, thinker):
                draft.ids += [thinker.video_token_index] * seen
                draft.ids += [thinker.audio_token_index] * sounds
            draft.ids += self._chat.audio_close()
        draft.ids += self._chat.vision_close()

    def _require(self, modality: Modality) -> None:
        inputs = self._config.omnilive.inputs
        if modality not in inputs:
            raise InputError(f"this checkpoint takes no {modality}; it takes {', '.join(inputs)}")

    def _seeing(self, modality: Modality) -> VisionInput:
        self._require(modality)
        assert self._vision is not None, "a config that takes pictures has a vision section"
        return self._vision

    def _vectors(self, patches: Patches) -> int:
        vision = self._config.thinker.vision
        assert vision is not None
        return len(patches.values) // vision.spatial_merge_size**2


def embed_prompt(thinker: Thinker, prompt: Prompt) -> Tensor:
    """The Thinker's inputs [1, len(ids), D]: text embeddings, encoder outputs at placeholders."""
    config = thinker.config
    device = thinker.lm_head.weight.device
    ids = torch.tensor(prompt.ids, device=device)
    embeds = thinker.embed(ids)  # [T, D]
    media = []
    if prompt.mels:
        heard = [thinker.audio_tower(mel.to(device)) for mel in prompt.mels]
        media.append((config.audio_token_index, torch.cat(heard)))
    for placeholder, pictures in (
        (config.image_token_index, prompt.images),
        (config.video_token_index, prompt.videos),
    ):
        if pictures:
            assert thinker.visual is not None, (
                "the builder refuses pictures where there is no tower"
            )
            values = torch.cat([picture.values for picture in pictures]).to(device)
            grids = [picture.grid for picture in pictures]
            media.append((placeholder, thinker.visual(values, grids)))
    for placeholder, vectors in media:
        places = (ids == placeholder).nonzero()[:, 0]
        embeds = embeds.index_copy(0, places, vectors.to(embeds.dtype))
    return embeds[None]
