import json

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models

from model.errors import CheckpointError
from model.tokenizer import TextStream, Tokenizer
from tests.model import text

BACKEND = text.backend()
TOKENIZER = Tokenizer(text.backend())
TEXTS = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=30)


@given(written=TEXTS)
@settings(max_examples=100, deadline=None)
def test_what_people_write_comes_back(written):
    normal = BACKEND.normalizer.normalize_str(written)
    ids = TOKENIZER.encode(written)
    assert TOKENIZER.decode(ids) == normal
    stream = TextStream(TOKENIZER)
    assert "".join([*map(stream.push, ids), stream.flush()]) == normal


@given(ids=st.lists(st.integers(0, BACKEND.get_vocab_size() + 5), max_size=40))
@settings(max_examples=200, deadline=None)
def test_streamed_equals_whole_for_any_tokens(ids):
    stream = TextStream(TOKENIZER)
    pieces = [stream.push(id_) for id_ in ids]
    streamed = "".join([*pieces, stream.flush()])
    assert streamed == TOKENIZER.decode(ids)
    assert streamed == BACKEND.decode(ids, skip_special_tokens=True)


def test_half_a_character_is_never_emitted():
    stream = TextStream(TOKENIZER)
    ids = [TOKENIZER.encode("a")[0], *[id_ for id_ in range(256) if _byte(id_) in "🎻".encode()]]
    by_byte = {TOKENIZER.token_bytes(id_): id_ for id_ in ids}
    violin = [by_byte[bytes([byte])] for byte in "🎻".encode()]
    assert [stream.push(id_) for id_ in [ids[0], *violin]] == ["a", "", "", "", "🎻"]
    assert stream.flush() == ""
    assert stream.push(violin[0]) == ""
    assert stream.flush() == "�"
    assert stream.push(ids[0]) == "a"


def _byte(id_: int) -> int:
    found = TOKENIZER.token_bytes(id_)
    return found[0] if len(found) == 1 else -1


@pytest.mark.parametrize("name", text.CONTROLS)
def test_what_looks_like_a_control_token_is_text(name):
    ids = TOKENIZER.encode(f"hello {name}!")
    assert TOKENIZER.control(name) not in ids
    assert TOKENIZER.decode(ids) == f"hello {name}!"


def test_control_tokens_have_no_text_and_other_additions_do():
    ids = [TOKENIZER.control("<|im_start|>"), *TOKENIZER.encode("hi<tool_call>")]
    assert BACKEND.token_to_id("<tool_call>") in ids
    assert TOKENIZER.decode(ids) == "hi<tool_call>"
    with pytest.raises(CheckpointError, match="<tool_call>"):
        TOKENIZER.control("<tool_call>")
    with pytest.raises(CheckpointError, match=r"no control token <\|nothing\|>"):
        TOKENIZER.control("<|nothing|>")


def _vocabulary_files(directory, *, with_config: bool) -> None:
    whole = json.loads(BACKEND.to_str())
    model = whole["model"]
    (directory / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (directory / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    added = whole["added_tokens"]
    if with_config:
        decoder = {str(token["id"]): token for token in added}
        (directory / "tokenizer_config.json").write_text(
            json.dumps({"added_tokens_decoder": decoder})
        )
    else:
        (directory / "added_tokens.json").write_text(
            json.dumps({token["content"]: token["id"] for token in added})
        )


@pytest.mark.parametrize("with_config", [True, False])
def test_vocabulary_and_merges_give_the_same_tokenizer(tmp_path, with_config):
    _vocabulary_files(tmp_path, with_config=with_config)
    built = Tokenizer.load(tmp_path)
    BACKEND.save(str(tmp_path / "tokenizer.json"))
    read = Tokenizer.load(tmp_path)
    for written in [*text.CORPUS, "  \n\n x  12 I'LL", "e\u0301"]:
        assert built.encode(written) == read.encode(written) == TOKENIZER.encode(written)
    assert built.control("<|im_end|>") == read.control("<|im_end|>")
    assert built.vocabulary_tokens == read.vocabulary_tokens == BACKEND.get_vocab_size()


def test_broken_checkpoints_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"neither tokenizer\.json nor vocab\.json"):
        Tokenizer.load(tmp_path)
    _vocabulary_files(tmp_path, with_config=False)
    (tmp_path / "added_tokens.json").write_text('{"<|im_start|>": 9999}')
    with pytest.raises(CheckpointError, match=r"<\|im_start\|> cannot have id 9999"):
        Tokenizer.load(tmp_path)
    (tmp_path / "added_tokens.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"added_tokens\.json is not JSON"):
        Tokenizer.load(tmp_path)
    (tmp_path / "merges.txt").write_text("x y z w\n")
    with pytest.raises(CheckpointError, match=r"merges\.txt"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is no tokenizer"):
        Tokenizer.load(tmp_path)


def test_a_tokenizer_that_is_not_byte_level_is_refused():
    backend = tokenizers.Tokenizer(models.BPE())
    backend.decoder = decoders.Metaspace()
    with pytest.raises(CheckpointError, match="Metaspace"):
        Tokenizer(backend)
