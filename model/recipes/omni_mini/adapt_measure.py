"""How well stage C goes: are spoken questions answered as typed ones, and written down as said?

Knows the measure on development questions. Does not know the held-out ones (`evaluate`).
"""

from collections.abc import Sequence

from torch import Tensor

from model.recipes.omni_mini.adapt import Student, greedy
from model.recipes.omni_mini.ear import LETTERS, letters_of, word_errors
from model.recipes.omni_mini.evaluate.key_word import agrees
from model.recipes.omni_mini.lessons import Chat, Lesson


def agreement(
    student: Student, chat: Chat, streams: Sequence[tuple[str, Tensor]]
) -> dict[str, float]:
    """Shares over (question, stream) pairs, greedy replies.

    Returns:
        "agree": the spoken question's answer says the key word of the typed one's; "kept": the
        typed one's answer says the key word of the base model's; "heard wer": of the transcripts.
    """

    def ask(*, typed: bool = False, transcribe: bool = False) -> list[str]:
        lessons = [
            Lesson(question=text, reply=[], transcribe=transcribe, stream=None if typed else stream)
            for text, stream in streams
        ]
        return greedy(student, chat, lessons)

    spoken, typed, heard = ask(), ask(typed=True), ask(transcribe=True)
    student.switch(active=False)
    base = ask(typed=True)
    student.switch(active=True)
    questions = [text for text, _ in streams]
    agreed = [agrees(q, t, s) for q, t, s in zip(questions, typed, spoken, strict=True)]
    kept = [agrees(q, b, t) for q, b, t in zip(questions, base, typed, strict=True)]
    wrong = [word_errors(_spelled(h), _spelled(q)) for h, q in zip(heard, questions, strict=True)]
    return {
        "agree": sum(agreed) / len(agreed),
        "kept": sum(kept) / len(kept),
        "heard wer": sum(errors for errors, _ in wrong) / sum(words for _, words in wrong),
    }


def _spelled(text: str) -> str:
    return "".join(LETTERS[i] for i in letters_of(text))
