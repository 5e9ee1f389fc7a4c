"""The held-out spoken questions, as they were recorded once.

Knows one sound file of all questions and where each begins, so that measuring needs no synthesiser:
they are spoken by flite's voice `rms`, which nothing was trained on. `record` makes the file anew.
"""

import json
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from model.recipes.omni_mini.hearing_data import HELD_OUT_VOICE, SAMPLE_RATE_HZ, Synthesiser
from model.recipes.omni_mini.questions import split_questions

DATA = Path(__file__).parent / "data"
_SOUND, _INDEX = "held_out_questions.flac", "held_out_questions.json"


def record(directory: Path = DATA) -> None:
    """Speaks every held-out question in the held-out voice and writes sound and index."""
    _, questions = split_questions()
    synthesiser, rng = Synthesiser(), random.Random(0)
    rows = [synthesiser.speak(HELD_OUT_VOICE, question, rng) for question in questions]
    offsets = np.cumsum([0, *map(len, rows)]).tolist()
    directory.mkdir(parents=True, exist_ok=True)
    soundfile.write(directory / _SOUND, np.concatenate(rows), SAMPLE_RATE_HZ, subtype="PCM_16")
    index = {"voice": HELD_OUT_VOICE, "questions": questions, "offsets": offsets}
    (directory / _INDEX).write_text(json.dumps(index) + "\n")


def held_out(directory: Path = DATA) -> Sequence[tuple[str, np.ndarray]]:
    """Returns `(question, float32 samples at 16 kHz)` of each."""
    index = json.loads((directory / _INDEX).read_text())
    sound, rate_hz = soundfile.read(directory / _SOUND, dtype="float32")
    assert rate_hz == SAMPLE_RATE_HZ
    spans = pairwise(index["offsets"])
    return [(q, sound[a:b]) for q, (a, b) in zip(index["questions"], spans, strict=True)]
