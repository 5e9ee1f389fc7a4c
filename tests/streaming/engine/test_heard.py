"""From milliseconds of speech back to the tokens that were heard."""

from hypothesis import given
from hypothesis import strategies as st

from streaming.engine.heard import HeardMap


def asking(lead_tokens: int = 0) -> HeardMap:
    """Ten tokens, one taken every five codes, 25 codes a second: one token each 200 ms."""
    heard = HeardMap(codes_per_s=25.0, lead_tokens=lead_tokens, asks=True)
    for _ in range(10):
        heard.took_token()
        for _ in range(5):
            heard.spoke_code()
    return heard


def test_a_token_is_heard_from_the_code_it_was_taken_for() -> None:
    heard = asking()
    assert heard.tokens(0) == 0
    assert heard.tokens(1) == 1
    assert heard.tokens(200) == 1
    assert heard.tokens(201) == 2
    assert heard.tokens(1000) == 5


def test_the_lead_was_taken_but_not_said() -> None:
    assert asking(lead_tokens=2).tokens(1000) == 3
    assert asking(lead_tokens=2).tokens(100) == 0


def test_a_reply_heard_to_its_end_was_heard_whole() -> None:
    heard = asking(lead_tokens=2)
    heard.ended = True
    assert heard.tokens(2000) == 10
    assert heard.tokens(99_000) == 10


def published(*, ended: bool) -> HeardMap:
    """Ten tokens taken by the first ten codes of 100, 50 codes a second: two seconds."""
    heard = HeardMap(codes_per_s=50.0, lead_tokens=0, asks=False)
    for code in range(100):
        if code < 10:
            heard.took_token()
        heard.spoke_code()
    heard.ended = ended
    return heard


def test_a_talker_fed_ahead_is_heard_by_its_share_of_the_speech() -> None:
    assert published(ended=True).tokens(1000) == 5
    assert published(ended=True).tokens(2000) == 10


def test_before_the_end_is_known_speech_has_its_usual_pace() -> None:
    assert published(ended=False).tokens(1000) == 4
    assert published(ended=False).tokens(100) == 1
    # More than was said cannot have been heard.
    assert published(ended=False).tokens(99_000) == 8


@given(st.booleans(), st.booleans(), st.lists(st.booleans(), max_size=60))
def test_more_heard_is_never_fewer_tokens(asks: bool, ended: bool, steps: list[bool]) -> None:
    heard = HeardMap(codes_per_s=25.0, lead_tokens=1, asks=asks)
    for takes in steps:
        if takes:
            heard.took_token()
        heard.spoke_code()
    heard.ended = ended
    counts = [heard.tokens(ms) for ms in range(0, 3000, 50)]
    assert counts == sorted(counts)
    assert counts[-1] <= len(heard.taken_at)
