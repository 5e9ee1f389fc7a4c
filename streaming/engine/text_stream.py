"""Token ids in, text out as early as it is final.

Knows that a character can spread over several tokens. Does not know which tokenizer decodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

# What a decoder puts where the bytes are no character yet.
REPLACEMENT = "�"
# No character is longer: after so many tokens an open one is taken to be broken.
MAX_OPEN_TOKENS = 8

Decode = Callable[[Sequence[int]], str]


class TextStream:
    """Decodes a growing run of tokens; emitted text is final.

    Only the tokens since the last cut between two characters are decoded again, so the work for one
    token does not grow with the text.
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._context: list[int] = []
        self._open: list[int] = []

    def push(self, token: int) -> str:
        """Takes a token and returns the text that is final now; may be empty."""
        self._open.append(token)
        return self._emit(final=len(self._open) >= MAX_OPEN_TOKENS)

    def flush(self) -> str:
        """Returns what is left, whole character or not."""
        return self._emit(final=True)

    def _emit(self, *, final: bool) -> str:
        before = self._decode(self._context)
        text = self._decode([*self._context, *self._open])
        if not self._open or (text.endswith(REPLACEMENT) and not final):
            return ""
        # The previous tokens stay as context: some decoders treat a first token's space specially.
        self._context, self._open = self._open, []
        return text[len(before) :]
