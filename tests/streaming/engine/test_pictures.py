"""Pictures in the live prompt: the offline prompt's positions, ids and vectors, in its order."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from transformers import (
    Qwen2_5OmniProcessor,
    Qwen2_5OmniThinkerForConditionalGeneration,
    WhisperFeatureExtractor,
)
from transformers.models.qwen2_5_omni.processing_qwen2_5_omni import (
    _get_feat_extract_output_lengths as published_audio_tokens,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from model.chat import Chat
from model.omni import OmniModel
from model.positions import rope_index
from model.prompt import Audio, Message, Part, Picture, Prompt, PromptBuilder, Text, Video
from model.vision_input import IMAGE_BOUNDS, PixelBounds
from streaming.engine.engine import Engine
from streaming.engine.messages import content
from streaming.engine.messages.commands import Command, OpenConversation, UserAudioDrop
from streaming.engine.messages.content import AudioPart, Frame, ImagePart, TextPart, VideoPart
from streaming.engine.messages.events import EngineFault, InputTranscript
from streaming.engine.reading import place_ids
from streaming.engine.scheduler import Stage
from tests import checkpoint
from tests.model import text, tiny
from tests.streaming.engine.driver import (
    SETTINGS,
    Driver,
    Offline,
    Talk,
    assert_holds,
    assert_same_sound,
    speech,
)

TALK = Talk()
ROOMY = dataclasses.replace(SETTINGS, context_tokens=2048)
FPS = 2.0
VAST = PixelBounds(min_pixels=1, max_pixels=16_384 * 28 * 28)


def opened(model: OmniModel, **changed: object) -> Driver:
    driver = Driver(Engine(model, dataclasses.replace(ROOMY, **changed)))
    driver.say(TALK.open())
    return driver


def picture(seed: int, rows: int = 60, columns: int = 80) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (rows // 10, columns // 10, 3), dtype=np.uint8)
    return coarse.repeat(10, axis=0).repeat(10, axis=1)


def frame(pixels: np.ndarray) -> Frame:
    return Frame(pixels=pixels.tobytes(), rows=pixels.shape[0], columns=pixels.shape[1])


def frames_of(seconds: float, fps: float = FPS, **size: int) -> list[np.ndarray]:
    """One for each moment n / fps within the sound."""
    return [picture(n, **size) for n in range(int(np.ceil(seconds * fps)))]


def samples(pcm: bytes) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(pcm, dtype="<f4").copy())


def prompt_of(model: OmniModel, *messages: Message, reply: bool = True) -> Prompt:
    builder = PromptBuilder(model.config, model.tokenizer, as_streamed=True)
    return builder.build(messages, reply=reply)


def continued(model: OmniModel, first: Prompt, tokens: list[int], second: Prompt) -> Prompt:
    """The first prompt, its answer, and the second without its system message."""
    chat = Chat(model.tokenizer)
    system = chat.system(model.config.omnilive.system_prompt)
    ids = [*first.ids, *tokens, *chat.assistant_close(), *second.ids[len(system) :]]
    places = rope_index(
        ids,
        model.config.thinker,
        videos=[video.grid for video in first.videos],
        seconds_per_step=first.seconds_per_step,
    )
    mels = [*first.mels, *second.mels]
    return dataclasses.replace(first, ids=ids, position_ids=places, mels=mels)


def user(*parts: Part) -> Message:
    return Message(role="user", parts=parts)


def filmed(
    item_id: str, pcm: bytes, frames: list[np.ndarray], edges: list[int], fps: float = FPS
) -> list[list[Command]]:
    """The sound in pieces, each behind the frames of its moments, as a live turn brings them."""
    batches: list[list[Command]] = []
    sent = 0
    for begin, end in pairwise(edges):
        batch: list[Command] = []
        while sent < len(frames) and sent / fps < end / 64_000:
            batch.append(TALK.frame(item_id, frame(frames[sent]), fps))
            sent += 1
        batches.append([*batch, TALK.audio(item_id, pcm[begin:end])])
    assert sent == len(frames)
    return batches


def held(driver: Driver) -> tuple[list[int], torch.Tensor]:
    """Ids and TMRoPE places of the whole prompt."""
    timeline = driver.engine._conversations["c"].timeline
    placed = timeline.placed(0, len(timeline))
    return [id_ for run in placed for id_ in run.piece.ids], place_ids(placed)


def assert_prompt(driver: Driver, prompt: Prompt) -> None:
    ids, places = held(driver)
    assert ids == prompt.ids
    assert torch.equal(places, prompt.position_ids)


@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    seconds=st.sampled_from([0.4, 1.9, 2.0, 2.001, 2.3, 4.0, 4.7]),
    cuts=st.lists(st.integers(0, 4 * 75_000), max_size=4),
    pauses=st.booleans(),
)
def test_a_filmed_turn_is_the_offline_clip(
    seeing: OmniModel, seconds: float, cuts: list[int], pauses: bool
) -> None:
    pcm, frames = speech(seconds), frames_of(seconds)
    edges = sorted({0, len(pcm), *(cut // 4 * 4 for cut in cuts if cut < len(pcm))})
    driver = opened(seeing)
    driver.settle(TALK.start("q"))
    for batch in filmed("q", pcm, frames, edges):
        driver.settle(*batch)
        if pauses:
            driver.settle(TALK.pause("q"))
    driver.settle(TALK.stop("q"))
    video = Video(frames=frames, frames_per_second=FPS, sound=samples(pcm))
    prompt = prompt_of(seeing, user(video))
    assert_prompt(driver, prompt)
    assert_holds(driver, Offline(seeing).caches_of(prompt))


def published_ids(
    model: OmniModel, pcm: bytes, frames: list[np.ndarray]
) -> tuple[list[int], torch.Tensor, tuple[int, int, int]]:
    """Ids, TMRoPE places and the video's grid of a clip with its sound, as published.

    The published video processor cannot be imported without torchvision; what it does to the size
    of a frame is what the image processor does, within the bounds for videos.
    """
    processor = object.__new__(Qwen2_5OmniProcessor)
    sizes = Qwen2_5OmniProcessor.videos_kwargs["size"]
    images = Qwen2VLImageProcessorPil(size=sizes)
    processor.video_processor = images
    for name in ("image", "audio", "video", "audio_bos", "audio_eos"):
        words = f"<|{name.upper()}|>" if "_" not in name else f"<|{name}|>"
        setattr(processor, f"{name}_token", words)
    grids = torch.tensor(
        [images(frame, return_tensors="pt")["image_grid_thw"][0].tolist() for frame in frames]
    )
    assert len({tuple(grid) for grid in grids.tolist()}) == 1
    steps = -(-len(frames) // images.temporal_patch_size)
    grid = np.array([[steps, *grids[0, 1:].tolist()]])
    seconds = [images.temporal_patch_size / FPS]
    heard = WhisperFeatureExtractor(feature_size=128)(
        samples(pcm).numpy(), sampling_rate=16_000, return_attention_mask=True, padding="max_length"
    )
    mel_frames = torch.tensor(heard["attention_mask"]).sum(-1)
    clip = processor.replace_video_token(
        {"video_grid_thw": grid, "video_second_per_grid": seconds},
        0,
        processed_audio={"num_audio_tokens": published_audio_tokens(mel_frames).numpy()},
        video_to_audio_indices=[0],
        load_audio_from_video=True,
        seconds_per_chunk=Qwen2_5OmniProcessor.seconds_per_chunk,
        position_id_per_seconds=Qwen2_5OmniProcessor.position_id_per_seconds,
    )
    words = (
        f"<|im_start|>system\n{model.config.omnilive.system_prompt}<|im_end|>\n"
        f"<|im_start|>user\n<|vision_bos|>{clip}<|vision_eos|><|im_end|>\n<|im_start|>assistant\n"
    )
    ids = text.backend().encode(words).ids
    config = checkpoint.config_dict(text.backend())
    config.pop("omnilive")
    with torch.device("meta"):
        reference = Qwen2_5OmniThinkerForConditionalGeneration(
            tiny.reference_config(config).thinker_config
        )
    places, _ = reference.model.get_rope_index(
        torch.tensor([ids]),
        None,
        torch.from_numpy(grid),
        torch.ones(1, len(ids), dtype=torch.int64),
        use_audio_in_video=True,
        audio_seqlens=mel_frames,
        second_per_grids=torch.tensor(seconds),
    )
    return ids, places[:, 0].long(), (steps, *grids[0, 1:].tolist())


@pytest.mark.parametrize("seconds", [1.5, 4.2])
def test_a_filmed_turn_has_the_ids_and_places_of_the_published_processor(
    seeing: OmniModel, seconds: float
) -> None:
    pcm, frames = speech(seconds), frames_of(seconds, rows=360, columns=640)
    driver = opened(seeing)
    driver.settle(TALK.start("q"))
    for batch in filmed("q", pcm, frames, [0, *range(12_800, len(pcm), 12_800), len(pcm)]):
        driver.settle(*batch)
    driver.settle(TALK.stop("q"))
    theirs, places, grid = published_ids(seeing, pcm, frames)
    ids, ours = held(driver)
    assert grid[0] > 1
    assert ids == theirs
    assert torch.equal(ours, places)


def test_the_reply_to_a_filmed_turn_is_the_offline_reply_and_the_talk_goes_on(
    seeing: OmniModel,
) -> None:
    driver, offline = opened(seeing), Offline(seeing)
    pcm, frames = speech(2.6, seed=1), frames_of(2.6)
    driver.settle(TALK.start("q1"))
    for batch in filmed("q1", pcm, frames, [0, 40_000, len(pcm)]):
        driver.settle(*batch)
    driver.settle(TALK.stop("q1"), TALK.respond("r1"))
    clip = user(Video(frames=frames, frames_per_second=FPS, sound=samples(pcm)))
    expected = offline.say_to(prompt_of(seeing, clip), "r1")
    words, sound = driver.said("r1")
    assert expected.pcm, "a silent turn proves nothing"
    assert words == expected.text
    assert_same_sound(sound, expected.pcm)
    usage = driver.done("r1").usage
    seen = prompt_of(seeing, clip).ids.count(seeing.config.thinker.video_token_index)
    assert usage.input_image_tokens == seen
    assert usage.input_tokens == seen + usage.input_text_tokens + usage.input_audio_tokens

    driver.settle(*TALK.spoken("q2", speech(1.1, seed=2)), TALK.respond("r2", modality="text"))
    again = prompt_of(seeing, user(Audio(samples=samples(speech(1.1, seed=2)))))
    prompt = continued(seeing, prompt_of(seeing, clip), expected.tokens, again)
    assert driver.said("r2")[0] == offline.say_to(prompt, "r2").text
    assert driver.done("r2").usage.input_tokens == len(prompt.ids)


def test_an_item_of_every_kind_of_part_is_the_offline_message(seeing: OmniModel) -> None:
    driver, pcm = opened(seeing), speech(2.3, seed=3)
    tall = picture(9, rows=200, columns=60)
    clip = [picture(n) for n in range(7)]  # longer than its sound
    driver.settle(
        TALK.add(
            "q",
            TextPart(text="Look"),
            ImagePart(frame=frame(tall)),
            AudioPart(pcm=pcm),
            VideoPart(frames=tuple(map(frame, clip[:3])), frames_per_second=1.0),
            TextPart(text="and"),
            VideoPart(frames=tuple(map(frame, clip)), frames_per_second=FPS, pcm=pcm),
        )
    )
    prompt = prompt_of(
        seeing,
        user(
            Text(text="Look"),
            Picture(image=tall),
            Audio(samples=samples(pcm)),
            Video(frames=clip[:3], frames_per_second=1.0),
            Text(text="and"),
            Video(frames=clip, frames_per_second=FPS, sound=samples(pcm)),
        ),
    )
    assert_prompt(driver, prompt)
    assert_holds(driver, Offline(seeing).caches_of(prompt))


@pytest.mark.parametrize("filmed_too", [False, True])
def test_what_was_seen_in_silence_comes_before_the_sound(
    seeing: OmniModel, filmed_too: bool
) -> None:
    driver, pcm = opened(seeing), speech(2.3)
    before = [picture(20), picture(21), picture(22)]
    frames = frames_of(2.3) if filmed_too else []
    shown = VideoPart(frames=tuple(map(frame, before)), frames_per_second=0.5)
    driver.say(TALK.start("q"), TALK.video("q", shown))
    for batch in filmed("q", pcm, frames, [0, len(pcm)]):
        driver.settle(*batch)
    driver.settle(TALK.pause("q"), TALK.stop("q"))
    sound = samples(pcm)
    heard = Video(frames=frames, sound=sound) if filmed_too else Audio(samples=sound)
    prompt = prompt_of(seeing, user(Video(frames=before, frames_per_second=0.5), heard))
    assert_prompt(driver, prompt)
    assert_holds(driver, Offline(seeing).caches_of(prompt))


@pytest.mark.parametrize("fps", [1.0, 3.0])
def test_a_camera_of_another_pace_alternates_as_the_offline_clip(
    seeing: OmniModel, fps: float
) -> None:
    pcm = speech(5.1)
    frames = frames_of(5.1, fps)
    driver = opened(seeing)
    driver.settle(TALK.start("q"))
    for batch in filmed("q", pcm, frames, [0, *range(6_400, len(pcm), 6_400), len(pcm)], fps):
        driver.settle(*batch)
    driver.settle(TALK.stop("q"))
    clip = Video(frames=frames, frames_per_second=fps, sound=samples(pcm))
    assert_prompt(driver, prompt_of(seeing, user(clip)))


def test_what_was_seen_late_comes_behind_the_sound(seeing: OmniModel) -> None:
    driver, pcm = opened(seeing), speech(2.3)
    late = [picture(20), picture(21)]
    shown = VideoPart(frames=tuple(map(frame, late)), frames_per_second=1.0)
    driver.settle(TALK.start("q"), TALK.audio("q", pcm), TALK.pause("q"))
    driver.settle(TALK.video("q", shown), TALK.stop("q"))
    parts = Audio(samples=samples(pcm)), Video(frames=late, frames_per_second=1.0)
    prompt = prompt_of(seeing, user(*parts))
    assert_prompt(driver, prompt)
    assert_holds(driver, Offline(seeing).caches_of(prompt))


def test_a_filmed_turn_is_transcribed_as_the_same_words_unseen(seeing: OmniModel) -> None:
    pcm = speech(2.3)
    texts = []
    for frames in ([], frames_of(2.3)):
        driver = opened(seeing)
        driver.settle(TALK.start("q"))
        for batch in filmed("q", pcm, frames, [0, len(pcm)]):
            driver.settle(*batch)
        driver.settle(TALK.stop("q"), TALK.transcribe("q"))
        (transcript,) = driver.of(InputTranscript)
        texts.append(transcript.text)
    assert texts[0]
    assert texts[0] == texts[1]


def test_a_response_aside_sees_what_the_conversation_saw(seeing: OmniModel) -> None:
    driver, pcm, frames = opened(seeing), speech(2.3), frames_of(2.3)
    driver.settle(TALK.start("q"))
    for batch in filmed("q", pcm, frames, [0, len(pcm)]):
        driver.settle(*batch)
    driver.settle(TALK.stop("q"))
    beside = Talk("c/r")
    driver.say(OpenConversation(conversation_id="c/r", parent_id="c", copies_items=True))
    driver.settle(beside.respond("r", modality="text"), TALK.respond("s", modality="text"))
    prompt = prompt_of(
        seeing, user(Video(frames=frames, frames_per_second=FPS, sound=samples(pcm)))
    )
    for name in ("r", "s"):
        assert driver.said(name)[0] == Offline(seeing).say_to(prompt, name).text


def test_a_camera_that_changes_its_size_goes_on_in_the_first(seeing: OmniModel) -> None:
    driver = opened(seeing)
    driver.say(TALK.start("q"), TALK.frame("q", frame(picture(0))))
    driver.say(TALK.frame("q", frame(picture(1, rows=120, columns=160))))
    driver.settle(TALK.audio("q", speech(1.0)), TALK.stop("q"))
    assert driver.of(EngineFault) == []
    ids, _ = held(driver)
    same = prompt_of(
        seeing,
        user(Video(frames=[picture(0), picture(0)], sound=samples(speech(1.0)))),
    )
    assert ids == same.ids


def test_a_dropped_clip_leaves_nothing(seeing: OmniModel) -> None:
    driver, offline = opened(seeing), Offline(seeing)
    driver.say(TALK.start("q"), TALK.frame("q", frame(picture(0))))
    driver.settle(TALK.audio("q", speech(2.5)))
    driver.settle(UserAudioDrop(conversation_id="c", item_id="q"))
    driver.settle(TALK.typed("t", "Hello"), TALK.respond("r", modality="text"))
    expected = offline.say([*offline.system(), *offline.typed("Hello")], "r")
    assert driver.said("r")[0] == expected.text


def test_a_video_cannot_begin_in_the_middle_of_a_sound(seeing: OmniModel) -> None:
    driver = opened(seeing)
    driver.settle(TALK.start("q"), TALK.audio("q", speech(2.5)))
    driver.settle(TALK.frame("q", frame(picture(0))))
    driver.settle(TALK.frame("q", frame(picture(0)), fps=0.4))
    late, slow = driver.of(EngineFault)
    assert late.code == "invalid_state"
    assert "first two seconds" in late.message
    assert "0.4 frames a second" in slow.message


def test_a_checkpoint_without_eyes_says_so(model: OmniModel) -> None:
    driver = Driver(Engine(model, SETTINGS))
    driver.settle(TALK.open(), TALK.add("q", ImagePart(frame=frame(picture(0)))))
    (fault,) = driver.of(EngineFault)
    assert fault.item_id == "q"
    assert fault.code == "invalid_content"
    assert "takes no image; it takes text, audio" in fault.message
    driver.settle(TALK.typed("t", "Hello"), TALK.respond("r", modality="text"))
    assert driver.done("r").status == "completed" or driver.done("r").status == "incomplete"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (ImagePart(frame=Frame(pixels=bytes(10), rows=2, columns=2)), "10 bytes are no RGB"),
        (ImagePart(frame=Frame(pixels=b"", rows=0, columns=0)), "0 bytes are no RGB"),
        (ImagePart(frame=frame(np.zeros((1, 300, 3), np.uint8))), "1:200"),
        (VideoPart(frames=(), frames_per_second=2.0), "at least 1 frame"),
        (VideoPart(frames=(frame(picture(0)),), frames_per_second=0.0), "frames_per_second"),
    ],
)
def test_what_is_no_picture_is_refused_and_the_conversation_goes_on(
    seeing: OmniModel, part: content.Part, message: str
) -> None:
    driver = opened(seeing)
    driver.settle(TALK.add("q", part))
    (fault,) = driver.of(EngineFault)
    assert message in fault.message
    driver.settle(TALK.typed("t", "Hello"), TALK.respond("r", modality="text"))
    assert driver.done("r").status != "failed"


def test_a_film_that_outgrows_the_context_costs_its_item_only(seeing: OmniModel) -> None:
    driver = opened(seeing, context_tokens=512)
    # All of it in one go: the loop had no time to look at any of it.
    driver.settle(TALK.start("q"), *[TALK.frame("q", frame(picture(n))) for n in range(12)])
    faults = driver.of(EngineFault)
    assert (faults[0].item_id, faults[0].code) == ("q", "capacity")
    assert "pictures wait" in faults[0].message
    assert {fault.code for fault in faults[1:]} == {"unknown_item"}
    driver.settle(TALK.typed("t", "Hello"), TALK.respond("r", modality="text"))
    assert driver.done("r").error is None


def test_an_encoder_that_breaks_costs_the_item(seeing: OmniModel) -> None:
    driver = opened(seeing)

    def breaks(_: object) -> list[object]:
        raise RuntimeError("a broken kernel")

    stages = driver.engine._stages
    run, stages[Stage.SEE] = stages[Stage.SEE], breaks
    driver.settle(TALK.add("q", ImagePart(frame=frame(picture(0)))))
    (fault,) = driver.of(EngineFault)
    assert (fault.item_id, fault.code) == ("q", "internal_error")
    stages[Stage.SEE] = run
    driver.settle(TALK.add("q", ImagePart(frame=frame(picture(0)))))
    assert_prompt(driver, prompt_of(seeing, user(Picture(image=picture(0)))))


def test_an_image_that_the_context_has_no_room_for_is_told(seeing: OmniModel) -> None:
    driver = opened(seeing, context_tokens=256)
    large = picture(0, rows=560, columns=560)  # 400 positions
    driver.settle(TALK.add("q", ImagePart(frame=frame(large))))
    (fault,) = driver.of(EngineFault)
    assert (fault.item_id, fault.code) == ("q", "capacity")
    driver.settle(TALK.typed("t", "Hello"), TALK.respond("r", modality="text"))
    assert driver.done("r").status != "failed"


@pytest.mark.parametrize(
    ("asked", "most"), [(PixelBounds(min_pixels=1, max_pixels=100 * 100), 100 * 100), (VAST, None)]
)
def test_images_are_scaled_as_the_checkpoint_says_and_never_above_our_bound(
    seeing: OmniModel, asked: PixelBounds, most: int | None
) -> None:
    driver = opened(dataclasses.replace(seeing, image_bounds=asked))
    large = np.zeros((1200, 1200, 3), np.uint8)
    cut = driver.engine._listener._eyes.image(ImagePart(frame=frame(large))).waiting[0]
    vision = seeing.config.thinker.vision
    _, rows, columns = cut.grid
    pixels = rows * columns * vision.patch_size**2
    bound = most or IMAGE_BOUNDS.max_pixels
    assert 0.7 * bound < pixels <= bound
