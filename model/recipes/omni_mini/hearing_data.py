"""Stage `hearing-data`: typed questions to shards of spoken ones, in many voices, at 16 kHz.

Knows the training-time synthesisers (flite, espeak-ng, the piper teacher voice), which voices are
for training, which for development and which is never trained on, and how a recording is spoilt
(`augment`). Does not know networks or features.

A shard is `NNNN.npz` (`audio` int16, `offsets` int64 `[n + 1]`) and `NNNN.jsonl` (one
`{"text", "voice"}` an utterance).
"""

import json
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import soxr

from model.speech_mel import SAMPLE_RATE_HZ as TEACHER_RATE_HZ

if TYPE_CHECKING:
    from model.recipes.omni_mini.teacher import TeacherVoice

SAMPLE_RATE_HZ = 16_000
SHARD_UTTERANCES = 200
# "engine:voice". HELD_OUT is for the final measure only: no training and no choice uses it.
HELD_OUT_VOICE = "flite:rms"
DEV_VOICE = "espeak:en-gb+f4"
FLITE_VOICES = ("flite:awb", "flite:slt", "flite:kal16")
ESPEAK_VOICES = tuple(
    "espeak:" + name
    for name in (
        *("en-us", "en-us+m1", "en-us+m3", "en-us+m7", "en-us+f1", "en-us+f2", "en-us+f5"),
        *("en-us+Annie", "en-us+Alex", "en-us+Michael", "en-gb", "en-gb+m2", "en-gb-x-rp"),
        *("en-gb-x-rp+f3", "en-gb-scotland", "en-us-nyc", "en-us+klatt2", "en-us+linda"),
        *("en-us+steph", "en-us+Denis"),
    )
)
PIPER_VOICE = "piper:joe"
# Kept from the ear's own training, so that the Thinker learns to read an ear among strangers.
FRESH_VOICES = (
    *("flite:kal", "espeak:en-029", "espeak:en-gb-x-gbclan", "espeak:en-us+m5", "espeak:en-gb+m8"),
    *("espeak:en-us+f3", "espeak:en-us+Andy", "espeak:en-gb+Gene", "espeak:en-us+Jacky"),
    *("espeak:en-gb-x-gbcwmd", "espeak:en-us+Lee"),
)


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """A spoken text: `samples` are int16 at 16 kHz."""

    text: str
    voice: str
    samples: np.ndarray


class Synthesiser:
    """Speaks a text in any of the voices, at another pace and pitch each time if the engine can."""

    def __init__(self) -> None:
        self._teacher: TeacherVoice | None = None

    def speak(self, voice: str, text: str, rng: random.Random) -> np.ndarray:
        """Returns int16 samples at 16 kHz.

        Raises:
            ValueError: the voice's engine is not one of flite, espeak, piper.
            FileNotFoundError: the engine's program is not installed.
        """
        engine, _, name = voice.partition(":")
        if engine == "piper":
            return self._piper(text)
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            if engine == "flite":
                command = [
                    "flite",
                    "-voice",
                    name,
                    "--setf",
                    f"duration_stretch={rng.uniform(0.85, 1.2):.3f}",
                ]
                command += ["-t", text, "-o", file.name]
            elif engine == "espeak":
                command = [
                    "espeak-ng",
                    "-v",
                    name,
                    "-s",
                    str(rng.randint(135, 195)),
                    "-p",
                    str(rng.randint(30, 70)),
                ]
                command += ["-w", file.name, text]
            else:
                raise ValueError(f"voice {voice!r}: engine must be flite, espeak or piper")
            if shutil.which(command[0]) is None:
                raise FileNotFoundError(f"{command[0]} is not installed: voice {voice} needs it")
            subprocess.run(command, check=True, capture_output=True)
            samples, rate_hz = soundfile.read(file.name, dtype="float32")
        return _int16(soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ))

    def _piper(self, text: str) -> np.ndarray:
        from model.recipes.omni_mini.teacher import TeacherVoice

        self._teacher = self._teacher or TeacherVoice()
        samples = self._teacher.speak(text).samples.astype(np.float32) / 32768
        return _int16(soxr.resample(samples, TEACHER_RATE_HZ, SAMPLE_RATE_HZ))


def _int16(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.round(samples * 32767), -32768, 32767).astype(np.int16)


def plan(
    questions: Sequence[str],
    general: Sequence[str],
    *,
    espeak_each: int = 2,
    piper_share: float = 0.5,
    seed: int = 5,
) -> list[tuple[str, str]]:
    """Decides who says what: `(voice, text)` pairs, shuffled so that every shard is a fair sample.

    Args:
        questions: Each is spoken by every flite voice, `espeak_each` espeak ones, some by piper.
        general: Other sentences, for words the questions lack: each is spoken once, by any voice.
        espeak_each: espeak voices a question.
        piper_share: Part of the questions that piper (slow) speaks.
        seed: Of the choice and the shuffle.
    """
    rng = random.Random(seed)
    pairs = []
    for text in questions:
        voices = [*FLITE_VOICES, *rng.sample(ESPEAK_VOICES, espeak_each)]
        if rng.random() < piper_share:
            voices.append(PIPER_VOICE)
        pairs += [(voice, text) for voice in voices]
    everyone = [*FLITE_VOICES[:2] * 3, *ESPEAK_VOICES[:4], FLITE_VOICES[2]]
    pairs += [(rng.choice(everyone), text) for text in general]
    rng.shuffle(pairs)
    return pairs


def make_shards(pairs: Sequence[tuple[str, str]], directory: Path, *, seed: int = 5) -> None:
    """Speaks `(voice, text)` pairs into shards; a shard already there is left as it is."""
    directory.mkdir(parents=True, exist_ok=True)
    synthesiser = Synthesiser()
    for index, start in enumerate(range(0, len(pairs), SHARD_UTTERANCES)):
        path = directory / f"{index:04d}.npz"
        if path.exists():
            continue
        rng = random.Random(f"{seed} {index}")
        chosen = pairs[start : start + SHARD_UTTERANCES]
        audio = [synthesiser.speak(voice, text, rng) for voice, text in chosen]
        rows = [json.dumps({"text": text, "voice": voice}) + "\n" for voice, text in chosen]
        path.with_suffix(".jsonl").write_text("".join(rows))
        partial = path.with_suffix(".part.npz")
        np.savez(partial, audio=np.concatenate(audio), offsets=np.cumsum([0, *map(len, audio)]))
        partial.rename(path)


def read_shards(directory: Path) -> Iterator[Utterance]:
    """Yields every utterance of every finished shard, in order."""
    for path in sorted(directory.glob("[0-9][0-9][0-9][0-9].npz")):
        with np.load(path) as shard:
            audio, offsets = shard["audio"], shard["offsets"]
        rows = [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
        for row, begin, end in zip(rows, offsets[:-1], offsets[1:], strict=True):
            yield Utterance(text=row["text"], voice=row["voice"], samples=audio[begin:end])


def augment(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Spoils a recording as rooms, microphones and people do.

    Speed (and with it pitch and the length of the vocal tract) by up to 12 %, a random lead-in and
    tail of silence (so that the 2 s blocks cut anywhere), sometimes a room's echo, a tilt of the
    spectrum, noise at 8 to 45 dB, gain.

    Args:
        samples: int16 at 16 kHz.
        rng: Draws everything.

    Returns:
        float32 at 16 kHz, within -1..1.
    """
    x = samples.astype(np.float32) / 32768
    speed = rng.uniform(0.88, 1.13)
    positions = np.arange(0, len(x) - 1, speed)
    x = np.interp(positions, np.arange(len(x)), x).astype(np.float32)
    lead, tail = rng.uniform(0.05, 0.8), rng.uniform(0.1, 0.3)
    x = np.pad(x, (int(lead * SAMPLE_RATE_HZ), int(tail * SAMPLE_RATE_HZ)))
    if rng.random() < 0.3:
        x = _echo(x, rng)
    if rng.random() < 0.5:  # a microphone that favours low or high
        x[1:] = x[1:] + rng.uniform(-0.6, 0.6) * x[:-1]
    level = float(np.sqrt(np.mean(x**2))) + 1e-6
    noise = rng.standard_normal(len(x)).astype(np.float32)
    if rng.random() < 0.5:  # towards pink
        noise = np.convolve(noise, np.array([1, 0.9, 0.8, 0.6, 0.4, 0.2], np.float32), "same")
    noise *= level * 10 ** (-rng.uniform(8, 45) / 20) / float(np.std(noise))
    x = x + noise
    peak = float(np.abs(x).max()) + 1e-6
    return (x * (10 ** (-rng.uniform(1, 25) / 20) / peak)).astype(np.float32)


def _echo(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Convolves with a short exponentially decaying room."""
    length = int(rng.uniform(0.05, 0.2) * SAMPLE_RATE_HZ)
    room = (
        rng.standard_normal(length)
        * np.exp(-np.arange(length) / (length / 5))
        * rng.uniform(0.02, 0.1)
    )
    room[0] = 1.0
    size = 1 << (len(x) + length).bit_length()
    return np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(room, size), size)[: len(x)].astype(
        np.float32
    )
