"""Every message comes back as it went, and nothing else gets in."""

import math
from dataclasses import fields
from typing import get_args

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.engine.messages.commands import AddItem, Command, UserAudio
from streaming.engine.messages.content import AudioPart, TextPart
from streaming.engine.messages.events import Event, InputTranscript, TextDelta, TranscriptToken
from streaming.engine.wire import MAX_FRAME_BYTES, conversation_of, decode, encode
from streaming.errors import WireError

KINDS = (*get_args(Command), *get_args(Event))

st.register_type_strategy(int, st.integers(-(2**63), 2**63 - 1))
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_message_comes_back_equal(kind: type, data: st.DataObject) -> None:
    message = data.draw(st.from_type(kind))
    assert decode(encode(message)) == message


def test_samples_travel_as_raw_frames() -> None:
    pcm = bytes(range(256))
    parts = (TextPart(text="a"), AudioPart(pcm=pcm), AudioPart(pcm=b""))
    message = AddItem(conversation_id="c", item_id="i", role="user", parts=parts)
    header, *blobs = encode(message)
    assert blobs == [pcm, b""]
    assert len(header) < 300
    assert decode([header, *blobs]) == message


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_has_not_is_not_sent(odd: float) -> None:
    token = TranscriptToken(octets=(120,), log_prob=odd)
    message = InputTranscript(conversation_id="c", item_id="i", text="x", tokens=(token,))
    with pytest.raises(WireError, match=str(odd)):
        encode(message)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"type": "Nonsense"}, "Nonsense"),
        ({"type": "TextPart"}, "TextPart"),
        ({"type": ["UserAudio"]}, "unknown message type"),
        ({"conversation_id": 7}, "conversation_id"),
        ({"pcm": 2}, "pcm"),
        ({"pcm": 0}, "pcm"),
        ({"pcm": True}, "pcm"),
        ({"pcm": "AAAA"}, "pcm"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], named: str) -> None:
    header, pcm = encode(UserAudio(conversation_id="c", item_id="i", pcm=b"1234"))
    with pytest.raises(WireError, match=named):
        decode([orjson.dumps(orjson.loads(header) | change), pcm])


def test_a_missing_field_is_named() -> None:
    header, pcm = encode(UserAudio(conversation_id="c", item_id="i", pcm=b"1234"))
    body = orjson.loads(header)
    del body["item_id"]
    with pytest.raises(WireError, match="item_id"):
        decode([orjson.dumps(body), pcm])


def test_a_wrong_part_is_named_inside_its_item() -> None:
    message = AddItem(conversation_id="c", item_id="i", role="user", parts=(TextPart(text="a"),))
    body = orjson.loads(encode(message)[0])
    body["parts"][0]["text"] = 3
    with pytest.raises(WireError, match=r"parts\[0\].text"):
        decode([orjson.dumps(body)])
    body["parts"][0] = {"type": "AudioPart", "pcm": 9}
    with pytest.raises(WireError, match=r"parts\[0\].pcm"):
        decode([orjson.dumps(body)])


def test_a_role_outside_the_choices_is_refused() -> None:
    message = AddItem(conversation_id="c", item_id="i", role="user", parts=())
    with pytest.raises(WireError, match="role"):
        decode([orjson.dumps(orjson.loads(encode(message)[0]) | {"role": "tool"})])


@given(st.lists(st.binary(max_size=64), max_size=3))
def test_noise_is_an_error_and_never_a_crash(frames: list[bytes]) -> None:
    with pytest.raises(WireError):
        decode(frames)
    assert conversation_of(frames) is None


def test_an_oversize_frame_is_refused() -> None:
    with pytest.raises(WireError, match=str(MAX_FRAME_BYTES)):
        decode([bytes(MAX_FRAME_BYTES + 1)])


def test_a_bad_message_still_tells_its_conversation() -> None:
    header = orjson.dumps({"type": "Respond", "conversation_id": "c7"})
    with pytest.raises(WireError):
        decode([header])
    assert conversation_of([header]) == "c7"


def test_half_a_character_is_named() -> None:
    with pytest.raises(WireError, match="TextDelta"):
        encode(TextDelta(conversation_id="c", response_id="r", text="\ud800"))


def test_messages_hold_no_mutable_fields() -> None:
    for kind in KINDS:
        assert all("list" not in str(f.type) and "dict" not in str(f.type) for f in fields(kind))
