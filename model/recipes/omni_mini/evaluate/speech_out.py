"""`eval speech-out`: can an independent recogniser write down what omni-mini says?

Knows the measure: the word error rate of whisper-base on the checkpoint's spoken replies to held-
out questions, beside its rate on the teacher voice speaking the same words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from model.generate import generate_turn
from model.omni import OmniModel
from model.prompt import Message, PromptBuilder, Text
from model.recipes.omni_mini.recogniser import Recogniser, word_errors, words
from model.recipes.omni_mini.teacher import TeacherVoice
from model.speech_mel import SAMPLE_RATE_HZ

REPLY_TOKENS = 32
_EAR_RATE_HZ = 16_000


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """One reply: its text, what the recogniser heard of ours and of the teacher's, our seconds."""

    text: str
    heard: str
    teacher_heard: str
    duration_s: float


def speak_replies(
    model: OmniModel,
    questions: Sequence[str],
    recogniser: Recogniser,
    *,
    seed: int = 0,
    progress: Callable[[int, Spoken], None] | None = None,
) -> list[Spoken]:
    """Lets the model answer typed questions aloud, and the teacher say the same words.

    Args:
        model: The checkpoint under test.
        questions: Held out from training.
        recogniser: The ear.
        seed: Of the Talker's draws and the DiT's noise; the number of the question is added.
        progress: Called after each.

    Returns:
        One entry a question; replies without a word are left out.
    """
    teacher, builder = TeacherVoice(), PromptBuilder(model.config, model.tokenizer)
    found: list[Spoken] = []
    for number, question in enumerate(questions):
        prompt = builder.build([Message(role="user", parts=[Text(text=question)])])
        turn = generate_turn(model, prompt, max_text_tokens=REPLY_TOKENS, seed=seed + number)
        text = " ".join(model.tokenizer.decode(turn.text_ids).split())
        if not words(text):
            continue
        told = teacher.speak(text).samples.astype(np.float32) / 32_768
        ours = turn.samples.cpu().numpy()
        entry = Spoken(
            text=text,
            heard=recogniser(_for_the_ear(ours)),
            teacher_heard=recogniser(_for_the_ear(told)),
            duration_s=len(ours) / SAMPLE_RATE_HZ,
        )
        found.append(entry)
        if progress:
            progress(number, entry)
    return found


def error_rates(entries: Sequence[Spoken]) -> tuple[float, float] | None:
    """Returns the word error rates `(ours, teacher)` over all replies together.

    None where nothing was said: then there is nothing that could be written down wrong.
    """
    total = sum(len(words(entry.text)) for entry in entries)
    if not total:
        return None
    ours = sum(word_errors(words(e.text), words(e.heard)) for e in entries)
    teacher = sum(word_errors(words(e.text), words(e.teacher_heard)) for e in entries)
    return ours / total, teacher / total


def _for_the_ear(samples: np.ndarray) -> np.ndarray:
    return np.asarray(soxr.resample(samples, SAMPLE_RATE_HZ, _EAR_RATE_HZ), np.float32)
