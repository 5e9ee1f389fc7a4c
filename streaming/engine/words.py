"""What a reply says and calls, from the tokens that are drawn.

Knows which characters each token completes, which of them belong to a function call, and which
tokens are therefore words. Does not know sound.
"""

from __future__ import annotations

from model.tokenizer import TextStream, Tokenizer
from streaming.engine.tool_calls import CallDone, CallEvent, ToolCallParser, Where


class Words:
    """Tokens in, text and calls out.

    Args:
        tokenizer: of the checkpoint.
        calls: Look for function calls; without, everything is words.
        single: There may be one call.

    Attributes:
        said: Some text or call was given out.
        last: What the last token is: a word (TEXT), part of a call (CALL), or not known (PERHAPS);
            once the reply has ended, what was not known.
    """

    def __init__(self, tokenizer: Tokenizer, *, calls: bool = False, single: bool = False) -> None:
        self._stream = TextStream(tokenizer)
        self._parser = ToolCallParser(single=single) if calls else None
        self._tokens: list[int] = []
        self._held: list[int] = []  # tokens of what may become a call
        self.said = False
        self.last = Where.TEXT

    @property
    def tokens(self) -> tuple[int, ...]:
        """The tokens that are words for certain; all of them once the reply has ended."""
        return tuple(self._tokens)

    @property
    def calls(self) -> list[CallDone]:
        """The calls that are over."""
        return [] if self._parser is None else self._parser.calls

    @property
    def is_over(self) -> bool:
        """Whether the reply has made the one call that it may make, and so ends."""
        return self._parser is not None and self._parser.is_over

    def push(self, token: int) -> str:
        """Takes the next token; returns the words that are certain now, perhaps none."""
        characters = self._stream.push(token)
        text = characters if self._parser is None else self._parser.push(characters)
        self.last = self._kind(completes=bool(characters))
        match self.last:
            case Where.TEXT:
                self._tokens += [*self._held, token]
                self._held = []
            case Where.PERHAPS:
                self._held.append(token)
            case _:
                self._held = []
        return self._give(text)

    def flush(self) -> str:
        """The reply has no more tokens; returns the rest."""
        return self._give(self._end())

    def break_off(self) -> None:
        """The reply ends where it is: what may yet have become a call was not said."""
        self._held = []
        self._end()

    def call_events(self) -> list[CallEvent]:
        """What was found of calls since the last time, in order."""
        found = [] if self._parser is None else self._parser.events()
        self.said = self.said or bool(found)
        return found

    def _end(self) -> str:
        text = self._stream.flush()
        if self._parser is None:
            return text
        text = self._parser.push(text)
        was_call = self._parser.where in (Where.ARGUMENTS, Where.AFTER)
        calls = len(self._parser.calls)
        text += self._parser.finish()
        if was_call or len(self._parser.calls) > calls:
            self.last = Where.CALL
        else:
            self.last = Where.TEXT
            self._tokens += self._held
        self._held = []
        return text

    def _kind(self, *, completes: bool) -> Where:
        """What the token is that the parser took last, if it `completes` characters."""
        if self._parser is None:
            return Where.TEXT
        match self._parser.where:
            case Where.TEXT if self._parser.no_words_since and completes:
                return Where.CALL  # the end of a call, or the line break behind it
            case Where.TEXT:
                return Where.TEXT
            case Where.PERHAPS | Where.CALL:
                return Where.PERHAPS  # it may turn out to be none
            case _:
                return Where.CALL

    def _give(self, text: str) -> str:
        self.said = self.said or bool(text)
        return text
