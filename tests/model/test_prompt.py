"""Whole multimodal prompts: our Thinker and the reference's on one random state dict.

Tolerances are those of float32 sums in another order, over three decoder layers.
"""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.chat import Chat
from model.config import OmniConfig
from model.errors import InputError
from model.mel import LogMel
from model.positions import PositionCursor
from model.prompt import (
    Audio,
    Message,
    Part,
    Picture,
    Prompt,
    PromptBuilder,
    Text,
    Video,
    embed_prompt,
)
from model.thinker import Thinker
from model.tokenizer import Tokenizer
from model.vision_input import PixelBounds, VisionInput
from tests.model import text, tiny

HIDDEN = {"rtol": 1e-4, "atol": 1e-4}
LOGITS = {"rtol": 1e-4, "atol": 2e-4}
TOKENIZER = Tokenizer(text.backend())
BOUNDS = PixelBounds(min_pixels=56 * 56, max_pixels=140 * 140)


def published_dict() -> dict[str, Any]:
    """The tiny config, its ids those of the test tokenizer."""
    data = tiny.config_dict()
    thinker = data["thinker_config"]
    thinker["text_config"]["vocab_size"] = TOKENIZER.vocabulary_tokens
    for key, name in {
        "audio_token_index": "<|AUDIO|>",
        "image_token_index": "<|IMAGE|>",
        "video_token_index": "<|VIDEO|>",
        "audio_start_token_id": "<|audio_bos|>",
        "audio_end_token_id": "<|audio_eos|>",
        "vision_start_token_id": "<|vision_bos|>",
        "vision_end_token_id": "<|vision_eos|>",
    }.items():
        thinker[key] = TOKENIZER.control(name)
    return data


CONFIG = OmniConfig.from_dict(published_dict())
assert CONFIG.thinker.vision is not None
VISION = VisionInput(CONFIG.thinker.vision, image_bounds=BOUNDS, video_bounds=BOUNDS)
BUILDER = PromptBuilder(CONFIG, TOKENIZER, vision=VISION)


@pytest.fixture(scope="module")
def reference() -> Any:
    from transformers import Qwen2_5OmniThinkerForConditionalGeneration

    config = tiny.reference_config(published_dict()).thinker_config
    return tiny.randomise(Qwen2_5OmniThinkerForConditionalGeneration(config))


@pytest.fixture(scope="module")
def thinker(reference: Any) -> Thinker:
    made = Thinker(CONFIG.thinker)
    state = {f"thinker.{name}": tensor for name, tensor in reference.state_dict().items()}
    state = {tiny.published_name(name): tensor for name, tensor in state.items()}
    tiny.load_part(made, state, "thinker.")
    return made


def sound(samples: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(samples, generator=torch.Generator().manual_seed(seed)) * 0.1


def frames(count: int, rows: int, columns: int, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return list(random.integers(0, 256, (count, rows, columns, 3), dtype=np.uint8))


def user(*parts: Part) -> Message:
    return Message(role="user", parts=parts)


PICTURE = Picture(image=frames(1, 80, 130)[0])
SILENT = Video(frames=frames(5, 60, 100), frames_per_second=2.0)
SOUNDING = Video(frames=frames(9, 60, 60), frames_per_second=2.0, sound=sound(81_234, seed=3))
ANSWER = Message(role="assistant", parts=[Text(text="I see.")])

CONVERSATIONS = {
    "text": [user(Text(text="What is the capital of France?"))],
    "audio of one position": [user(Audio(samples=sound(321)))],
    "audio of odd lengths": [
        user(Audio(samples=sound(4_567)), Text(text="and"), Audio(samples=sound(70_001, seed=1)))
    ],
    "image": [user(Text(text="See"), PICTURE)],
    "video": [user(SILENT, Text(text="What is this?"))],
    "video with its audio": [user(SOUNDING)],
    "several turns": [
        user(Audio(samples=sound(12_345))),
        ANSWER,
        user(PICTURE, Text(text="and this?")),
        ANSWER,
        user(Text(text="Bye.")),
    ],
    "all of them": [
        Message(role="system", parts=[Text(text="Be brief.")]),
        user(Text(text="One"), Audio(samples=sound(33_333)), PICTURE),
        ANSWER,
        user(SOUNDING, Text(text="two")),
        ANSWER,
        user(Picture(image=frames(1, 40, 40)[0]), SOUNDING, Audio(samples=sound(999))),
    ],
}


def reference_inputs(prompt: Prompt) -> dict[str, Any]:
    """Our prompt as the reference's forward takes it."""
    ids = torch.tensor([prompt.ids])
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if prompt.mels:
        longest = max(mel.shape[1] for mel in prompt.mels)
        pad = torch.nn.functional.pad
        inputs["input_features"] = torch.stack(
            [pad(mel, (0, longest - mel.shape[1])) for mel in prompt.mels]
        )
        inputs["feature_attention_mask"] = torch.stack(
            [(torch.arange(longest) < mel.shape[1]).long() for mel in prompt.mels]
        )
    if prompt.images:
        inputs["pixel_values"] = torch.cat([image.values for image in prompt.images])
        inputs["image_grid_thw"] = torch.tensor([image.grid for image in prompt.images])
    if prompt.videos:
        inputs["pixel_values_videos"] = torch.cat([video.values for video in prompt.videos])
        inputs["video_grid_thw"] = torch.tensor([video.grid for video in prompt.videos])
        inputs["video_second_per_grid"] = torch.tensor(prompt.seconds_per_step)
    return inputs


@pytest.mark.parametrize("name", CONVERSATIONS)
@torch.no_grad()
def test_parity_of_hidden_states_and_logits(thinker, reference, name):
    prompt = BUILDER.build(CONVERSATIONS[name])
    sounding = any(
        isinstance(part, Video) and part.sound is not None
        for message in CONVERSATIONS[name]
        for part in message.parts
    )
    reference.model.rope_deltas = None
    theirs = reference(
        **reference_inputs(prompt), use_audio_in_video=sounding, output_hidden_states=True
    )
    ours = thinker(embed_prompt(thinker, prompt), prompt.position_ids[:, None])
    torch.testing.assert_close(ours.hidden, theirs.hidden_states[-1], **HIDDEN)
    torch.testing.assert_close(ours.logits, theirs.logits, **LOGITS)
    assert torch.equal(ours.logits.argmax(-1), theirs.logits.argmax(-1))


def test_a_video_alternates_with_its_sound_every_two_seconds():
    prompt = BUILDER.build([Message(role="system", parts=[]), user(SOUNDING)], reply=False)
    seen, heard = CONFIG.thinker.video_token_index, CONFIG.thinker.audio_token_index
    start = prompt.ids.index(CONFIG.thinker.vision_start_token_id)
    runs: list[tuple[int, int]] = []
    for id_ in prompt.ids[start + 2 :]:
        if id_ not in (seen, heard):
            break
        if runs and runs[-1][0] == id_:
            runs[-1] = (id_, runs[-1][1] + 1)
        else:
            runs.append((id_, 1))
    steps, rows, columns = prompt.videos[0].grid
    per_step = rows * columns // 4
    assert steps == 5  # nine frames: the last is seen twice
    assert runs == [
        (seen, 2 * per_step),
        (heard, 50),
        (seen, 2 * per_step),
        (heard, 50),
        (seen, per_step),
        (heard, 27),
    ]


def test_sounds_can_be_heard_as_a_live_conversation_hears_them():
    quiet_then_loud = torch.cat([torch.zeros(40_000), sound(40_000) * 5])
    messages = [user(Audio(samples=quiet_then_loud))]
    live = PromptBuilder(CONFIG, TOKENIZER, vision=VISION, as_streamed=True).build(messages)
    whole = BUILDER.build(messages)
    assert live.ids == whole.ids
    assert not torch.equal(live.mels[0], whole.mels[0])


@given(cuts=st.lists(st.integers(0, 70_001), max_size=6))
@settings(max_examples=10, deadline=None)
@torch.no_grad()
def test_a_turn_that_comes_piece_by_piece_equals_the_whole_prompt(thinker, cuts):
    """Chat segments, log-mel, encoder and cursor, as a live conversation uses them."""
    spoken = sound(70_001)
    chat, tower, cursor = Chat(TOKENIZER), thinker.audio_tower, PositionCursor.of(CONFIG.thinker)
    before = [*chat.system(CONFIG.omnilive.system_prompt), *chat.user_open(), *chat.audio_open()]
    after = [*chat.audio_close(), *chat.user_close(), *chat.assistant_open()]
    mel = LogMel(CONFIG.thinker.audio.num_mel_bins, CONFIG.thinker.audio.block_frames)
    embeds, positions = [thinker.embed(torch.tensor(before))], [cursor.text(len(before))]
    state = mel.init_state()
    for piece in [*np.split(spoken.numpy(), sorted(cuts)), None]:
        ended = piece is None
        blocks = mel.flush(state) if ended else mel.step(state, torch.from_numpy(piece))
        for vectors in tower.encode_blocks(blocks):
            embeds.append(vectors)
            positions.append(cursor.audio(len(vectors)))
    embeds.append(thinker.embed(torch.tensor(after)))
    positions.append(cursor.text(len(after)))

    live = PromptBuilder(CONFIG, TOKENIZER, vision=VISION, as_streamed=True)
    whole = live.build([user(Audio(samples=spoken))])
    assert torch.equal(torch.cat(positions, dim=1), whole.position_ids)
    torch.testing.assert_close(torch.cat(embeds)[None], embed_prompt(thinker, whole), **HIDDEN)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Audio(samples=sound(1000)), "takes no audio; it takes text"),
        (PICTURE, "takes no image"),
        (SILENT, "takes no video"),
    ],
)
def test_what_a_checkpoint_does_not_take_is_refused(part, message):
    config = OmniConfig.from_dict({**published_dict(), "omnilive": {"inputs": ["text"]}})
    builder = PromptBuilder(config, TOKENIZER)
    assert builder.build([user(Text(text="hello"))]).ids
    with pytest.raises(InputError, match=message):
        builder.build([user(part)])


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (user(Audio(samples=sound(320))), "320 samples is too short"),
        (user(Video(frames=[], frames_per_second=2.0)), "at least 1 frame"),
        (user(Video(frames=SILENT.frames, frames_per_second=0.0)), "above 0, got 0"),
        (Message(role="assistant", parts=[PICTURE]), "assistant message takes text only"),
    ],
)
def test_media_that_cannot_be_a_prompt_are_refused(message, words):
    with pytest.raises(InputError, match=words):
        BUILDER.build([message])
