"""A filmed turn beside the whole published processor, on the same clip with its sound.

`Qwen2_5OmniProcessor` makes the ids of a clip, its own video processor the grid and the patches.
That one needs torchvision (`pip install -e .[video-reference]`); what came of it here also stands
as data, for where there is none.
"""

import importlib.util
from itertools import groupby

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast, Qwen2_5OmniProcessor, WhisperFeatureExtractor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from model.omni import OmniModel
from model.vision_input import VIDEO_BOUNDS, VisionInput
from tests.model import text
from tests.streaming.engine.driver import speech
from tests.streaming.engine.test_pictures import (
    FPS,
    TALK,
    filmed,
    frames_of,
    held,
    opened,
    samples,
)

SIZE = {"rows": 360, "columns": 640}
NAMES = ("image", "audio", "video", "audio_bos", "audio_eos", "vision_bos", "vision_eos")
CONTROLS = {f"{n}_token": f"<|{n.upper() if '_' not in n else n}|>" for n in NAMES}
# Seconds of the clip: what stands between its first and its last token, and the grid of its video;
# from transformers 5.23.0 with torchvision 0.28.0.
PUBLISHED = {
    1.5: ([("<|VIDEO|>", 598), ("<|AUDIO|>", 37)], (2, 26, 46)),
    4.2: (
        [
            ("<|VIDEO|>", 598),
            ("<|AUDIO|>", 50),
            ("<|VIDEO|>", 598),
            ("<|AUDIO|>", 50),
            ("<|VIDEO|>", 299),
            ("<|AUDIO|>", 5),
        ],
        (5, 26, 46),
    ),
}


def clip(seconds: float) -> tuple[bytes, list[np.ndarray]]:
    return speech(seconds), frames_of(seconds, **SIZE)


def streamed_ids(model: OmniModel, pcm: bytes, frames: list[np.ndarray]) -> list[int]:
    driver = opened(model)
    driver.settle(TALK.start("q"))
    for batch in filmed("q", pcm, frames, [0, *range(12_800, len(pcm), 12_800), len(pcm)]):
        driver.settle(*batch)
    driver.settle(TALK.stop("q"))
    return held(driver)[0]


def published(model: OmniModel, pcm: bytes, frames: list[np.ndarray]) -> dict[str, torch.Tensor]:
    """What the published processor makes of the conversation with this clip."""
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    backend = text.backend()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, extra_special_tokens=CONTROLS)
    for name, token in CONTROLS.items():
        setattr(tokenizer, f"{name}_id", backend.token_to_id(token))
    processor = Qwen2_5OmniProcessor(
        image_processor=Qwen2VLImageProcessorPil(),
        video_processor=Qwen2VLVideoProcessor(),
        feature_extractor=WhisperFeatureExtractor(feature_size=128),
        tokenizer=tokenizer,
    )
    words = (
        f"<|im_start|>system\n{model.config.omnilive.system_prompt}<|im_end|>\n"
        "<|im_start|>user\n<|vision_bos|><|VIDEO|><|vision_eos|><|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    return processor(
        text=[words],
        videos=[np.stack(frames)],
        audio=[samples(pcm).numpy()],
        load_audio_from_video=True,
        audio_from_video_indices=[0],
        return_tensors="pt",
        videos_kwargs={"do_sample_frames": False, "fps": FPS, "cap_pixels_per_frame": False},
    )


def runs_of_clip(ids: list[int]) -> list[tuple[str, int]]:
    """The tokens between `audio_bos` and `audio_eos`, each with how often it stands in a row."""
    backend = text.backend()
    begin, end = (ids.index(backend.token_to_id(f"<|audio_{n}os|>")) for n in "be")
    return [(backend.id_to_token(k), len(list(run))) for k, run in groupby(ids[begin + 1 : end])]


@pytest.mark.parametrize("seconds", sorted(PUBLISHED))
def test_a_filmed_turn_has_the_tokens_of_the_published_processor(
    seeing: OmniModel, seconds: float
) -> None:
    assert runs_of_clip(streamed_ids(seeing, *clip(seconds))) == PUBLISHED[seconds][0]


# transformers gives numpy a tensor in an old way.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="no torchvision here")
@pytest.mark.parametrize("seconds", sorted(PUBLISHED))
def test_the_whole_prompt_and_the_patches_beside_the_published_processor_itself(
    seeing: OmniModel, seconds: float
) -> None:
    pcm, frames = clip(seconds)
    theirs = published(seeing, pcm, frames)
    ids = theirs["input_ids"][0].tolist()
    assert (runs_of_clip(ids), tuple(theirs["video_grid_thw"][0].tolist())) == PUBLISHED[seconds]
    assert streamed_ids(seeing, pcm, frames) == ids
    ours = VisionInput(
        seeing.config.thinker.vision, image_bounds=VIDEO_BOUNDS, video_bounds=VIDEO_BOUNDS
    ).video(frames)
    assert ours.grid == PUBLISHED[seconds][1]
    # A rounding more or less of the filter: by 2 of 255 at the hard edges of these pictures.
    difference = (ours.values - theirs["pixel_values_videos"]).abs()
    assert difference.max() < 2.1 / 255 / 0.26, "in units of the normalisation"
    assert (difference > 1e-5).float().mean() < 0.15
