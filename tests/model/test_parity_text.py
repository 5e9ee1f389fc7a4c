"""Thinker and Talker beside the reference on one random state dict: text, turns, greedy tokens.

transformers 5.23 drops an attention mask that is all ones before its Talker runs, and its Talker
adds the codec-begin and codec-pad embeddings (and multimodal positions) only where it gets a mask.
So its `generate()` is given one masked token of padding on the left: then it does what the
published code did.
"""

import pytest
import torch
from torch import Tensor

from model.kv_cache import KVCache
from model.talker import FeedVectors, Talker, TalkerFeed
from model.thinker import Thinker, talker_vectors
from tests.model import tiny

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}  # float32; attention sums in another order
NEW_TEXT, NEW_CODES = 12, 40


@pytest.fixture(scope="module")
def reference():
    return tiny.reference_omni(seed=1)


@pytest.fixture(scope="module")
def thinker(reference) -> Thinker:
    made = Thinker(tiny.config().thinker)
    tiny.load_part(made, tiny.published_state(reference), "thinker.")
    return made


@pytest.fixture(scope="module")
def talker(reference) -> Talker:
    made = Talker(tiny.config().talker)
    tiny.load_part(made, tiny.published_state(reference), "talker.")
    return made


def _prompt(tokens: int = 23) -> Tensor:
    return torch.randint(0, tiny.TEXT_IDS, (1, tokens), generator=torch.Generator().manual_seed(9))


def _positions(start: int, stop: int) -> Tensor:
    return torch.arange(start, stop).expand(3, 1, -1)


@torch.no_grad()
def test_hidden_states_and_logits(reference, thinker: Thinker) -> None:
    ids = _prompt()
    theirs = reference.thinker(ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
    ours = thinker(thinker.embed(ids), _positions(0, ids.shape[1]))
    torch.testing.assert_close(ours.logits, theirs.logits, **TOLERANCE)
    torch.testing.assert_close(ours.hidden, theirs.hidden_states[-1], **TOLERANCE)


@torch.no_grad()
def test_rows_of_unlike_axes(reference, thinker: Thinker) -> None:
    ids = _prompt()
    positions = torch.randint(0, 90, (3, 1, 23), generator=torch.Generator().manual_seed(2))
    theirs = reference.thinker(ids, position_ids=positions)
    ours = thinker(thinker.embed(ids), positions)
    torch.testing.assert_close(ours.logits, theirs.logits, **TOLERANCE)


def _greedy_text(thinker: Thinker, cache: KVCache, ids: Tensor) -> list[int]:
    """Appends `ids` to slot 0 and writes `NEW_TEXT` tokens, the last of which is not fed."""
    text: list[int] = []
    while True:
        start = cache.lengths[0]
        hidden = thinker.step(
            thinker.embed(ids), _positions(start, start + ids.shape[1]), cache, [0]
        )
        text.append(int(thinker.logits(hidden[0, -1]).argmax()))
        if len(text) == NEW_TEXT:
            return text
        ids = torch.tensor([text[-1:]])


@torch.no_grad()
def test_greedy_text_over_several_turns(reference, thinker: Thinker) -> None:
    """The reference reads the whole conversation again each turn; ours goes on from its cache."""
    cache = KVCache(thinker.config.text, slots=1, capacity_tokens=256)
    history = torch.zeros(1, 0, dtype=torch.int64)
    for turn in range(3):
        question = _prompt(11 + turn)
        history = torch.cat([history, question], dim=1)
        theirs = reference.thinker.generate(
            input_ids=history,
            attention_mask=torch.ones_like(history),
            max_new_tokens=NEW_TEXT,
            do_sample=False,
            use_audio_in_video=False,
            eos_token_id=None,
            pad_token_id=0,
        )
        unread = history[:, cache.lengths[0] :]
        reply = _greedy_text(thinker, cache, unread)
        assert reply == theirs[0, history.shape[1] :].tolist(), f"turn {turn}"
        history = theirs


@torch.no_grad()
def test_talker_logits(reference, talker: Talker) -> None:
    inputs = torch.randn(1, 17, 48, generator=torch.Generator().manual_seed(3))
    theirs = reference.talker.model(
        inputs_embeds=reference.talker.thinker_to_talker_proj(inputs),
        position_ids=_positions(5, 22),
    ).last_hidden_state
    ours = talker(inputs, _positions(5, 22))
    torch.testing.assert_close(ours, reference.talker.codec_head(theirs), **TOLERANCE)


@torch.no_grad()
def test_greedy_codes_of_a_whole_reply(reference, thinker: Thinker, talker: Talker) -> None:
    """The reference's own generate(), from the prompt to the codes it hands its vocoder."""
    ids = _prompt()
    speaker = {
        "bos_token": 203,
        "cond": torch.zeros(1, 16),
        "ref_mel": torch.zeros(1, 30, 80),
    }
    handed = _codes_of_reference(reference, ids, speaker)
    cache = KVCache(thinker.config.text, slots=1, capacity_tokens=128)
    text = _greedy_text(thinker, cache, ids)
    fed = torch.tensor([text[:-1]])
    whole = torch.cat([ids, fed], dim=1)
    embeds = thinker.embed(whole)
    hidden = thinker(embeds, _positions(0, whole.shape[1])).hidden
    vectors = talker_vectors(embeds, hidden, torch.zeros_like(whole, dtype=torch.bool))[0]

    feed = TalkerFeed(talker=talker, vectors=_feed_vectors(thinker, talker, 203))
    for vector in vectors[ids.shape[1] :]:
        feed.push(vector)
    feed.finish()
    codes = _greedy_codes(talker, vectors[: ids.shape[1]], feed)
    assert codes == handed
    assert len(set(codes)) > 5  # a reply of one code over and over would show little


def _codes_of_reference(reference, ids: Tensor, speaker: dict) -> list[int]:
    handed = []
    hook = reference.token2wav.register_forward_pre_hook(
        lambda module, args, kwargs: handed.append(args[0]), with_kwargs=True
    )
    reference.speaker_map["someone"] = speaker
    padded = torch.nn.functional.pad(ids, (1, 0))
    mask = torch.ones_like(padded)
    mask[:, 0] = 0
    reference.generate(
        input_ids=padded,
        attention_mask=mask,
        speaker="someone",
        thinker_max_new_tokens=NEW_TEXT,
        thinker_do_sample=False,
        thinker_eos_token_id=None,
        thinker_pad_token_id=0,
        talker_max_new_tokens=NEW_CODES,
        talker_do_sample=False,
        talker_top_k=None,
        talker_top_p=None,
        talker_temperature=None,
        talker_eos_token_id=[219],
        talker_repetition_penalty=1.0,
        token2wav_num_steps=2,
    )
    hook.remove()
    return handed[0][0].tolist()


def _feed_vectors(thinker: Thinker, talker: Talker, bos_token: int) -> FeedVectors:
    config = talker.config
    texts = [bos_token, config.tts_text_end_token_id, config.tts_text_pad_token_id]
    codecs = [config.tts_codec_pad_token_id, config.tts_codec_start_token_id]
    text_bos, text_eos, text_pad = thinker.embed(torch.tensor(texts))
    codec_pad, codec_bos = talker.codec_embed(torch.tensor(codecs))
    return FeedVectors(
        text_bos=text_bos,
        text_eos=text_eos,
        text_pad=text_pad,
        codec_pad=codec_pad,
        codec_bos=codec_bos,
    )


def _greedy_codes(talker: Talker, conversation: Tensor, feed: TalkerFeed) -> list[int]:
    cache = KVCache(talker.config.decoder, slots=1, capacity_tokens=128)
    inputs = torch.cat([conversation, feed.next_input(None)])
    codes: list[int] = []
    while len(codes) < NEW_CODES:
        start = cache.lengths[0]
        logits = talker.step(inputs[None], _positions(start, start + len(inputs)), cache, [0])
        best = logits[0, -1]
        best[talker.config.tts_codec_start_token_id] = -torch.inf
        codes.append(int(best.argmax()))
        inputs = feed.next_input(codes[-1])
    return codes
