"""What the Thinker's answers become before the teacher speaks them."""

import re

_SPEAKABLE = re.compile(r"^[A-Za-z0-9 ,.;:'!?\"%()-]+$")
MAX_WORDS = 26


def speakable(reply: str, *, finished: bool) -> str | None:
    """Cuts a reply to what can be spoken whole.

    Args:
        reply: The Thinker's text.
        finished: Whether it ended by itself; if not, the last word may be half a word.

    Returns:
        The text, or None when it is too short, too long or holds what a voice cannot say.
    """
    text = " ".join(reply.split())
    if not finished:
        sentence_end = max(text.rfind(mark) for mark in ".?!")
        text = (
            text[: sentence_end + 1] if sentence_end > 8 else text.rpartition(" ")[0].rstrip(",;:-")
        )
    words = text.split()
    if (
        not 1 <= len(words) <= MAX_WORDS
        or not _SPEAKABLE.match(text)
        or not re.search(r"[A-Za-z]", text)
    ):
        return None
    return text
