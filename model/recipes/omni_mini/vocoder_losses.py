"""How the vocoder's sound is judged in training: spectral distances, then a small discriminator.

Knows waveforms and their spectrograms at several resolutions. Does not know the generator.

Source: multi-resolution STFT loss from "Parallel WaveGAN" (Yamamoto et al., 2020), the
    discriminator on spectrograms and its use from "UnivNet" (Jang et al., 2021), feature matching
    from MelGAN.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.speech_mel import speech_mel

# (window, hop) in samples at 24 kHz: from sharp in time to sharp in frequency.
_RESOLUTIONS = ((2048, 480), (1024, 240), (512, 120), (256, 60), (128, 32))
_JUDGED = ((1024, 240), (512, 120), (256, 60))
# Quieter than these, 60 to 80 dB below the voice, nothing is heard; without floors the digital
# silence of a synthetic teacher and its empty top bands would rule a loss of logarithms.
_FLOOR = 5e-5
_MEL_FLOOR = -8.5


def magnitude(waveform: Tensor, window: int, hop: int) -> Tensor:
    """Returns magnitudes `[B, bins, frames]` of `[B, S]`; a full-scale sine peaks near one half."""
    hann = torch.hann_window(window, device=waveform.device)
    spectrum = torch.stft(waveform, window, hop, window=hann, return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()
    return torch.sqrt(power + 1e-9) * (2 / window)


def spectral_distance(made: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Compares waveforms `[B, S]` by spectra at five resolutions.

    Returns:
        The mean L1 distance of log magnitudes, and that of magnitudes over the real one's mean.
    """
    log_distances, linear_distances = [], []
    for window, hop in _RESOLUTIONS:
        ours, theirs = magnitude(made, window, hop), magnitude(real, window, hop)
        log_distances.append(F.l1_loss(torch.log(ours + _FLOOR), torch.log(theirs + _FLOOR)))
        linear_distances.append((ours - theirs).abs().mean() / theirs.mean())
    return torch.stack(log_distances).mean(), torch.stack(linear_distances).mean()


def mel_distance(made: Tensor, real: Tensor) -> Tensor:
    """Returns the mean L1 distance of the audible log-mels of waveforms `[B, S]`."""
    return F.l1_loss(speech_mel(made).clamp(_MEL_FLOOR), speech_mel(real).clamp(_MEL_FLOOR))


class SpectrogramDiscriminator(nn.Module):
    """Judges each patch of compressed spectrograms at three resolutions."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.towers = nn.ModuleList(_tower(channels) for _ in _JUDGED)

    def forward(self, waveform: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Judges `[B, S]`.

        Returns:
            One score map a resolution, and all hidden features for the matching loss.
        """
        scores, features = [], []
        for tower, (window, hop) in zip(self.towers, _JUDGED, strict=True):
            hidden = magnitude(waveform, window, hop).pow(0.3)[:, None]  # [B, 1, bins, frames]
            assert isinstance(tower, nn.ModuleList)
            for layer in tower[:-1]:
                hidden = F.leaky_relu(layer(hidden), 0.1)
                features.append(hidden)
            scores.append(tower[-1](hidden))
        return scores, features


def _tower(channels: int) -> nn.ModuleList:
    widths = (1, channels, channels, 2 * channels, 2 * channels)
    layers = [
        nn.Conv2d(before, after, (9, 3), stride=(2, 1), padding=(4, 1))
        for before, after in pairwise(widths)
    ]
    return nn.ModuleList([*layers, nn.Conv2d(widths[-1], 1, 3, padding=1)])


def discriminator_loss(real_scores: Sequence[Tensor], made_scores: Sequence[Tensor]) -> Tensor:
    """Least squares: real patches should score one, made ones zero."""
    parts = [
        (real - 1).square().mean() + made.square().mean()
        for real, made in zip(real_scores, made_scores, strict=True)
    ]
    return torch.stack(parts).mean()


def generator_loss(made_scores: Sequence[Tensor]) -> Tensor:
    """Least squares: made patches should score one."""
    return torch.stack([(made - 1).square().mean() for made in made_scores]).mean()


def feature_distance(real: Sequence[Tensor], made: Sequence[Tensor]) -> Tensor:
    """Returns the mean L1 distance of features over the real ones' mean size."""
    parts = [
        (ours - theirs.detach()).abs().mean() / theirs.detach().abs().mean()
        for theirs, ours in zip(real, made, strict=True)
    ]
    return torch.stack(parts).mean()
