"""Calls are taken apart the same however the text is cut, and nothing of the text is lost."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.engine.tool_calls import (
    CallDelta,
    CallDone,
    ToolCallParser,
    Where,
    call_text,
    opening_text,
    result_text,
    system_text,
    tool_name,
)

ARGUMENTS = '{"city": "Pa}r\\"is", "days": [1, {"a": 2}]}'


def parse(*pieces: str) -> tuple[str, list[CallDone], str]:
    """Words, calls, and the arguments that were told bit by bit."""
    parser = ToolCallParser()
    words = "".join(parser.push(piece) for piece in pieces) + parser.finish()
    events = parser.events()
    told = "".join(e.arguments for e in events if isinstance(e, CallDelta))
    assert [e for e in events if isinstance(e, CallDone)] == parser.calls
    return words, parser.calls, told


@given(st.data())
def test_any_cut_gives_the_same_words_and_calls(data: st.DataObject) -> None:
    text = "I look. " + call_text("weather", ARGUMENTS) + "\n" + call_text("time", "{}") + "\nSo."
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    words, calls, told = parse(*pieces)
    assert words == "I look. So."
    assert calls == [CallDone(0, "weather", ARGUMENTS, True), CallDone(1, "time", "{}", True)]
    assert told == ARGUMENTS + "{}"


@given(st.data())
def test_where_there_may_be_one_call_what_follows_it_is_not_taken(data: st.DataObject) -> None:
    text = "I look. " + call_text("weather", ARGUMENTS) + "\n" + call_text("time", "{}") + "\nSo."
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    parser, words = ToolCallParser(single=True), ""
    for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True):
        words += parser.push(text[a:b])
        assert parser.is_over == bool(parser.calls)
    assert words + parser.finish() == "I look. "
    assert parser.calls == [CallDone(0, "weather", ARGUMENTS, True)]


def test_one_call_with_its_fields_in_another_order_is_one() -> None:
    parser = ToolCallParser(single=True)
    odd = '<tool_call>{"arguments": {}, "name": "f"}</tool_call>'
    assert parser.push(odd + "\nSo. " + odd) + parser.finish() == ""
    assert parser.calls == [CallDone(0, "f", "{}", True)]


def test_arguments_are_told_while_they_are_written() -> None:
    parser = ToolCallParser()
    parser.push('<tool_call>\n{"name": "f", "arguments": {"a"')
    assert parser.events() == [CallDelta(0, "f", ""), CallDelta(0, "f", '{"a"')]
    assert parser.where is Where.ARGUMENTS
    parser.push(": 1}")
    assert parser.events() == [CallDelta(0, "f", ": 1}"), CallDone(0, "f", '{"a": 1}', True)]


@pytest.mark.parametrize(
    "text", ["plain", "a < b", "<tool", "<tool_call", "x\n\ny\n", "<tool_cart>", "a\n<b"]
)
def test_text_without_a_call_is_only_words(text: str) -> None:
    assert parse(*text) == (text, [], "")


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>\nnothing\n</tool_call>",
        '<tool_call>{"name": 5, "arguments": {}}</tool_call>',
        '<tool_call>{"name": "f", "arguments": "x"}</tool_call>',
        "<tool_call>[1]</tool_call> and more",
        "<tool_call>\nno end",
        '<tool_call>\n{"name": "a\\q", "arguments": {"b": 1}}\n</tool_call>',
        '<tool_call>\n{"name": "a\nb", "arguments": {}}\n</tool_call> and more',
        '<tool_call>\n{"name": "\\ud800", "arguments": {}}\n</tool_call>',
        '<tool_call>\n{"arguments": {}, "name": "\\ud800"}\n</tool_call>',
        '<tool_call>\n{"arguments": {"a": NaN}, "name": "f"}\n</tool_call>',
        '<tool_call>\n{"name": "a\\u12", "arguments": {"b": 1}',
        "<tool_call>\n" + 100_000 * "[" + "\n</tool_call>",
    ],
)
def test_what_only_looks_like_a_call_stays_text(text: str) -> None:
    pieces = text if len(text) < 1000 else [text]
    assert parse(*pieces) == (text, [], "")


def test_fields_in_another_order_are_a_call_too() -> None:
    text = '<tool_call>{"arguments": {"a": 1}, "name": "f"}</tool_call>'
    assert parse(*text) == ("", [CallDone(0, "f", '{"a": 1}', True)], '{"a": 1}')


def test_a_character_that_is_none_stays_an_escape() -> None:
    text = '<tool_call>{"arguments": {"é": "\\ud800"}, "name": "f"}</tool_call>'
    told = '{"\\u00e9": "\\ud800"}'
    assert parse(text) == ("", [CallDone(0, "f", told, True)], told)


def test_a_call_that_is_broken_off_is_not_complete() -> None:
    words, calls, told = parse('<tool_call>\n{"name": "f", "arguments": {"a": "b')
    assert (words, told) == ("", '{"a": "b')
    assert calls == [CallDone(0, "f", '{"a": "b', False)]


def test_the_words_of_the_published_template() -> None:
    tool = json.dumps({"type": "function", "function": {"name": "f"}})
    text = system_text("Be brief.", [tool])
    assert text.startswith("Be brief.\n\n# Tools\n\nYou may call one or more functions")
    assert f"<tools>\n{tool}\n</tools>" in text
    assert text.endswith('"arguments": <args-json-object>}\n</tool_call>')
    assert system_text("", [tool]).startswith("# Tools")
    assert system_text("Be brief.", []) == "Be brief."
    assert result_text("18") == "<tool_response>\n18\n</tool_response>"


@pytest.mark.parametrize("function", ["f", "météo", 'a"b', "a\\"])
def test_a_forced_opening_is_the_beginning_of_a_call(function: str) -> None:
    opening = opening_text(function)
    assert call_text(function, '{"a": 1}') == opening + '"a": 1}}\n</tool_call>'
    assert parse(opening)[1] == [CallDone(0, function, "{", complete=False)]


def test_a_tool_has_the_name_that_it_says() -> None:
    assert tool_name('{"type": "function", "function": {"name": "m\\u00e9t\u00e9o"}}') == "météo"
