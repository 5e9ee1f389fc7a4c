"""The 24 kHz log-mel that Token2Wav's recipe is trained on: what the DiT predicts and BigVGAN turns
into sound.

Knows: the figures of the analysis (window, hop, bins) for checkpoints trained here. The published
checkpoint carries no analysis of its own, because inference never computes this mel; only training
and measuring do.
"""

import functools

import numpy as np
import torch
from torch import Tensor

SAMPLE_RATE_HZ = 24_000
HOP_SAMPLES = 240
WINDOW_SAMPLES = 1_024
MEL_BINS = 80
FLOOR = 1e-5


@functools.cache
def mel_filterbank() -> Tensor:
    """Returns the Slaney-style triangular filters, 0 Hz to 12 kHz, area-normalised: `[bins,
    window/2 + 1]` float32.
    """
    edges_hz = _mel_to_hz(
        np.linspace(_hz_to_mel(0.0), _hz_to_mel(SAMPLE_RATE_HZ / 2), MEL_BINS + 2)
    )
    bins_hz = np.linspace(0, SAMPLE_RATE_HZ / 2, WINDOW_SAMPLES // 2 + 1)
    lower, centre, upper = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising, falling = (bins_hz - lower) / (centre - lower), (upper - bins_hz) / (upper - centre)
    filters = np.maximum(0, np.minimum(rising, falling)) * (2.0 / (upper - lower))
    return torch.from_numpy(filters.astype(np.float32))


def speech_mel(samples: Tensor) -> Tensor:
    """Computes the natural-log mel magnitude of speech.

    Args:
        samples: `[..., S]` float32 at 24 kHz in [-1, 1]; S a multiple of 240 gives exactly S / 240
            frames.

    Returns:
        `[..., 80, S // 240]` float32, not below ln(1e-5).
    """
    overhang = WINDOW_SAMPLES - HOP_SAMPLES
    padded = torch.nn.functional.pad(samples, (overhang // 2, overhang - overhang // 2))
    window = torch.hann_window(WINDOW_SAMPLES, device=samples.device)
    spectrum = torch.stft(
        padded, WINDOW_SAMPLES, HOP_SAMPLES, window=window, center=False, return_complex=True
    )
    magnitude = torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-9)  # [..., bins, T]
    return torch.log(torch.clamp(mel_filterbank().to(samples.device) @ magnitude, min=FLOOR))


def _hz_to_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + np.log(hz / 1000) * 27 / np.log(6.4)


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))
