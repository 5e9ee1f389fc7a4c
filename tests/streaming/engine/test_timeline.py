"""The prompt is what the items say, and a cache cut where an edit says holds a prefix of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.engine.item import Item
from streaming.engine.messages.commands import FRONT
from streaming.engine.pieces import Piece
from streaming.engine.room import Truncation
from streaming.engine.timeline import Timeline
from streaming.errors import DuplicateItemError, RefusedError, UnknownItemError

SYSTEM, OPENING = Piece((1, 2, 3)), Piece((90, 91))


def timeline(*items: tuple[str, tuple[int, ...]]) -> Timeline:
    made = Timeline(SYSTEM, OPENING, capacity_tokens=1000)
    for name, ids in items:
        made.insert(Item(name, "user", [Piece(ids)]))
    return made


def tokens(of: Timeline) -> list[int]:
    return [token for piece in of.slice(0, len(of)) for token in piece.ids]


def test_items_follow_the_system_message() -> None:
    made = timeline(("a", (10, 11)), ("b", (20,)))
    assert tokens(made) == [1, 2, 3, 10, 11, 20]
    assert made.start_of(made.item("b")) == 5
    assert made.is_behind(made.item("a"), "b")
    assert made.is_behind(made.item("b"), None)
    assert not made.is_behind(made.item("b"), "a")
    assert not made.is_behind(made.item("a"), FRONT)
    assert made.ids() == {1, 2, 3, 10, 11, 20}


def test_a_slice_cuts_through_pieces() -> None:
    made = timeline(("a", (10, 11)), ("b", (20, 21)))
    assert [piece.ids for piece in made.slice(2, 6)] == [(3,), (10, 11), (20,)]


def test_the_expected_answer_opens_at_the_end_and_makes_way() -> None:
    made = timeline(("a", (10,)))
    assert made.expect_answer(made.item("a")) == 4
    assert tokens(made) == [1, 2, 3, 10, 90, 91]
    assert made.insert(Item("b", "user", [Piece((20,))])) == 4
    assert tokens(made) == [1, 2, 3, 10, 20]


def test_only_the_last_item_is_answered() -> None:
    made = timeline(("a", (10,)), ("b", (20,)))
    made.expect_answer(made.item("a"))
    assert tokens(made) == [1, 2, 3, 10, 20]


def test_an_answer_begins_where_its_opening_was() -> None:
    made = timeline(("a", (10,)))
    made.expect_answer(made.item("a"))
    before = tokens(made)
    item, cut = made.begin_answer("r")
    assert cut == len(before)
    assert tokens(made) == before
    assert made.rewrite(item, [OPENING, Piece((50, 51)), Piece((99,))]) == len(before)
    assert tokens(made) == [*before, 50, 51, 99]


def test_an_answer_may_stand_before_the_end() -> None:
    made = timeline(("a", (10,)), ("b", (20,)))
    made.expect_answer(made.item("b"))
    item, cut = made.begin_answer("r", "a")
    assert tokens(made) == [1, 2, 3, 10, 90, 91, 20]
    assert cut == made.start_of(item) == 4
    assert made.is_before(made.item("a"), item)
    assert not made.is_before(made.item("b"), item)
    assert [each.item_id for each in made.items] == ["a", "r", "b"]


def test_a_rewrite_keeps_what_is_the_same() -> None:
    made = timeline(("a", (10,)))
    item, _ = made.begin_answer("r")
    made.rewrite(item, [OPENING, Piece((50, 51, 52)), Piece((99,))])
    assert made.rewrite(item, [OPENING, Piece((50,)), Piece((99,))]) == 4 + 2 + 1
    assert made.rewrite(item, []) == 4


def test_speculative_pieces_are_taken_back_by_what_comes_next() -> None:
    made = timeline()
    item = Item("a", "user", [Piece((10,))], complete=False)
    made.insert(item)
    made.extend(item, [Piece((11,))])
    assert made.extend(item, [Piece((12,)), Piece((13,))], speculative=True) == 5
    made.expect_answer(item)
    assert tokens(made) == [1, 2, 3, 10, 11, 12, 13, 90, 91]
    assert made.extend(item, [Piece((14,))]) == 5
    assert tokens(made) == [1, 2, 3, 10, 11, 14]


def test_the_prompt_is_settled_up_to_the_first_item_that_grows() -> None:
    made = timeline(("a", (10,)))
    item = Item("b", "user", [Piece((20,))], complete=False)
    made.insert(item)
    made.insert(Item("c", "user", [Piece((30,))]))
    assert made.settled == 5
    made.extend(item, [Piece((21,))], speculative=True)
    assert made.settled == len(made) == 7
    made.retract(item)
    assert made.settled == 5
    item.complete = True
    assert made.settled == len(made) == 6


def test_unknown_and_duplicate_items_are_named() -> None:
    made = timeline(("a", (10,)))
    with pytest.raises(UnknownItemError, match="'x'"):
        made.item("x")
    with pytest.raises(UnknownItemError, match="'x'"):
        made.insert(Item("b", "user"), "x")
    with pytest.raises(DuplicateItemError, match="'a'"):
        made.insert(Item("a", "user"))


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    made = Timeline(SYSTEM, OPENING, capacity_tokens=8)
    made.insert(Item("a", "user", [Piece((10, 11))]))
    before = tokens(made)
    with pytest.raises(RefusedError, match="8"):
        made.insert(Item("b", "user", [Piece((12, 13))]))
    with pytest.raises(RefusedError, match="8"):
        made.extend(made.item("a"), [Piece((12, 13))])
    with pytest.raises(RefusedError, match="8"):
        made.set_system(Piece((1, 2, 3, 4, 5)))
    assert tokens(made) == before


EDIT = st.one_of(
    st.tuples(st.just("insert"), st.integers(0, 5), st.lists(st.integers(5, 60), max_size=4)),
    st.tuples(st.just("remove"), st.integers(0, 5), st.just([])),
    st.tuples(st.just("rewrite"), st.integers(0, 5), st.lists(st.integers(5, 60), max_size=4)),
    st.tuples(st.just("extend"), st.integers(0, 5), st.lists(st.integers(5, 60), max_size=4)),
    st.tuples(st.just("guess"), st.integers(0, 5), st.lists(st.integers(5, 60), max_size=4)),
    st.tuples(st.just("retract"), st.integers(0, 5), st.just([])),
    st.tuples(st.just("expect"), st.integers(0, 5), st.just([])),
    st.tuples(st.just("system"), st.just(0), st.lists(st.integers(5, 60), max_size=4)),
)


@given(st.lists(EDIT, max_size=25))
def test_a_cache_cut_at_every_edit_always_holds_a_prefix(
    edits: list[tuple[str, int, list[int]]],
) -> None:
    made, names = Timeline(SYSTEM, OPENING, capacity_tokens=1000), list[str]()
    cache = list(SYSTEM.ids)
    for number, (edit, index, ids) in enumerate(edits):
        pieces = [Piece((token,)) for token in ids]
        chosen = names[index % len(names)] if names else None
        cut = len(made)
        if edit == "insert":
            name = f"i{number}"
            cut = made.insert(Item(name, "user", pieces), chosen or FRONT)
            names.append(name)
        elif chosen is not None and edit == "expect":
            cut = made.expect_answer(made.item(chosen))
        elif edit == "system":
            cut = made.set_system(Piece(tuple(ids)))
        elif chosen is not None and edit == "remove":
            cut = made.remove(chosen)
            names.remove(chosen)
        elif chosen is not None and edit == "retract":
            cut = made.retract(made.item(chosen))
        elif chosen is not None and edit == "rewrite":
            cut = made.rewrite(made.item(chosen), pieces)
        elif chosen is not None:
            cut = made.extend(made.item(chosen), pieces, speculative=edit == "guess")
        del cache[cut:]
        assert tokens(made)[: len(cache)] == cache
        assert len(made) == len(tokens(made))
        half = len(cache) + (len(made) - len(cache)) // 2
        cache.extend(t for piece in made.slice(len(cache), half) for t in piece.ids)


# --- what is forgotten ------------------------------------------------------------------------


def filled(truncation: Truncation | None, *lengths: int) -> Timeline:
    """Five tokens of system message, two of an opening, 100 in all."""
    timeline = Timeline(Piece((0,) * 5), Piece((1, 1)), capacity_tokens=100)
    timeline.room.truncation = truncation
    for number, length in enumerate(lengths):
        timeline.insert(Item(f"i{number}", "user", [Piece((2,) * length)]))
    return timeline


def lengths(timeline: Timeline, count: int) -> list[int]:
    return [len(timeline.item(f"i{number}")) for number in range(count)]


def test_the_oldest_are_forgotten_and_keep_their_place() -> None:
    timeline = filled(Truncation(retention_ratio=1.0), 30, 30, 30)
    cut = timeline.insert(Item("i3", "user", [Piece((3,) * 20)]), "i2")
    assert lengths(timeline, 4) == [0, 30, 30, 20]
    assert cut == 5
    assert timeline.item("i0").forgotten
    timeline.insert(Item("new", "user"), "i0")
    assert timeline.start_of(timeline.item("new")) == 5


def test_a_ratio_forgets_more_than_it_must() -> None:
    timeline = filled(Truncation(retention_ratio=0.5), 30, 30, 30)
    timeline.insert(Item("i3", "user", [Piece((3,) * 10)]))
    assert lengths(timeline, 4) == [0, 0, 30, 10]


def test_items_have_a_limit_of_their_own() -> None:
    timeline = filled(Truncation(retention_ratio=1.0, items_tokens=40), 20, 20)
    timeline.insert(Item("i2", "user", [Piece((3,) * 15)]))
    assert lengths(timeline, 3) == [0, 20, 15]


def test_the_last_whole_item_and_one_that_grows_stay() -> None:
    timeline = filled(Truncation(retention_ratio=1.0), 40)
    growing = Item("i1", "user", complete=False)
    timeline.insert(growing)
    timeline.extend(growing, [Piece((4,) * 40)])
    with pytest.raises(RefusedError, match="100"):
        timeline.extend(growing, [Piece((4,) * 20)])
    assert lengths(timeline, 2) == [40, 40]


def test_nothing_is_forgotten_under_a_reply_or_without_leave() -> None:
    timeline = filled(Truncation(retention_ratio=1.0), 40, 40)
    timeline.room.answering = True
    with pytest.raises(RefusedError):
        timeline.insert(Item("i2", "user", [Piece((3,) * 20)]))
    with pytest.raises(RefusedError):
        filled(None, 40, 40, 20)
    assert lengths(timeline, 2) == [40, 40]


def test_as_much_room_as_there_can_be() -> None:
    timeline = filled(Truncation(retention_ratio=1.0), 30, 30, 30)
    assert timeline.attainable_room == timeline.room.free + 60
    assert timeline.make_room(90, must=False) == 5
    assert lengths(timeline, 3) == [0, 0, 30]
    timeline.room.answering = True
    assert timeline.attainable_room == timeline.room.free
    assert timeline.make_room(90, must=False) == len(timeline)
