"""Pictures in a session: images as items, and a camera's frames on their way into turns."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from streaming.media.video import Pixels
from streaming.protocol.commands import (
    AppendUserAudio,
    AppendUserFrame,
    CommitUserAudio,
    CreateItem,
    ImagePart,
    ShowUserVideo,
    StartUserAudio,
    TextPart,
    VideoPart,
)
from streaming.protocol.limits import Limits, ModelProfile
from tests.streaming.protocol.rig import LOUD, QUIET, Rig, error_of, text_item

SEES = ModelProfile(
    model_id="seer", inputs=("text", "audio", "image", "video"), voices=("ada",), instructions=""
)


def rig(**options) -> Rig:
    return Rig(profile=SEES, **options)


def pixels(shade: int, columns: int = 60, rows: int = 40) -> Pixels:
    return np.full((rows, columns, 3), shade, np.uint8)


def file_of(shade: int, **size: int) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels(shade, **size)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def url(shade: int, **size: int) -> str:
    return f"data:image/png;base64,{file_of(shade, **size)}"


def image(url: str, **fields: str) -> dict[str, object]:
    return {"type": "input_image", "image_url": url, **fields}


def create(made: Rig, *content: dict[str, object]) -> list[dict[str, object]]:
    item = {"type": "message", "role": "user", "content": list(content)}
    return made.send("conversation.item.create", item=item)


def shades(frames) -> list[int]:
    return [frame.pixels[0] for frame in frames]


# --- images -----------------------------------------------------------------------------------


def test_an_image_is_seen_in_its_place_and_shown_without_its_data():
    made = rig()
    words = {"type": "input_text", "text": "What is this?"}
    added, done = create(made, words, image(url(7), detail="high"), image(url(8)))
    assert added["item"] == done["item"]
    assert added["item"]["content"] == [
        words,
        {"type": "input_image", "detail": "high"},
        {"type": "input_image", "detail": "auto"},
    ]
    (command,) = made.take_commands()
    assert isinstance(command, CreateItem)
    text, first, second = command.parts
    assert text == TextPart(text="What is this?")
    assert isinstance(first, ImagePart)
    assert (first.frame.rows, first.frame.columns) == (40, 60)
    assert first.frame.pixels == pixels(7).tobytes()
    assert shades([second.frame]) == [8]
    retrieved = made.send("conversation.item.retrieve", item_id=added["item"]["id"])
    assert retrieved[0]["item"] == done["item"]


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ("https://example.com/a.png", "unsupported_value", "never fetched"),
        ("file:///etc/passwd", "unsupported_value", "never fetched"),
        ("data:image/png,AAAA", "invalid_value", "data URL"),
        ("AAAA", "invalid_value", "data URL"),
        ("data:image/png;base64,%%%", "invalid_value", "base64"),
        ("data:image/png;base64,AAAA", "invalid_image", "no JPEG, PNG or WebP"),
        (url(1, columns=201, rows=200), "image_too_large", "40000 (max_image_pixels)"),
        ("data:image/png;base64," + "A" * 16_000, "image_too_large", "10000 (max_image_bytes)"),
    ],
)
def test_an_image_that_cannot_be_taken_is_named_and_nothing_is_added(wrong, code, words):
    made = rig()
    error = error_of(create(made, image(url(1)), image(wrong)))
    assert (error["code"], error["param"]) == (code, "item.content[1].image_url")
    assert words in error["message"]
    assert made.take_commands() == []


def test_the_images_of_an_item_are_bounded_together():
    made = rig(limits=Limits(max_image_pixels=6_000))
    create(made, image(url(1)), image(url(2)))
    error = error_of(create(made, image(url(1)), image(url(2)), image(url(3))))
    assert "7200 pixels" in error["message"]
    assert "6000 (max_image_pixels)" in error["message"]


def test_so_many_images_a_minute():
    made = rig(pictures=2)
    create(made, image(url(1)), image(url(2)))
    for events in (
        create(made, image(url(3))),
        made.send("input_image_buffer.append", image=file_of(3)),
    ):
        error = error_of(events)
        assert error["code"] == "rate_limit_exceeded"
        assert "2 pictures a minute (max_images_per_minute)" in error["message"]


def test_images_of_a_response_aside():
    made = rig()
    item = {"type": "message", "role": "user", "content": [image(url(9))]}
    wishes = {"conversation": "none", "output_modalities": ["text"], "input": [item]}
    made.send("response.create", response=wishes)
    parts = [c.command.parts for c in made.take_commands() if hasattr(c, "command")
             and isinstance(c.command, CreateItem)]  # fmt: skip
    assert shades([parts[0][0].frame]) == [9]


# --- a camera ---------------------------------------------------------------------------------


def live(made: Rig, level: float, ms: int, *, shade: int | None, every_ms: int = 500):
    """So much sound, with a picture of `shade` and one more now and then."""
    for at_ms in range(0, ms, 100):
        if shade is not None and at_ms % every_ms == 0:
            made.send("input_image_buffer.append", image=file_of(shade + at_ms // every_ms))
        made.hear(level, 100)


def turn_of(made: Rig):
    """Frames, sound and silent videos of the one turn, in order of their commands."""
    commands = made.take_commands()
    (start,) = [c for c in commands if isinstance(c, StartUserAudio)]
    assert all(getattr(c, "item_id", None) in (None, start.item_id) for c in commands)
    return commands


def heard_before_frames(commands) -> list[int]:
    """How much sound came before each frame, in ms."""
    heard, found = 0, []
    for command in commands:
        if isinstance(command, AppendUserAudio):
            heard += len(command.pcm) // 64
        elif isinstance(command, AppendUserFrame):
            found.append(heard)
    return found


def test_frames_come_at_an_even_pace_before_the_sound_of_their_moment():
    made = rig(manual=True)
    live(made, LOUD, 2600, shade=10)
    made.send("input_audio_buffer.commit")
    commands = turn_of(made)
    frames = [c for c in commands if isinstance(c, AppendUserFrame)]
    assert {c.frames_per_second for c in frames} == {2.0}
    assert shades([c.frame for c in frames]) == [10, 11, 12, 13, 14, 15]
    for n, heard_ms in enumerate(heard_before_frames(commands)):
        assert heard_ms <= 500 * n < heard_ms + 110, "in the chunk of its moment"
    assert not [c for c in commands if isinstance(c, ShowUserVideo)]


def test_a_camera_that_stalls_or_races_keeps_the_pace():
    made = rig(manual=True)
    live(made, LOUD, 1000, shade=10, every_ms=100)
    live(made, LOUD, 1500, shade=None)
    made.send("input_audio_buffer.commit")
    frames = [c.frame for c in turn_of(made) if isinstance(c, AppendUserFrame)]
    assert shades(frames) == [10, 15, 19, 19, 19]


def test_a_detected_turn_is_filmed_from_its_padding_on():
    made = rig(session={"audio": {"input": {"turn_detection": {
        "type": "server_vad", "create_response": False}}}})  # fmt: skip
    live(made, QUIET, 1000, shade=10)
    live(made, LOUD, 1500, shade=20)
    live(made, QUIET, 1000, shade=30)
    commands = turn_of(made)
    (before,) = [c for c in commands if isinstance(c, ShowUserVideo)]
    frames = [c.frame for c in commands if isinstance(c, AppendUserFrame)]
    assert shades(before.video.frames) == [10], "what was seen before the turn"
    assert commands.index(before) < commands.index(
        next(c for c in commands if isinstance(c, AppendUserAudio))
    )
    # The turn begins at 700 ms: what was seen then, at 1200, at 1700, at 2200.
    assert shades(frames)[:4] == [11, 20, 21, 22]


def test_what_was_seen_in_silence_is_thinned_to_its_budget():
    made = rig(manual=True, limits=Limits(quiet_video_tokens=256))
    for shade in range(40):
        made.send("input_image_buffer.append", image=file_of(shade))
    made.send("conversation.item.create", item=text_item("What did you see?"))
    (command,) = made.take_commands()
    video, words = command.parts
    assert isinstance(video, VideoPart)
    assert words == TextPart(text="What did you see?")
    assert len(video.frames) == 4, "64 tokens each"
    seen = shades(video.frames)
    assert seen == sorted(seen)
    assert seen[-1] == 39
    assert seen[0] < 12
    made.send("conversation.item.create", item=text_item("And now?"))
    (command,) = made.take_commands()
    assert len(command.parts) == 1, "each is seen once"


def test_a_camera_that_begins_late_is_shown_behind_the_sound():
    made = rig(manual=True)
    live(made, LOUD, 2500, shade=None)
    live(made, LOUD, 1000, shade=50)
    made.send("input_audio_buffer.commit")
    commands = turn_of(made)
    assert not [c for c in commands if isinstance(c, AppendUserFrame)]
    shown, commit = commands[-2:]
    assert isinstance(commit, CommitUserAudio)
    assert isinstance(shown, ShowUserVideo)
    assert shades(shown.video.frames) == [50, 51]
    assert shown.video.frames_per_second == 2.0


def test_a_camera_that_begins_in_the_first_two_seconds_films_the_turn():
    made = rig(manual=True)
    live(made, LOUD, 1200, shade=None)
    live(made, LOUD, 1000, shade=50)
    made.send("input_audio_buffer.commit")
    frames = [c.frame for c in turn_of(made) if isinstance(c, AppendUserFrame)]
    assert shades(frames) == [50, 50, 50, 50, 51]


def test_a_turn_whose_pictures_used_up_their_share_goes_on_without():
    made = rig(manual=True, limits=Limits(filmed_turn_tokens=200))
    live(made, LOUD, 3000, shade=10)
    made.send("input_audio_buffer.commit")
    commands = turn_of(made)
    assert len([c for c in commands if isinstance(c, AppendUserFrame)]) == 3, "64 tokens each"
    assert sum(len(c.pcm) for c in commands if isinstance(c, AppendUserAudio)) == 3000 * 64
    # What was seen after that is shown behind the sound, as far as its own budget goes.
    (rest,) = [c for c in commands if isinstance(c, ShowUserVideo)]
    assert shades(rest.video.frames) == [13, 14, 15]


def test_a_single_picture_is_not_filmed_for_ever():
    made = rig(manual=True)
    made.send("input_image_buffer.append", image=file_of(10))
    live(made, LOUD, 5000, shade=None)
    made.send("input_image_buffer.append", image=file_of(20))
    made.send("input_audio_buffer.commit")
    commands = turn_of(made)
    frames = [c.frame for c in commands if isinstance(c, AppendUserFrame)]
    assert shades(frames) == [10] * 7, "three seconds of it"
    (rest,) = [c for c in commands if isinstance(c, ShowUserVideo)]
    assert shades(rest.video.frames) == [20]


def test_a_cleared_turn_takes_its_pictures_along_and_the_next_is_filmed():
    made = rig(manual=True)
    live(made, LOUD, 500, shade=10)
    made.send("input_audio_buffer.clear")
    made.take_commands()
    live(made, LOUD, 500, shade=20)
    made.send("input_audio_buffer.commit")
    frames = [c.frame for c in turn_of(made) if isinstance(c, AppendUserFrame)]
    assert shades(frames) == [20]


def test_a_model_without_eyes_says_so():
    made = Rig()
    error = error_of(made.send("input_image_buffer.append", image=file_of(1), event_id="mine"))
    assert (error["code"], error["event_id"]) == ("unsupported_value", "mine")
    assert "takes text and audio, not videos" in error["message"]
    made.session.receive_picture(pixels(1))
    made.hear(LOUD, 500)
    assert not [c for c in made.take_commands() if isinstance(c, AppendUserFrame)]


@pytest.mark.parametrize("wrong", ["%%", "AAAA", file_of(1, columns=201, rows=200)])
def test_a_frame_that_cannot_be_seen_is_named(wrong):
    made = rig()
    error = error_of(made.send("input_image_buffer.append", image=wrong))
    assert error["param"] == "image"
