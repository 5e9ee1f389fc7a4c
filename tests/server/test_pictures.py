"""A real server on a tiny checkpoint with eyes: images, a filmed turn, completions with both."""

import base64
import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, BadRequestError
from PIL import Image

from server.video_files import VideoBounds, decoded_film
from streaming.protocol.errors import ProtocolError
from tests.checkpoint import write_checkpoint
from tests.server.conftest import TINY, bare, hear, serving

SHORT = {"max_completion_tokens": 4}
BOUNDS = VideoBounds(max_video_frames=8, max_frame_pixels=100_000, max_turn_ms=5_000)


@pytest.fixture(scope="module")
def seeing_server(tmp_path_factory):
    directory = write_checkpoint(tmp_path_factory.mktemp("seeing"), talkative=True, sees=True)
    roomy = TINY | {"context_tokens": 2048}
    with serving(model=str(directory), **roomy, max_video_frames=8) as server:
        yield server


@pytest.fixture
async def client(seeing_server):
    async with AsyncOpenAI(base_url=f"{seeing_server.http}/v1", api_key="none") as sdk:
        yield sdk


def picture(shade, columns=80, rows=60):
    pixels = np.full((rows, columns, 3), shade, np.uint8)
    pixels[::7, ::5] = 255 - shade
    return pixels


def jpeg(shade, **size):
    file = io.BytesIO()
    Image.fromarray(picture(shade, **size)).save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def url(shade, **size):
    return f"data:image/jpeg;base64,{jpeg(shade, **size)}"


def film(seconds=2.0, *, sound=True, columns=80, rows=60, rate=10):
    """An MP4 whose pictures get brighter, with a tone."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=rate)
        video.width, video.height, video.pix_fmt = columns, rows, "yuv420p"
        audio = container.add_stream("aac", rate=16_000, layout="mono") if sound else None
        count = int(seconds * rate)
        for n in range(count):
            pixels = np.full((rows, columns, 3), n * 250 // count, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
        if audio is not None:
            tone = np.sin(np.arange(int(seconds * 16_000)) / 8).astype(np.float32) / 3
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.sample_rate = 16_000
            container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return file.getvalue()


# --- video files ------------------------------------------------------------------------------


def decoded(data, fps=2.0, bounds=BOUNDS):
    return decoded_film(data, fps=fps, bounds=bounds, param="p")


def test_a_file_becomes_frames_at_an_even_pace_and_its_sound():
    made = decoded(film(2.0))
    assert len(made.frames) == 4
    assert {frame.shape for frame in made.frames} == {(60, 80, 3)}
    shades = [float(frame.mean()) for frame in made.frames]
    assert shades == sorted(shades)
    # The picture of each half second: number 0, 5, 10 and 15 of 20.
    assert shades == pytest.approx([0, 62, 125, 187], abs=12)
    assert len(made.pcm) / 64 == pytest.approx(2000, abs=150)


def test_a_silent_file_has_no_sound():
    assert decoded(film(1.0, sound=False)).pcm == b""


def test_more_frames_than_the_file_has_are_repeated():
    assert len(decoded(film(0.5, rate=4), fps=8.0).frames) == 4


@pytest.mark.parametrize(
    ("data", "fps", "bounds", "words"),
    [
        (b"no video", 2.0, {}, "no video file"),
        (film(1.0)[:400], 2.0, {}, "no video file"),
        (film(2.0), 8.0, {}, "8 frames at 8 a second (max_video_frames)"),
        (film(1.0), 2.0, {"max_frame_pixels": 4_000}, "4000 (max_frame_pixels)"),
        (film(2.0), 2.0, {"max_turn_ms": 1_000}, "1000ms (max_turn_ms)"),
    ],
)
def test_what_is_no_film_or_beyond_a_bound_is_named(data, fps, bounds, words):
    limits = {name: getattr(BOUNDS, name) for name in VideoBounds.__slots__} | bounds
    with pytest.raises(ProtocolError) as failure:
        decoded(data, fps, VideoBounds(**limits))
    assert words in failure.value.message
    assert failure.value.param == "p"


FILM = film(1.0)


@given(
    places=st.lists(st.tuples(st.integers(0, len(FILM) - 1), st.integers(0, 255)), max_size=12),
    end=st.integers(0, len(FILM)),
)
@settings(max_examples=60, deadline=None)
def test_broken_files_raise_one_kind_of_error(places, end):
    data = bytearray(FILM)
    for place, value in places:
        data[place] = value
    try:
        made = decoded(bytes(data[: end or len(data)]))
    except ProtocolError:
        return
    assert len(made.frames) <= BOUNDS.max_video_frames
    assert len(made.pcm) / 64 <= BOUNDS.max_turn_ms


# --- the Realtime API -------------------------------------------------------------------------


async def until(socket, kind):
    event = await hear(socket)
    while event["type"] != kind:
        assert event["type"] != "error", event
        event = await hear(socket)
    return event


async def send(socket, **event):
    await socket.send(json_of(event))


def json_of(event):
    import orjson

    return orjson.dumps(event).decode()


MANUAL = {
    "type": "realtime",
    "output_modalities": ["text"],
    "max_output_tokens": 4,
    "audio": {"input": {"turn_detection": None}},
}


async def answered(socket):
    await send(socket, type="response.create")
    return (await until(socket, "response.done"))["response"]


async def test_an_image_and_a_filmed_turn_are_seen_and_stay_in_the_conversation(seeing_server):
    async with bare(seeing_server.url) as socket:
        await send(socket, type="session.update", session=MANUAL)
        content = [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": url(90)},
        ]
        item = {"type": "message", "role": "user", "content": content}
        await send(socket, type="conversation.item.create", item=item)
        first = (await answered(socket))["usage"]["input_token_details"]
        assert first["image_tokens"] > 0
        for n in range(12):  # 2.4 s of sound, a picture each 400 ms
            if n % 2 == 0:
                await send(socket, type="input_image_buffer.append", image=jpeg(20 * n))
            audio = base64.b64encode(bytes(9_600)).decode()
            await send(socket, type="input_audio_buffer.append", audio=audio)
        await send(socket, type="input_audio_buffer.commit")
        usage = (await answered(socket))["usage"]["input_token_details"]
        # Five frames of two a second make three temporal steps.
        assert (usage["image_tokens"] - first["image_tokens"]) % 3 == 0
        assert (usage["image_tokens"] - first["image_tokens"]) // 3 >= 128
        assert usage["audio_tokens"] == 60
        assert usage["cached_tokens"] > first["image_tokens"], "the image is not read again"


async def test_what_is_no_picture_is_told_and_the_conversation_goes_on(seeing_server):
    async with bare(seeing_server.url) as socket:
        await send(socket, type="session.update", session=MANUAL)
        await until(socket, "session.updated")
        content = [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]
        item = {"type": "message", "role": "user", "content": content}
        await send(socket, type="conversation.item.create", item=item)
        assert (await hear(socket))["error"]["code"] == "invalid_image"
        # As many pixels as may be, but more positions than the context of this server has.
        content = [{"type": "input_image", "image_url": url(9, columns=1400, rows=1400)}]
        for _ in range(2):
            await send(socket, type="conversation.item.create", item=item | {"content": content})
        seen = [await hear(socket) for _ in range(6)]
        assert [event["type"] for event in seen].count("error") == 1
        assert seen[-1]["type"] == "conversation.item.deleted"
        assert (await answered(socket))["status"] == "incomplete"


# --- chat completions -------------------------------------------------------------------------


@pytest.mark.clients
async def test_completions_with_an_image_frames_and_a_film(client, seeing_server):
    model = seeing_server.running.ready.model_id
    data = base64.b64encode(film(2.0)).decode()
    parts = [
        {"type": "image_url", "image_url": {"url": url(10), "detail": "low"}},
        {"type": "video", "video": [url(20), url(30), url(40)], "fps": 1},
        {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{data}"}},
    ]
    costs = []
    for part in parts:
        whole = await client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": [part, {"type": "text", "text": "What is it?"}]}],
            **SHORT,
        )
        assert whole.choices[0].message.content
        costs.append(whole.usage.prompt_tokens_details)
    image, frames, with_sound = (cost.model_dump() for cost in costs)
    assert image["image_tokens"] == 6
    assert frames["image_tokens"] == 2 * with_sound["image_tokens"] // 2
    assert (image["audio_tokens"], frames["audio_tokens"]) == (0, 0)
    assert with_sound["audio_tokens"] == pytest.approx(50, abs=4)


@pytest.mark.clients
async def test_completions_that_show_what_cannot_be_seen(client, seeing_server):
    model = seeing_server.running.ready.model_id
    for part, words in (
        ({"type": "image_url", "image_url": {"url": "https://x/y.png"}}, "never fetched"),
        ({"type": "video_url", "video_url": {"url": "https://x/y.mp4"}}, "never fetched"),
        ({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}, "no video"),
        ({"type": "video", "video": [url(1)] * 9}, "max_video_frames"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, "JPEG"),
    ):
        messages = [{"role": "user", "content": [part]}]
        with pytest.raises(BadRequestError, match=words):
            await client.chat.completions.create(model=model, messages=messages)
