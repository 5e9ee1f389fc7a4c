"""Text that streams is the text that one decode gives."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from streaming.engine.text_stream import TextStream


def decode(ids: Sequence[int]) -> str:
    return bytes(ids).decode(errors="replace")


@given(st.text(max_size=40))
def test_pieces_join_to_the_whole(text: str) -> None:
    stream = TextStream(decode)
    pieces = [stream.push(byte) for byte in text.encode()]
    assert "".join([*pieces, stream.flush()]) == text
    assert not any("\ufffd" in piece for piece in pieces) or "\ufffd" in text


def test_a_character_leaves_with_its_last_token() -> None:
    stream = TextStream(decode)
    assert [stream.push(byte) for byte in "aé€".encode()] == ["a", "", "é", "", "", "€"]


def test_broken_bytes_come_out_at_the_end_and_are_not_waited_for_for_ever() -> None:
    stream = TextStream(decode)
    assert stream.push(0xE2) == ""
    assert stream.flush() == "\ufffd"
    assert stream.flush() == ""
    assert "".join(stream.push(0x80) for _ in range(20)) != ""
