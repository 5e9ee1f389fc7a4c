"""Sound files as mono samples, and samples as WAV files.

Knows files on disk and what makes one unusable; every refusal names the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from streaming.media.codecs import Samples
from streaming.media.errors import WavError
from streaming.media.resample import resample

MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 192_000


def read_wav(path: str | Path, *, rate_hz: int, max_seconds: float = 600.0) -> Samples:
    """A sound file as mono float32 at `rate_hz`; channels are averaged.

    Args:
        path: A WAV file (or another format that libsndfile reads).
        rate_hz: Rate of the result.
        max_seconds: Longest file that is taken.

    Returns:
        float32 [samples].

    Raises:
        WavError: Missing, not sound, empty, too long, a rate outside 8 to 192 kHz, or not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise WavError(f"{path}: there is no such file")
    try:
        with soundfile.SoundFile(path) as file:
            _check_header(path, file, max_seconds)
            samples = file.read(dtype="float32", always_2d=True)
            own_rate_hz = file.samplerate
    except soundfile.LibsndfileError as error:
        raise WavError(f"{path}: not readable as sound ({error.error_string})") from None
    if not len(samples):
        raise WavError(f"{path}: has no samples")
    if not np.isfinite(samples).all():
        raise WavError(f"{path}: has samples that are no numbers")
    mono = np.ascontiguousarray(samples.mean(axis=1))
    return resample(mono, own_rate_hz, rate_hz)


def write_wav(path: str | Path, samples: Samples, *, rate_hz: int) -> None:
    """Write mono samples as a 16-bit WAV file; what lies outside [-1, 1) is clipped.

    Raises:
        WavError: The file cannot be written.
    """
    try:
        soundfile.write(path, samples, rate_hz, format="WAV", subtype="PCM_16")
    except (soundfile.LibsndfileError, OSError) as error:
        raise WavError(f"{path}: cannot be written ({error})") from None


def _check_header(path: Path, file: soundfile.SoundFile, max_seconds: float) -> None:
    if not MIN_RATE_HZ <= file.samplerate <= MAX_RATE_HZ:
        raise WavError(
            f"{path}: {file.samplerate} Hz is not between {MIN_RATE_HZ} and {MAX_RATE_HZ} Hz"
        )
    seconds = file.frames / file.samplerate
    if seconds > max_seconds:
        raise WavError(f"{path}: {seconds:.1f} s is longer than {max_seconds:.1f} s (max_seconds)")
