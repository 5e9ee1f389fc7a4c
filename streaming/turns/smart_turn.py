"""Has the user finished? Smart Turn's answer, from the sound of the last eight seconds.

Knows its features, its weights and a probability. Knows nothing of turns.
Source: Smart Turn v3.2 (BSD-2) by way of `pipecat-ai`, whose wheel carries its weights; of that
package only the file is used. The features are Whisper's (`WhisperFeatureExtractor`), of the
waveform at zero mean and unit variance.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from streaming.media.codecs import Samples
from streaming.turns.errors import NoJudgeError

RATE_HZ = 16_000
WINDOW_SAMPLES = 8 * RATE_HZ
FFT_SAMPLES = 400
HOP_SAMPLES = 160
MELS = 80

_PACKAGE = "pipecat"
_WEIGHTS = Path("audio", "turn", "smart_turn", "data", "smart-turn-v3.2-cpu.onnx")


class EndJudge(Protocol):
    """Tells from its sound whether a turn is over."""

    def probability(self, samples: Samples) -> float:
        """Probability, 0 to 1, that float32 [n] at 16 kHz, a turn so far, is a whole one."""


class SmartTurn:
    """Smart Turn v3.2 on one thread; about 40 ms of one core an answer."""

    def __init__(self) -> None:
        """Loads the weights, once in a process.

        Raises:
            NoJudgeError: The package that carries them is not installed.
        """
        self._model = _model()

    def probability(self, samples: Samples) -> float:
        """Probability, 0 to 1, that float32 [n] at 16 kHz, a turn so far, is a whole one."""
        heard = np.zeros(WINDOW_SAMPLES, dtype=np.float32)
        last = samples[-WINDOW_SAMPLES:]
        heard[WINDOW_SAMPLES - len(last) :] = last
        (answer,) = self._model.run(None, {"input_features": log_mel(heard)[None]})
        return float(answer.reshape(-1)[0])


def log_mel(heard: Samples) -> Samples:
    """float32 [samples] -> Whisper's log-mel features, float32 [80, samples / 160]."""
    wave = (heard - heard.mean()) / np.sqrt(heard.var() + 1e-7)
    padded = np.pad(wave.astype(np.float64), FFT_SAMPLES // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SAMPLES)[::HOP_SAMPLES]
    window = np.hanning(FFT_SAMPLES + 1)[:-1]
    power = np.abs(np.fft.rfft(frames * window, axis=-1)) ** 2  # [frames + 1, bins]
    mel = np.log10(np.maximum(power[:-1] @ _mel_filters(), 1e-10)).T
    mel = np.maximum(mel, mel.max() - 8.0)
    return np.asarray((mel + 4.0) / 4.0, dtype=np.float32)


@cache
def _mel_filters() -> npt.NDArray[np.float64]:
    """Slaney's triangles of equal area, [bins, mels]."""
    linear_hz, linear_mel, step = 1000.0, 15.0, np.log(6.4) / 27.0
    top_mel = linear_mel + np.log(RATE_HZ / 2 / linear_hz) / step
    mels = np.linspace(0.0, top_mel, MELS + 2)
    log_part = linear_hz * np.exp(step * (mels - linear_mel))
    edges_hz = np.where(mels < linear_mel, mels * linear_hz / linear_mel, log_part)
    bins_hz = np.linspace(0.0, RATE_HZ / 2, FFT_SAMPLES // 2 + 1)
    widths = np.diff(edges_hz)
    slopes = edges_hz - bins_hz[:, None]  # [bins, mels + 2]
    rising, falling = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles * 2.0 / (edges_hz[2:] - edges_hz[:-2]))


@cache
def _model() -> Any:
    # Only sessions that ask for it pay for the runtime.
    package = importlib.util.find_spec(_PACKAGE)
    places = package.submodule_search_locations if package is not None else None
    weights = [path for place in places or () if (path := Path(place, _WEIGHTS)).is_file()]
    if not weights:
        raise NoJudgeError(
            f"Smart Turn's weights are not installed: {_PACKAGE}-ai with {_WEIGHTS.name} "
            "(requirements/smart-turn.txt)"
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise NoJudgeError(f"Smart Turn needs onnxruntime: {error}") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(weights[0]), sess_options=options, providers=["CPUExecutionProvider"]
    )
