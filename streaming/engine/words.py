"""What a reply says, from the tokens that are drawn.

Knows which characters each token completes and whether any were given out. Does not know sound.
"""

from __future__ import annotations

from model.tokenizer import TextStream, Tokenizer


class Words:
    """Tokens in, text out.

    Attributes:
        said: Some text was given out.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._stream = TextStream(tokenizer)
        self.said = False

    def push(self, token: int) -> str:
        """Takes the next token; returns the text that is certain now, perhaps none."""
        return self._give(self._stream.push(token))

    def flush(self) -> str:
        """The reply has no more tokens; returns the rest."""
        return self._give(self._stream.flush())

    def _give(self, text: str) -> str:
        self.said = self.said or bool(text)
        return text
