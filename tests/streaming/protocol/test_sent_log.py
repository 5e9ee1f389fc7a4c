"""What is kept for a client that comes back: numbers without gaps, bounds, and one reader."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.protocol import resumption
from streaming.protocol.sent_log import SentLog

EVENT = {"type": "response.output_audio.delta", "delta": "A" * 50}
SIZE = len(orjson.dumps({**EVENT, "x_seq": 1}))


def log(max_events=100, max_bytes=100_000):
    return SentLog(max_events=max_events, max_bytes=max_bytes)


def taken(log):
    numbers = []
    while (frame := log.peek()) is not None:
        numbers.append(orjson.loads(frame)["x_seq"])
        log.pop()
    return numbers


def test_events_are_numbered_from_one_on_and_otherwise_as_they_were():
    kept = log()
    kept.append(EVENT)
    kept.append({"type": "response.done"})
    kept.rewind(0)
    assert orjson.loads(kept.peek()) == {**EVENT, "x_seq": 1}
    assert "x_seq" not in EVENT
    assert taken(kept) == [1, 2]


def test_what_was_sent_can_be_sent_again():
    kept = log()
    kept.rewind(0)
    for _ in range(5):
        kept.append(EVENT)
    assert taken(kept) == [1, 2, 3, 4, 5]
    kept.leave()
    kept.append(EVENT)
    assert kept.holds_after(2)
    kept.rewind(2)
    assert taken(kept) == [3, 4, 5, 6]


def test_nothing_is_dropped_before_the_first_reader_has_come():
    kept = log(max_bytes=1)
    kept.append(EVENT)
    kept.append(EVENT)
    kept.rewind(0)
    assert taken(kept) == [1, 2]
    assert kept.first == 3


@pytest.mark.parametrize("bounds", [{"max_events": 3}, {"max_bytes": 3 * SIZE}])
def test_only_so_much_is_kept_of_what_was_sent(bounds):
    kept = log(**bounds)
    kept.rewind(0)
    for _ in range(9):
        kept.append(EVENT)
    assert (kept.waiting, kept.waiting_bytes) == (9, 9 * SIZE)
    assert taken(kept) == list(range(1, 10)), "what the reader waits for is not dropped"
    assert kept.first == 7
    assert kept.holds_after(6)
    assert not kept.holds_after(5)


def test_without_a_reader_the_bounds_hold_for_all():
    kept = log(max_events=3)
    kept.rewind(0)
    for _ in range(5):
        kept.append(EVENT)
    kept.leave()
    assert (kept.first, kept.last, kept.waiting, kept.waiting_bytes) == (3, 5, 0, 0)
    kept.append(EVENT)
    assert kept.first == 4
    kept.rewind(kept.last)
    assert taken(kept) == []


@given(
    st.integers(1, 5),
    st.integers(1, 6 * SIZE),
    st.lists(st.sampled_from(["append", "pop", "leave", "back"]), max_size=60),
)
def test_whatever_happens_nothing_is_skipped_and_the_bounds_hold(max_events, max_bytes, steps):
    kept = log(max_events, max_bytes)
    kept.rewind(0)
    seen, here = 0, True
    for step in steps:
        match step:
            case "append":
                kept.append(EVENT)
            case "pop" if here and kept.peek() is not None:
                number = orjson.loads(kept.peek())["x_seq"]
                assert number == seen + 1
                seen = number
                kept.pop()
            case "leave":
                kept.leave()
                here = False
            case "back" if not here:
                seen = seen if kept.holds_after(seen) else kept.last
                kept.rewind(seen)
                here = True
        behind = len(kept._frames) - kept.waiting
        assert behind <= max_events
        assert behind * SIZE <= max_bytes + 2 * behind  # numbers of two digits are a byte longer
        assert kept.waiting == (kept.last - seen if here else 0)


def test_the_words_of_a_resync_name_what_is_missing_and_which_limit_it_was():
    event = resumption.events_lost({"item_ids": ["a"]}, after=3, last=9, first=6, received=2)
    assert (event["code"], event["x_seq"], event["item_ids"]) == ("events_lost", 9, ["a"])
    assert "after 3 only those from 6 on" in event["message"]
    assert "resume_log_bytes" in event["message"]
    assert "30 s (resume_window_s)" in resumption.conversation_gone(30.0)["message"]
