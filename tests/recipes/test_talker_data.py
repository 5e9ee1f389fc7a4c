import torch
from hypothesis import given
from hypothesis import strategies as st

from model.recipes.omni_mini.talker_data import (
    CODEC_ADVANCE,
    CODEC_END,
    CODEC_PAD,
    CODEC_START,
    CODEC_VOCABULARY,
    lay_out,
    schedule,
    token_starts_s,
)
from model.talker import FeedVectors, Talker, TalkerFeed
from tests.model.tiny import config

starts = st.lists(st.floats(0, 4, allow_nan=False), min_size=1, max_size=12).map(sorted)
codes = st.lists(st.integers(0, 1023), min_size=1, max_size=90)


@given(starts, codes)
def test_every_code_and_every_vector_is_scheduled_once(starts_s, spoken):
    targets = schedule(starts_s, starts_s[-1] + 0.2, spoken)
    assert [t for t in targets if t < 1024] == spoken
    assert targets.count(CODEC_ADVANCE) == len(starts_s)
    assert targets[-1] == CODEC_END


@given(starts, codes)
def test_each_code_sees_the_token_that_sounds(starts_s, spoken):
    asked = heard = 0
    end_s = starts_s[-1] + 0.2
    for target in schedule(starts_s, end_s, spoken)[:-1]:
        if target == CODEC_ADVANCE:
            asked += 1
            continue
        if heard < len(spoken):
            assert asked == sum(int(s * 25) <= heard for s in (*starts_s[1:], end_s))
        heard += 1


def test_tokens_share_a_words_time_by_letters():
    # "unhappy now": "un" + "happy" in a word from 0 to 1 s, " now" from 1 s
    words = [(0, 0.0), (8, 1.0), (11, 1.4)]
    found = token_starts_s("unhappy now", [(0, 2), (2, 7), (7, 11)], words)
    assert found == [0.0, 0.25, 1.0]


def test_layout_is_what_the_feed_gives():
    torch.manual_seed(0)
    talker_config = config().talker
    talker = Talker(talker_config)
    width = talker_config.embedding_size
    advance, last_code = 5, 6
    targets = torch.tensor([advance, 1, 2, advance, 3, advance, 4, last_code])
    reply, special = torch.randn(3, width), torch.randn(2, width)
    pad, start = 7, 8
    rows = lay_out(
        torch.zeros(0, width),
        reply,
        special,
        talker.model.embed_tokens,
        targets[:-1],
        targets,
        advance_token_id=advance,
        opening_codes=(pad, start),
    )
    feed = TalkerFeed(
        talker=talker,
        vectors=FeedVectors(
            text_bos=special[0],
            text_eos=special[1],
            text_pad=torch.zeros(width),
            codec_pad=talker.codec_embed(torch.tensor(pad)),
            codec_bos=talker.codec_embed(torch.tensor(start)),
        ),
        advance_token_id=advance,
    )
    for vector in reply:
        feed.push(vector)
    feed.finish()
    taken = [feed.next_input(None)] + [feed.next_input(int(code)) for code in targets[:-1]]
    torch.testing.assert_close(rows, torch.cat(taken))


def test_special_codes_lie_inside_the_vocabulary():
    assert max(CODEC_PAD, CODEC_START, CODEC_END, CODEC_ADVANCE) < CODEC_VOCABULARY
