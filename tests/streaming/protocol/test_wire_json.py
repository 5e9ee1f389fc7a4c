"""JSON from outside: what is nested too deeply is refused before anybody walks into it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.protocol.errors import ProtocolError
from streaming.protocol.wire_json import MAX_DEPTH, read_json


def nested(depth, kind="[]"):
    if kind == "[]":
        return "[" * depth + "]" * depth
    return '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


@pytest.mark.parametrize("kind", ["[]", "{}"])
def test_so_deep_and_no_deeper(kind):
    assert read_json(nested(MAX_DEPTH, kind), "The body")
    for depth in (MAX_DEPTH + 1, 300, 1_010, 2_000):
        for data in (nested(depth, kind), nested(depth, kind).encode()):
            with pytest.raises(ProtocolError) as failure:
                read_json(data, "The body")
            assert failure.value.code == "invalid_json"
            assert failure.value.message == "The body is nested more than 64 levels deep."


def test_width_and_brackets_in_texts_are_no_depth():
    wide = "[" + ",".join(["[]"] * 1_000) + "]"
    assert len(read_json(wide, "The body")) == 1_000
    assert read_json('"' + "[" * 1_000 + '"', "The body") == "[" * 1_000


def test_what_is_no_json_is_told_where():
    with pytest.raises(ProtocolError, match=r"The body is not JSON: .* line 1 column 2") as failure:
        read_json("{", "The body")
    assert failure.value.code == "invalid_json"


@given(st.recursive(st.integers(), lambda inner: st.lists(inner, max_size=3), max_leaves=40))
def test_the_rest_is_read_as_it_is(value):
    assert read_json(repr(value), "The body") == value
