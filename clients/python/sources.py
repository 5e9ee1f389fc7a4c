"""Where a question's sound comes from: a file or a script, as frames at the pace of speech.

Knows sound files and pacing. Does not know the protocol. Every source gives the server's
input format: 24 kHz mono, signed 16 bit.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from clients.python.errors import SourceError

SAMPLE_RATE_HZ = 24_000
FRAME_MS = 40
MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 192_000
MAX_RECORDING_S = 600.0
# The question ends where it last was louder than this share of its peak (-40 dB).
SPEECH_FLOOR = 0.01

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recorded question.

    Attributes:
        samples: int16 [S] at `SAMPLE_RATE_HZ`, mono.
        speech_end_samples: Where the speech in it ends; trailing silence lies behind.
    """

    samples: Samples
    speech_end_samples: int

    @property
    def duration_s(self) -> float:
        """Length of the whole recording."""
        return len(self.samples) / SAMPLE_RATE_HZ


def read_recording(path: Path) -> Recording:
    """Reads a sound file of any rate and number of channels.

    Raises:
        SourceError: No such file, not a sound file, empty, too long, an odd rate, not finite.
    """
    if not path.is_file():
        raise SourceError(f"{path}: no such file")
    try:
        info = soundfile.info(path)
        if not MIN_RATE_HZ <= info.samplerate <= MAX_RATE_HZ:
            rates = f"{MIN_RATE_HZ} to {MAX_RATE_HZ} Hz"
            raise SourceError(f"{path}: {info.samplerate} Hz; a rate of {rates} is expected")
        if info.duration > MAX_RECORDING_S:
            raise SourceError(f"{path}: {info.duration:.0f} s; at most {MAX_RECORDING_S:.0f} s")
        wave, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise SourceError(f"{path}: not a sound file that can be read: {error}") from None
    if len(wave) == 0:
        raise SourceError(f"{path}: holds no samples")
    if not np.isfinite(wave).all():
        raise SourceError(f"{path}: holds samples that are no numbers")
    mono = wave.mean(axis=1)  # [S, C] -> [S]
    return recording(soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ))


def recording(wave: npt.NDArray[np.float32]) -> Recording:
    """Makes a recording of float samples [S] in -1..1 at `SAMPLE_RATE_HZ`."""
    loud = np.flatnonzero(np.abs(wave) > SPEECH_FLOOR * np.abs(wave).max(initial=0.0))
    return Recording(
        samples=np.round(np.clip(wave, -1, 1) * 32767).astype(np.int16),
        speech_end_samples=int(loud[-1]) + 1 if len(loud) else len(wave),
    )


def check_writable(path: Path) -> None:
    """Makes sure, as far as one can without writing, that a file can be written.

    Raises:
        SourceError: It cannot; says why.
    """
    if not path.parent.is_dir():
        reason = f"{path.parent} is no folder"
    elif path.is_dir():
        reason = "it is a folder"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        reason = "no permission"
    else:
        return
    raise SourceError(f"{path}: cannot be written: {reason}")


def write_wav(path: Path, samples: Samples, rate_hz: int) -> None:
    """Writes 16-bit mono samples.

    Raises:
        SourceError: The file cannot be written.
    """
    try:
        soundfile.write(path, samples, rate_hz, subtype="PCM_16", format="WAV")
    except (soundfile.LibsndfileError, OSError) as error:
        raise SourceError(f"{path}: cannot be written: {error}") from None


def script(*steps: Recording | float) -> Recording:
    """Makes one recording of several: what is said, and pauses between, in seconds.

    Raises:
        SourceError: The whole is too long, or a pause is negative.
    """
    pieces = [np.zeros(0, np.int16)]
    speech_end_samples = 0
    for step in steps:
        if isinstance(step, Recording):
            speech_end_samples = sum(map(len, pieces)) + step.speech_end_samples
            pieces.append(step.samples)
        elif 0 <= step <= MAX_RECORDING_S:
            pieces.append(np.zeros(round(step * SAMPLE_RATE_HZ), np.int16))
        else:
            raise SourceError(f"a pause of {step} s; 0 to {MAX_RECORDING_S:.0f} s are expected")
    whole = Recording(samples=np.concatenate(pieces), speech_end_samples=speech_end_samples)
    if whole.duration_s > MAX_RECORDING_S:
        raise SourceError(f"a script of {whole.duration_s:.0f} s; at most {MAX_RECORDING_S:.0f} s")
    return whole


@dataclass(frozen=True, slots=True)
class Frame:
    """Sound as a microphone gives it: `pcm` (s16 LE), whose last sample it had at `due_s`."""

    pcm: bytes
    due_s: float


async def frames(samples: Samples, *, then_silence: bool = False) -> AsyncIterator[Frame]:
    """Yields the samples in frames, each when a microphone would have had its last sample.

    Time is counted in samples from the first frame, so a late wake-up is caught up and never
    adds to the next. With `then_silence` it goes on with silence until the reader stops.
    """
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    frame_samples = SAMPLE_RATE_HZ * FRAME_MS // 1000
    quiet = np.zeros(frame_samples, np.int16)
    for begin in itertools.count(step=frame_samples):
        frame = samples[begin : begin + frame_samples]
        if not len(frame):
            if not then_silence:
                return
            frame = quiet
        due_s = start_s + (begin + len(frame)) / SAMPLE_RATE_HZ
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        yield Frame(frame.tobytes(), due_s)


async def paced(samples: Samples, *, then_silence: bool = False) -> AsyncIterator[bytes]:
    """Yields what `frames` yields, for whoever does not measure."""
    async for frame in frames(samples, then_silence=then_silence):
        yield frame.pcm
