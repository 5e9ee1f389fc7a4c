"""The spelling that a small Talker is told with its text."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.config import OmniConfig
from model.errors import ConfigError
from model.omni import load_checkpoint
from model.spelling import Spelling, spell
from model.talker import Talker
from model.tokenizer import Tokenizer
from tests import checkpoint
from tests.model import text, tiny

LETTERS = 5


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(text.backend())


@pytest.fixture
def spelling(tokenizer: Tokenizer) -> Spelling:
    made = Spelling(tokenizer.vocabulary_tokens + 2, LETTERS, width=8)
    made.learn_letters(tokenizer)
    return made


def test_symbols_follow_the_letters_and_mark_the_end() -> None:
    assert spell("Ab", 4) == [*spell("ab", 2), spell("", 1)[0] or spell("ab", 3)[2], 0]
    assert spell("cab", 3)[1:] == spell("ab", 2)
    assert spell("abcdef", 3) == spell("abc", 3)  # cut: no room for the end
    assert spell("", 3) == [0, 0, 0]
    assert len({spell(letter, 1)[0] for letter in "abcxyz019'., €"}) == 14


def test_every_place_of_a_letter_has_its_own_vector(spelling: Spelling) -> None:
    spelling.symbols[0] = torch.tensor(spell("ab", LETTERS))
    spelling.symbols[1] = torch.tensor(spell("ba", LETTERS))
    one, other = spelling(torch.tensor([0, 1]))
    assert not torch.allclose(one, other)
    symbols, places = spell("ab", LETTERS), spelling.places.weight.view(LETTERS, -1, 8)
    by_hand = sum(places[place, symbol] for place, symbol in enumerate(symbols) if symbol)
    torch.testing.assert_close(one, by_hand)


def test_control_tokens_and_ids_beyond_the_tokenizer_are_not_spelled(
    tokenizer: Tokenizer, spelling: Spelling
) -> None:
    control = text.backend().token_to_id(text.CONTROLS[0])
    beyond = tokenizer.vocabulary_tokens + 1
    assert not spelling(torch.tensor([control, beyond])).any()
    assert spelling(torch.tensor(tokenizer.encode("a"))).any()


def test_a_talker_without_spelling_leaves_vectors_alone() -> None:
    talker = Talker.of(tiny.config())
    vectors = torch.randn(3, talker.config.embedding_size)
    assert talker.spelled(vectors, torch.tensor([1, 2, 3])) is vectors


def test_a_checkpoint_with_spelling_loads_with_its_letters(tmp_path: Path) -> None:
    checkpoint.write_checkpoint(tmp_path)
    path = tmp_path / "config.json"
    data = json.loads(path.read_text())
    data["omnilive"]["talker_spelling_letters"] = LETTERS
    path.write_text(json.dumps(data))
    torch.manual_seed(0)
    talker = Talker.of(OmniConfig.load(tmp_path))
    assert talker.spelling is not None
    with pytest.raises(Exception, match=r"1 missing: talker\.spelling\.places\.weight"):
        load_checkpoint(tmp_path)
    places = {"talker.spelling.places.weight": talker.spelling.places.weight.detach()}
    checkpoint.add_shard(tmp_path, places)
    model = load_checkpoint(tmp_path, dtype="float32")
    id_ = model.tokenizer.encode("a")[-1]
    talker.spelling.learn_letters(model.tokenizer)
    torch.testing.assert_close(
        model.talker.spelled(torch.zeros(48), torch.tensor(id_)), talker.spelling(torch.tensor(id_))
    )


def test_no_letters_at_all_is_no_setting() -> None:
    with pytest.raises(ConfigError, match="talker_spelling_letters"):
        replace(tiny.config().omnilive, talker_spelling_letters=0)
