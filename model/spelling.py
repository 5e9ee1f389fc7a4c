"""How a text token is spelled, for a Talker that has to pronounce it.

A large Talker learns from hours beyond count how each of its Thinker's tokens sounds. A small one
hears most tokens a few times or never: it is told their letters as well, so that what it learns of
one word holds for the next. An extra of our own checkpoints (`Extras.talker_spelling_letters`); the
published ones have none.
"""

import string

import torch
from torch import Tensor, nn

from model.tokenizer import Tokenizer

# 0 says that the token has no letter there.
_LETTERS = string.ascii_lowercase + string.digits + "'.,?!:;-() "
_OTHER = len(_LETTERS) + 1
_END = _OTHER + 1
SYMBOLS = 64
assert _END < SYMBOLS


class Spelling(nn.Module):
    """Letters of each token, and one vector for each letter at each place in a token.

    Attributes:
        symbols: `[vocabulary, letters]` uint8; follows from the tokenizer (`learn_letters`).
    """

    symbols: Tensor

    def __init__(self, vocab_size: int, letters: int, width: int) -> None:
        """Makes room.

        Args:
            vocab_size: Of the text tokens.
            letters: How many of a token count; what is longer is cut.
            width: Of the vectors.
        """
        super().__init__()
        self.register_buffer(
            "symbols", torch.zeros(vocab_size, letters, dtype=torch.uint8), persistent=False
        )
        self.places = nn.Embedding(letters * SYMBOLS, width)

    def forward(self, token_ids: Tensor) -> Tensor:
        """`[...]` int64 -> `[..., width]`, zero for tokens without letters."""
        symbols = self.symbols[token_ids].long()  # [..., letters]
        places = torch.arange(symbols.shape[-1], device=symbols.device) * SYMBOLS
        vectors: Tensor = self.places(symbols + places)
        return (vectors * (symbols != 0)[..., None]).sum(-2)

    def learn_letters(self, tokenizer: Tokenizer) -> None:
        """Fills `symbols`; control tokens get no letters."""
        vocab_size, letters = self.symbols.shape
        texts = (tokenizer.decode([id_]) for id_ in range(tokenizer.vocabulary_tokens))
        rows = torch.tensor([spell(text, letters) for text in texts], dtype=torch.uint8)
        self.symbols[: len(rows)] = rows[:vocab_size]


def spell(text: str, letters: int) -> list[int]:
    """Returns the symbols of a token's text, space included, its end marked if there is room."""
    symbols = [_LETTERS.find(letter) + 1 or _OTHER for letter in text.lower()]
    padded = [*symbols, _END, *[0] * letters] if symbols else [0] * letters
    return padded[:letters]
