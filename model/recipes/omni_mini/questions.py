"""Everyday questions from templates, split into training and held-out ones.

Knows how the plain subjects and sentence forms of `questions.toml` combine. Does not know the
answers: those come from the Thinker itself (`texts.py`), because the spoken question must be
answered as the typed one is.
"""

import random
import re
import tomllib
from collections.abc import Iterator
from importlib import resources
from typing import Any


def _data() -> dict[str, Any]:
    path = resources.files("model.recipes.omni_mini") / "questions.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def openings() -> list[str]:
    """Returns how a user's turn may begin."""
    return list(_data()["openings"])


def all_questions() -> Iterator[str]:
    """Yields every question of every form and subject, in a fixed order."""
    data = _data()
    for kind in data["kinds"].values():
        for form in kind.get("forms", []):
            for subject in kind["subjects"]:
                yield re.sub(r"\ba (?=[aeiou])", "an ", form.format(subject))
    numbers = data["kinds"]["number"]["subjects"]
    for a in numbers:
        for b in numbers:
            yield f"What is {a} plus {b}?"
    yield from data["others"]


def split_questions(*, held_out: int = 100, seed: int = 7) -> tuple[list[str], list[str]]:
    """Splits the questions into training and held-out ones.

    Args:
        held_out: How many questions are kept for measuring only.
        seed: Of the shuffle; the split is part of the recipe and never changes.

    Returns:
        `(train, held_out)`, disjoint, each in shuffled order.
    """
    questions = sorted(set(all_questions()))
    random.Random(seed).shuffle(questions)
    return questions[held_out:], questions[:held_out]
