"""Text to token ids and back, with a checkpoint's own byte-level BPE.

Knows the files a checkpoint brings (tokenizer.json, or vocab.json with merges.txt), that text from
people never becomes a control token, and how to give out text while it is still being written. Does
not know which control tokens mean what (`model.chat`) or any id.
"""

import codecs
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from model.errors import CheckpointError

# How the published models cut text into words; tokenizer.json says it itself where there is one.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Tokenizer:
    """A checkpoint's tokenizer.

    Args:
        backend: byte-level BPE; its control tokens are its special added tokens.

    Raises:
        CheckpointError: the backend is not byte-level.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        if not isinstance(backend.decoder, decoders.ByteLevel):
            raise CheckpointError(
                f"the tokenizer decodes by {type(backend.decoder).__name__}; only ByteLevel is read"
            )
        # What a person wrote is text, even where it looks like a control token.
        backend.encode_special_tokens = True
        self._backend = backend
        added = backend.get_added_tokens_decoder()
        self._controls = frozenset(id_ for id_, token in added.items() if token.special)
        self._added = frozenset(added)

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Reads the tokenizer of the checkpoint in `directory`.

        Raises:
            CheckpointError: the files are missing or are no byte-level BPE.
        """
        whole = Path(directory) / "tokenizer.json"
        if not whole.exists():
            return cls(_from_vocabulary(Path(directory)))
        try:
            return cls(tokenizers.Tokenizer.from_file(str(whole)))
        except CheckpointError:
            raise
        except Exception as error:  # the library raises bare Exception for every broken file
            raise CheckpointError(f"{whole} is no tokenizer: {error}") from None

    @property
    def vocabulary_tokens(self) -> int:
        """How many ids it knows; a model's embedding may have rows beyond."""
        return self._backend.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; never a control token."""
        return self._backend.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids` without control tokens; broken characters become U+FFFD."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", errors="replace")

    def control(self, name: str) -> int:
        """The id of the control token `name` ("<|im_start|>").

        Raises:
            CheckpointError: the tokenizer has no such control token.
        """
        id_ = self._backend.token_to_id(name)
        if id_ is None or id_ not in self._controls:
            raise CheckpointError(f"the tokenizer has no control token {name}")
        return id_

    def token_bytes(self, id_: int) -> bytes:
        """The UTF-8 bytes one token stands for, perhaps part of a character; b"" for a control."""
        token = self._backend.id_to_token(id_)
        if token is None or id_ in self._controls:
            return b""
        if id_ in self._added:
            return token.encode()
        return bytes(_BYTE_OF[letter] for letter in token)


class TextStream:
    """Token ids in, text out, each character as soon as its last byte is there and never half."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, id_: int) -> str:
        """Takes the next token; gives the characters it completed, perhaps none."""
        return self._utf8.decode(self._tokenizer.token_bytes(id_))

    def flush(self) -> str:
        """The text is over: U+FFFD where a character never came whole; the stream is as new."""
        text = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return text


def _byte_of() -> dict[str, int]:
    """Byte-level BPE writes every byte as one printable letter; these are GPT-2's letters.

    Printable Latin-1 stands for itself, the other bytes for U+0100 and up, in order.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    letters = {chr(byte): byte for byte in printable}
    return letters | {chr(0x100 + place): byte for place, byte in enumerate(others)}


_BYTE_OF = _byte_of()


def _from_vocabulary(directory: Path) -> tokenizers.Tokenizer:
    """The published tokenizer of a checkpoint that has only vocab.json and merges.txt."""
    try:
        vocabulary = json.loads((directory / "vocab.json").read_text(encoding="utf-8"))
        lines = (directory / "merges.txt").read_text(encoding="utf-8").splitlines()
        pairs = (line.partition(" ") for line in lines if line and line[:9] != "#version:")
        merges = [(first, second) for first, _, second in pairs]
        backend = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    except OSError as error:
        raise CheckpointError(
            f"{directory} has neither tokenizer.json nor vocab.json with merges.txt: {error}"
        ) from None
    except Exception as error:  # broken JSON, or the library's bare Exception
        raise CheckpointError(f"{directory}: vocab.json and merges.txt: {error}") from None
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    for id_, token in sorted(_added_tokens(directory).items()):
        backend.add_tokens([token])
        if backend.token_to_id(token.content) != id_:
            raise CheckpointError(f"{directory}: added token {token.content} cannot have id {id_}")
    return backend


def _added_tokens(directory: Path) -> dict[int, AddedToken]:
    """Control tokens and other additions, from tokenizer_config.json or added_tokens.json."""

    def read(name: str) -> Any:
        path = directory / name
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except ValueError as error:
            raise CheckpointError(f"{path} is not JSON: {error}") from None

    described = read("tokenizer_config.json").get("added_tokens_decoder", {})
    if described:
        return {
            int(id_): AddedToken(
                entry["content"], special=entry.get("special", False), normalized=False
            )
            for id_, entry in described.items()
        }
    plain = read("added_tokens.json")
    return {id_: AddedToken(name, special=True, normalized=False) for name, id_ in plain.items()}
