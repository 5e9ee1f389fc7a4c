"""What a reply tells, keeps and calls, token by token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.engine.tool_calls import CallDone, Where, call_text
from streaming.engine.words import Words

CALL = call_text("f", "{}")


class Vocabulary:
    """A tokenizer whose tokens are what a test says."""

    def __init__(self, *tokens: bytes) -> None:
        self._tokens = tokens

    def token_bytes(self, id_: int) -> bytes:
        return self._tokens[id_]

    def words(self) -> Words:
        return Words(self, calls=True)  # type: ignore[arg-type]


def told(words: Words, count: int) -> list[str]:
    """What each of the first `count` tokens lets out."""
    return [words.push(token) for token in range(count)]


def test_what_may_have_become_a_call_is_neither_told_nor_kept_of_a_reply_that_breaks_off() -> None:
    words = Vocabulary(b"a", b"<", b"tool").words()
    assert told(words, 3) == ["a", "", ""]
    words.break_off()
    assert words.tokens == (0,)


def test_of_a_reply_that_ends_it_is_both() -> None:
    words = Vocabulary(b"a", b"<", b"tool").words()
    assert told(words, 3) == ["a", "", ""]
    assert words.flush() == "<tool"
    assert words.tokens == (0, 1, 2)


def test_a_character_of_several_tokens_is_a_word_behind_a_call_too() -> None:
    first, second = "é".encode()[:1], "é".encode()[1:]
    words = Vocabulary(CALL.encode(), b"\n", first, second, b" b").words()
    kinds = []
    for token, text in enumerate(["", "", "", "é", " b"]):
        assert words.push(token) == text
        kinds.append(words.last)
    assert kinds == [Where.CALL, Where.CALL, Where.TEXT, Where.TEXT, Where.TEXT]
    assert words.tokens == (2, 3, 4)


def test_a_line_break_within_what_is_said_behind_a_call_is_said() -> None:
    words = Vocabulary(CALL.encode(), b"\n", b"So.", b"\n", b"More.").words()
    assert told(words, 5) == ["", "", "So.", "", "\nMore."]
    assert words.tokens == (2, 3, 4)


@given(st.data())
def test_any_cut_into_tokens_tells_and_keeps_the_same(data: st.DataObject) -> None:
    text = f"Ich prüfe.\n{CALL}\nÄh, «so»:\nähnlich < größer.\n{CALL}\n— Ü".encode()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1))))
    tokens = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    words = Vocabulary(*tokens).words()
    said = "".join(told(words, len(tokens))) + words.flush()
    assert said == "Ich prüfe.Äh, «so»:\nähnlich < größer.— Ü"
    assert words.calls == [CallDone(0, "f", "{}", True), CallDone(1, "f", "{}", True)]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_what_is_kept_spells_what_is_told(size: int) -> None:
    letters = "Äh <so>:\nähnlich — größer. ".encode()
    said = [letters[at : at + size] for at in range(0, len(letters), size)]
    vocabulary = [*said, CALL.encode(), b"\n", *said, CALL.encode(), *said]
    words = Vocabulary(*vocabulary).words()
    whole = "".join(told(words, len(vocabulary))) + words.flush()
    assert b"".join(vocabulary[token] for token in words.tokens).decode() == whole
