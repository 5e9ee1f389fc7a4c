"""Sound files in memory: any that libsndfile reads, to the engine's samples, and answers as files.

Knows formats and bounds. Does not know requests.
"""

from __future__ import annotations

import io

import numpy as np
import soundfile

from streaming.media.codecs import decode
from streaming.media.formats import PCM_24K
from streaming.media.resample import MODEL_RATE_HZ, resample
from streaming.protocol.errors import ProtocolError

# Formats of answers, as libsndfile calls them; Opus knows no 24 kHz container but Ogg.
_ENCODINGS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "opus": ("OGG", "OPUS"),
}
# Samples without a header come in the format of the Realtime API.
_RAW = ("pcm16", "pcm")


def decoded_sound(data: bytes, kind: str | None, *, max_ms: int, param: str) -> bytes:
    """Returns a sound file as float32 LE, 16 kHz, mono; its channels are averaged.

    Args:
        data: The file; with the kind "pcm16" bare s16 LE samples, 24 kHz, mono.
        kind: What the client calls its format; libsndfile finds out by itself.
        max_ms: Longest that is taken.
        param: Where it stands in the request.

    Raises:
        ProtocolError: No sound that can be read, or too much of it.
    """
    if kind in _RAW:
        samples, rate_hz = decode(data[: len(data) // 2 * 2], PCM_24K), PCM_24K.rate_hz
    else:
        samples, rate_hz = _read(data, max_ms, param)
    if not len(samples) or len(samples) * 1000 > max_ms * rate_hz:
        length_ms = len(samples) * 1000 // rate_hz
        raise _refusal(
            f"{length_ms}ms of audio, expected at least one sample and at most {max_ms}ms "
            "(max_turn_ms)",
            param,
        )
    if not np.isfinite(samples).all():
        raise _refusal("some samples are no numbers", param)
    return resample(samples, rate_hz, MODEL_RATE_HZ).astype("<f4").tobytes()


def encoded_sound(pcm: bytes, kind: str) -> bytes:
    """Returns s16 LE 24 kHz mono samples as a file of the format that was asked for."""
    if kind in _RAW:
        return pcm
    container, encoding = _ENCODINGS[kind]
    file = io.BytesIO()
    samples = np.frombuffer(pcm, dtype="<i2")
    soundfile.write(file, samples, PCM_24K.rate_hz, format=container, subtype=encoding)
    return file.getvalue()


def _read(data: bytes, max_ms: int, param: str) -> tuple[np.ndarray, int]:
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate_hz = int(file.samplerate)
            # One more than may be, so that a file that is too long is seen to be.
            most = max_ms * rate_hz // 1000 + 1
            samples = file.read(most, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _refusal(f"no sound file that can be read: {error}", param) from None
    return np.ascontiguousarray(samples.mean(axis=1)), rate_hz


def _refusal(why: str, param: str) -> ProtocolError:
    return ProtocolError("invalid_value", f"Invalid '{param}': {why}.", param)
