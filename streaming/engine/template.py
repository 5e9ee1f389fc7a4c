"""Words and encoder vectors as pieces of the prompt.

Knows the chat template's segments as pieces, and decoding back. Does not know conversations.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from model.chat import Chat
from model.omni import OmniModel
from streaming.engine.messages.content import Role, TextPart, ToolCallPart, ToolResultPart
from streaming.engine.pieces import Piece
from streaming.engine.sighted import Sighted, SightKind
from streaming.engine.tool_calls import call_text, result_text, system_text
from streaming.engine.words import Words


class Template:
    """Makes pieces for one checkpoint."""

    def __init__(self, model: OmniModel) -> None:
        chat = Chat(model.tokenizer)
        self._chat = chat
        self._tokenizer = model.tokenizer
        self._thinker = model.config.thinker
        self.user_open = Piece(tuple(chat.user_open()))
        self.user_close = Piece(tuple(chat.user_close()))
        self.audio_open = Piece(tuple(chat.audio_open()))
        self.audio_close = Piece(tuple(chat.audio_close()))
        self.answer_open = Piece(tuple(chat.assistant_open()))
        self.answer_close = Piece(tuple(chat.assistant_close()))

    def system(self, instructions: str, tools: Sequence[str] = ()) -> Piece:
        """A whole system message; without instructions and tools there is none."""
        text = system_text(instructions, tools)
        return Piece(tuple(self._chat.system(text)) if text else ())

    def text(self, text: str) -> Piece:
        """Plain text; what looks like a control token in it is text as well."""
        return Piece(tuple(self._chat.text(text)))

    def audio(self, vectors: Tensor) -> Piece:
        """What the encoder made of a block, [n, D]."""
        return Piece((self._thinker.audio_token_index,) * len(vectors), vectors)

    def is_sound(self, piece: Piece) -> bool:
        """Tells whether a piece is what an encoder made of sound."""
        return piece.embeds is not None and piece.ids[0] == self._thinker.audio_token_index

    def sighted(self, kind: SightKind) -> Sighted:
        """Makes the pieces of one image or video, in order."""
        return Sighted(self._chat, self._thinker, kind)

    def typed(self, role: Role, texts: Sequence[str]) -> list[Piece]:
        """A whole message of any role, of texts alone."""
        return self.written(role, [TextPart(text=text) for text in texts])

    def written(
        self, role: Role, parts: Sequence[TextPart | ToolCallPart | ToolResultPart]
    ) -> list[Piece]:
        """A whole message of any role without sound.

        Each message stands by itself: two calls of one reply are two messages of the assistant,
        where the published template would write both into one.
        """
        opening, closing = self._chat.opening(role), self._chat.closing()
        return [Piece(tuple(opening)), *map(self.part, parts), Piece(tuple(closing))]

    def answer(self, tokens: Sequence[int]) -> list[Piece]:
        """A whole answer that the model gave; one without tokens was never said."""
        if not tokens:
            return []
        return [self.answer_open, Piece(tuple(tokens)), self.answer_close]

    def decode(self, tokens: Sequence[int]) -> str:
        """Token ids back to text."""
        return self._tokenizer.decode(tokens)

    def part(self, part: TextPart | ToolCallPart | ToolResultPart) -> Piece:
        """A written part of a message."""
        match part:
            case TextPart(text=text):
                return self.text(text)
            case ToolCallPart(name=name, arguments=arguments):
                return self.text(call_text(name, arguments))
            case ToolResultPart(output=output):
                return self.text(result_text(output))

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text."""
        return self._chat.text(text)

    def words(self, *, calls: bool = False, single: bool = False) -> Words:
        """Token ids to text as they come, and with `calls` to function calls, or a `single` one."""
        return Words(self._tokenizer, calls=calls, single=single)
