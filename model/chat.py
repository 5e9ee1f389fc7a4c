"""The chat template, as the segments a conversation is put together from.

Knows the control tokens by their published names and what stands between messages. Does not know
what fills a placeholder, positions, or when a segment is due.

Every segment is tokenised by itself, so that a conversation grows without looking back and the
whole equals its pieces. The ids are those of the published template, which is tokenised in one go,
unless a message begins with a blank line: there, its break and the role's would be one token.
"""

from collections.abc import Sequence
from typing import Literal

from model.tokenizer import Tokenizer

Role = Literal["system", "user", "assistant"]


class Chat:
    """Makes the segments for one tokenizer; every method returns token ids.

    Raises:
        CheckpointError: the tokenizer lacks a control token that is asked for.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._start = tokenizer.control("<|im_start|>")
        self._end = tokenizer.control("<|im_end|>")
        self._break = tokenizer.encode("\n")

    def opening(self, role: Role) -> list[int]:
        """What comes before a message's content."""
        return [self._start, *self._tokenizer.encode(role), *self._break]

    def closing(self) -> list[int]:
        """What comes after a message's content."""
        return [self._end, *self._break]

    def text(self, text: str) -> list[int]:
        """Words as content; whatever they look like, they are no control tokens."""
        return self._tokenizer.encode(text)

    def message(self, role: Role, text: str) -> list[int]:
        """A whole message of text."""
        return [*self.opening(role), *self.text(text), *self.closing()]

    def system(self, text: str) -> list[int]:
        """A whole system message."""
        return self.message("system", text)

    def user_open(self) -> list[int]:
        """Before what the user says."""
        return self.opening("user")

    def user_close(self) -> list[int]:
        """After what the user says."""
        return self.closing()

    def assistant_open(self) -> list[int]:
        """Before the reply: the model goes on from here."""
        return self.opening("assistant")

    def assistant_close(self) -> list[int]:
        """After the reply; the model ends it with the first of these itself."""
        return self.closing()

    def audio_open(self) -> list[int]:
        """Before audio placeholders."""
        return [self._tokenizer.control("<|audio_bos|>")]

    def audio_close(self) -> list[int]:
        """After audio placeholders."""
        return [self._tokenizer.control("<|audio_eos|>")]

    def vision_open(self) -> list[int]:
        """Before the placeholders of an image or video; with sound, `audio_open` comes next."""
        return [self._tokenizer.control("<|vision_bos|>")]

    def vision_close(self) -> list[int]:
        """After the placeholders of an image or video."""
        return [self._tokenizer.control("<|vision_eos|>")]

    def whole(
        self, messages: Sequence[tuple[Role, str]], *, system_prompt: str, reply: bool = True
    ) -> list[int]:
        """A conversation of text.

        Args:
            messages: role and text of each, in order.
            system_prompt: comes first where the messages do not begin with a system message.
            reply: end with the opening of the assistant's message.
        """
        if not messages or messages[0][0] != "system":
            messages = [("system", system_prompt), *messages]
        ids = [id_ for role, text in messages for id_ in self.message(role, text)]
        return [*ids, *self.assistant_open()] if reply else ids
