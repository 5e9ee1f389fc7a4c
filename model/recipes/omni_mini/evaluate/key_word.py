"""The word of a reply that carries its meaning, for comparing two replies.

Knows function words and the question; does not know meanings: a reply agrees with another when it
says the other's key word.
"""

import re

_WORDS = (
    "a an the is are was were be been being am of to in on at for and or but if so as by it "
    "its that this these those with from you your i my me we our they their he his she her "
    "there here have has had do does did can could will would shall should may might must not "
    "no yes what which who whom how when where why very more most than then some any all also "
    "about into out up over such one known called often like used just only other many much s "
    "t re ve ll d m sorry assistant voice sure question sentence short answer help please "
    "thank thanks "
)
_FUNCTION_WORDS = frozenset(_WORDS.split())


def words_of(text: str) -> list[str]:
    """Returns the words and numbers of a text in lower case."""
    return re.findall(r"[a-z]+|\d+", text.lower())


def key_word(question: str, reply: str) -> str | None:
    """Finds the first content word of a reply that the question did not already say.

    Args:
        question: The typed question.
        reply: Its answer.

    Returns:
        The word; the reply's first content word if the question said them all; None if it has none.
    """
    asked = set(words_of(question))
    words = (word for word in words_of(reply) if word not in _FUNCTION_WORDS)
    content = [word for word in words if len(word) > 1 or word.isdigit()]
    new = [word for word in content if word not in asked]
    return next(iter(new or content), None)


def agrees(question: str, reference: str, reply: str) -> bool:
    """Says whether `reply` holds the key word of `reference` (or equals it, if it has none)."""
    word = key_word(question, reference)
    return reference.strip() == reply.strip() if word is None else word in words_of(reply)
