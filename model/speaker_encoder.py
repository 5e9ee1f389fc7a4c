"""ECAPA-TDNN: a reference mel to one speaker vector.

Knows the published layers and names. Does not know the DiT that reads the vector, nor how long the
reference should be: statistics are pooled over whatever it is given.

Source: "ECAPA-TDNN" (Desplanques et al., 2020); the reference's `ECAPA_TimeDelayNet`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.errors import ConfigError
from model.figures import DiTConfig

_SMALLEST_VARIANCE = 1e-12


def _conv(before: int, after: int, kernel_size: int = 1, dilation: int = 1) -> nn.Conv1d:
    return nn.Conv1d(
        before, after, kernel_size, dilation=dilation, padding="same", padding_mode="reflect"
    )


class TimeDelay(nn.Module):
    """A dilated convolution and ReLU: `[B, before, T]` to `[B, after, T]`."""

    def __init__(self, before: int, after: int, kernel_size: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = _conv(before, after, kernel_size, dilation)

    def forward(self, signal: Tensor) -> Tensor:
        """Keeps the length: edges are reflected."""
        return F.relu(self.conv(signal))


class Res2Net(nn.Module):
    """Channel groups in a cascade: each group also sees what the one before made of its own."""

    def __init__(self, channels: int, scale: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        width = channels // scale
        self.scale = scale
        self.blocks = nn.ModuleList(
            TimeDelay(width, width, kernel_size, dilation) for _ in range(scale - 1)
        )

    def forward(self, signal: Tensor) -> Tensor:
        """`[B, C, T]` to the same shape."""
        first, *groups = signal.chunk(self.scale, dim=1)
        made = [first]
        for index, (group, block) in enumerate(zip(groups, self.blocks, strict=True)):
            made.append(block(group + made[-1] if index else group))
        return torch.cat(made, dim=1)


class SqueezeExcitation(nn.Module):
    """Scales channels by gates computed from their means over time."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels, squeezed)
        self.conv2 = _conv(squeezed, channels)

    def forward(self, signal: Tensor) -> Tensor:
        """`[B, C, T]` to the same shape."""
        mean = signal.mean(dim=2, keepdim=True)
        return signal * torch.sigmoid(self.conv2(F.relu(self.conv1(mean))))


class SqueezeExcitationRes2Net(nn.Module):
    """Pointwise, Res2Net, pointwise, gates; with a residual path."""

    def __init__(
        self, channels: int, scale: int, squeezed: int, kernel_size: int, dilation: int
    ) -> None:
        super().__init__()
        self.tdnn1 = TimeDelay(channels, channels)
        self.res2net_block = Res2Net(channels, scale, kernel_size, dilation)
        self.tdnn2 = TimeDelay(channels, channels)
        self.se_block = SqueezeExcitation(channels, squeezed)

    def forward(self, signal: Tensor) -> Tensor:
        """`[B, C, T]` to the same shape."""
        inner = self.tdnn2(self.res2net_block(self.tdnn1(signal)))
        gated: Tensor = self.se_block(inner)
        return gated + signal


class AttentiveStatistics(nn.Module):
    """Mean and deviation over time, weighted by attention that sees the plain ones."""

    def __init__(self, channels: int, attention_channels: int) -> None:
        super().__init__()
        self.tdnn = TimeDelay(3 * channels, attention_channels)
        self.conv = _conv(attention_channels, channels)

    def forward(self, signal: Tensor) -> Tensor:
        """`[B, C, T]` to `[B, 2 C, 1]`."""
        uniform = signal.new_full((1, 1, signal.shape[2]), 1.0 / signal.shape[2])
        context = [signal, *(part.expand_as(signal) for part in _statistics(signal, uniform))]
        attention = self.conv(torch.tanh(self.tdnn(torch.cat(context, dim=1))))
        return torch.cat(_statistics(signal, attention.softmax(dim=2)), dim=1)


def _statistics(signal: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and deviation over time, each `[B, C, 1]`."""
    mean = (weight * signal).sum(dim=2, keepdim=True)
    variance = (weight * (signal - mean).square()).sum(dim=2, keepdim=True)
    return mean, torch.sqrt(variance.clamp(_SMALLEST_VARIANCE))


class SpeakerEncoder(nn.Module):
    """The whole encoder: `[B, T, mel_dim]` log-mel to `[B, enc_dim]`.

    Raises:
        ConfigError: the `enc_*` lists differ in length, or middle widths differ from the first.
    """

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        widths, kernels, dilations = (
            config.enc_channels,
            config.enc_kernel_sizes,
            config.enc_dilations,
        )
        if not len(widths) == len(kernels) == len(dilations) or len(widths) < 3:
            raise ConfigError(
                "enc_channels, enc_kernel_sizes and enc_dilations must be of one length, "
                f"at least 3; got {len(widths)}, {len(kernels)}, {len(dilations)}"
            )
        middle = widths[0]
        if set(widths[:-1]) != {middle} or widths[-1] != middle * (len(widths) - 2):
            raise ConfigError(
                f"enc_channels {widths}: all but the last must be equal, and the last must be "
                "their sum without the first"
            )
        self.blocks = nn.ModuleList([TimeDelay(config.mel_dim, middle, kernels[0], dilations[0])])
        for kernel, dilation in zip(kernels[1:-1], dilations[1:-1], strict=True):
            self.blocks.append(
                SqueezeExcitationRes2Net(
                    middle, config.enc_res2net_scale, config.enc_se_channels, kernel, dilation
                )
            )
        self.mfa = TimeDelay(widths[-1], widths[-1], kernels[-1], dilations[-1])
        self.asp = AttentiveStatistics(widths[-1], config.enc_attention_channels)
        self.fc = _conv(2 * widths[-1], config.enc_dim)

    def forward(self, mel: Tensor) -> Tensor:
        """Pools a reference mel `[B, T, mel_dim]` into `[B, enc_dim]`."""
        hidden = mel.transpose(1, 2)  # [B, mel_dim, T]
        outputs = []
        for block in self.blocks:
            hidden = block(hidden)
            outputs.append(hidden)
        pooled = self.asp(self.mfa(torch.cat(outputs[1:], dim=1)))
        vector: Tensor = self.fc(pooled).squeeze(-1)
        return vector
