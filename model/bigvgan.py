"""BigVGAN: log-mel frames to samples, whole or a stretch at a time.

Knows the published generator (transposed convolutions, residual blocks with anti-aliased SnakeBeta,
the rescaling of the mel in front), how far each sample looks to both sides, and how to give a
stream samples that are final. Does not know the DiT, codec tokens or who listens.

The network is not causal: a sample depends on up to `reach_frames` mel frames before and after its
own, a number computed from the config. `step` holds that many frames back, and computes that many
past frames again; its samples are those of `forward` over the whole mel, to float tolerance, for
any chunking. The outermost frames pass only through the outermost taps of every filter: a
checkpoint may declare, by measurement on its weights, that fewer give the same samples.

Source: "BigVGAN" (Lee et al., 2023); parameter names of the reference's
`Qwen2_5OmniToken2WavBigVGANModel`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.alias_free import CONTEXT_SAMPLES, AliasFreeSnake
from model.alias_free_kernels import MARGIN, repeat_edges, with_margin
from model.figures import BigVGANConfig

_OUTER_KERNEL = 7
# The mel's ln amplitude becomes decibels above this floor, scaled to [-1, 1].
_FLOOR_DB = -115.0
_REFERENCE_DB = 20.0


class ResidualBlock(nn.Module):
    """Dilated convolutions in residual pairs, an anti-aliased activation before each."""

    def __init__(self, channels: int, kernel_size: int, dilations: Sequence[int]) -> None:
        super().__init__()

        def conv(dilation: int) -> nn.Conv1d:
            padding = (kernel_size - 1) * dilation // 2
            return nn.Conv1d(channels, channels, kernel_size, dilation=dilation, padding=padding)

        self.convs1 = nn.ModuleList(conv(dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(conv(1) for _ in dilations)
        self.activations = nn.ModuleList(
            AliasFreeSnake(channels) for _ in range(2 * len(dilations))
        )

    def forward(self, padded: Tensor) -> Tensor:
        """`[B, C, MARGIN + T + MARGIN]`, edges repeated, to the same shape."""
        for index, (first, second) in enumerate(zip(self.convs1, self.convs2, strict=True)):
            # The convolutions leave room for the margin of the activation that follows.
            inner = convolved(first, self._activated(2 * index, padded), MARGIN)
            repeat_edges(inner.transpose(1, 2))
            outer = convolved(second, self._activated(2 * index + 1, inner), MARGIN)
            padded = outer.add_(padded)
            repeat_edges(padded.transpose(1, 2))
        return padded

    def _activated(self, index: int, padded: Tensor) -> Tensor:
        activation = self.activations[index]
        assert isinstance(activation, AliasFreeSnake)
        return activation.inside(padded)


@dataclass(slots=True)
class BigVGANState:
    """One stream's mel frames that are still needed.

    Attributes:
        frames: `[mel_dim, n]`: up to `context_frames` already spoken ones, then those not yet
            spoken.
        spoken_frames: How many of `frames` were already turned into samples.
    """

    frames: Tensor
    spoken_frames: int = 0


class BigVGAN(nn.Module):
    """The vocoder; `[B, mel_dim, T]` of natural-log mel to `[B, T * samples_per_frame]`.

    Args:
        config: Its figures.
        context_frames: What a stream waits for on each side; None is all that the network reaches.
    """

    def __init__(self, config: BigVGANConfig, context_frames: int | None = None) -> None:
        super().__init__()
        self.config = config
        widths = [
            config.upsample_initial_channel >> i for i in range(len(config.upsample_rates) + 1)
        ]
        self.conv_pre = nn.Conv1d(
            config.mel_dim, widths[0], _OUTER_KERNEL, padding=_OUTER_KERNEL // 2
        )
        # Each stage sits in a list of its own because the published names say so.
        self.ups = nn.ModuleList(
            nn.ModuleList(
                [nn.ConvTranspose1d(wide, narrow, kernel, rate, padding=(kernel - rate) // 2)]
            )
            for wide, narrow, rate, kernel in zip(
                widths,
                widths[1:],
                config.upsample_rates,
                config.upsample_kernel_sizes,
                strict=False,
            )
        )
        self.resblocks = nn.ModuleList(
            ResidualBlock(width, kernel, dilations)
            for width in widths[1:]
            for kernel, dilations in zip(
                config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True
            )
        )
        self.activation_post = AliasFreeSnake(widths[-1])
        self.conv_post = nn.Conv1d(
            widths[-1], 1, _OUTER_KERNEL, padding=_OUTER_KERNEL // 2, bias=False
        )
        self.context_frames = context_frames or reach_frames(config)

    def forward(self, mel: Tensor) -> Tensor:
        """Computes the waveform of whole mels.

        Args:
            mel: `[B, mel_dim, T]` natural-log mel amplitudes, T at least 1.

        Returns:
            `[B, T * samples_per_frame]` in [-1, 1].
        """
        hidden = convolved(self.conv_pre, time_major(rescale(mel)))
        kernels = len(self.config.resblock_kernel_sizes)
        for stage, up in enumerate(self.ups):
            assert isinstance(up, nn.ModuleList)
            padded = with_margin(upsampled(up[0], hidden).transpose(1, 2)).transpose(1, 2)
            first, *others = self.resblocks[stage * kernels : (stage + 1) * kernels]
            summed = first(padded)
            for block in others:
                summed += block(padded)
            summed /= kernels
            hidden = summed[..., MARGIN:-MARGIN]
        waveform = convolved(self.conv_post, self.activation_post(hidden))
        return waveform.clamp(-1.0, 1.0).squeeze(1)

    def init_state(self) -> BigVGANState:
        """Returns the state of a stream that has not begun."""
        return BigVGANState(frames=self.conv_pre.weight.new_empty(self.config.mel_dim, 0))

    def step(self, state: BigVGANState, mel: Tensor) -> Tensor:
        """Takes the next frames of a stream and returns the samples that became final.

        Args:
            state: The stream's; changed in place.
            mel: `[mel_dim, n]`, n may be 0.

        Returns:
            `[S]`; empty until more than `context_frames` frames wait.
        """
        return self._advance(state, mel, held_frames=self.context_frames)

    def flush(self, state: BigVGANState) -> Tensor:
        """Ends a stream: the samples `[S]` of the frames held back; the state is as new."""
        samples = self._advance(state, state.frames[:, :0], held_frames=0)
        state.frames, state.spoken_frames = state.frames[:, :0], 0
        return samples

    def _advance(self, state: BigVGANState, mel: Tensor, *, held_frames: int) -> Tensor:
        state.frames = torch.cat((state.frames, mel.to(state.frames)), dim=1)
        final_frames = state.frames.shape[1] - held_frames
        if final_frames <= state.spoken_frames:
            return state.frames.new_empty(0)
        per_frame = self.config.samples_per_frame
        samples: Tensor = self(state.frames[None])[0]
        samples = samples[state.spoken_frames * per_frame : final_frames * per_frame]
        dropped = max(0, final_frames - self.context_frames)
        state.frames = state.frames[:, dropped:].clone()
        state.spoken_frames = final_frames - dropped
        return samples


def time_major(signal: Tensor) -> Tensor:
    """Lays `[B, C, T]` out in memory as `[B, T, C]`; axes and values stay as they were."""
    return signal.transpose(1, 2).contiguous().transpose(1, 2)


def convolved(conv: nn.Module, signal: Tensor, margin: int = 0) -> Tensor:
    """Computes `conv(signal)` for time-major `[B, C, T]`, and leaves the result so.

    With a margin, so many samples without a meaning stand on each side of it.

    As a picture one row high: only those have a layout with the channels last, in which the
    library's kernels reach the processor's rate for few channels too, and in which the activations
    between the convolutions work.
    """
    assert isinstance(conv, nn.Conv1d)
    padding, dilation = conv.padding[0], conv.dilation[0]
    assert isinstance(padding, int)
    image = F.conv2d(
        signal[:, :, None],
        conv.weight[:, :, None],
        conv.bias,
        padding=(0, padding + margin),
        dilation=(1, dilation),
    )
    return image[:, :, 0]


def upsampled(conv: nn.Module, signal: Tensor) -> Tensor:
    """Computes `conv(signal)` likewise."""
    assert isinstance(conv, nn.ConvTranspose1d)
    padding, rate = conv.padding[0], conv.stride[0]
    assert isinstance(padding, int)
    image = F.conv_transpose2d(
        signal[:, :, None],
        conv.weight[:, :, None],
        conv.bias,
        stride=(1, rate),
        padding=(0, padding),
    )
    return image[:, :, 0]


def rescale(mel: Tensor) -> Tensor:
    """Maps natural-log amplitudes to decibels above the floor, scaled to [-1, 1].

    Source: the reference's `process_mel_spectrogram`.
    """
    amplitude = torch.clamp(torch.exp(mel), min=math.exp(_FLOOR_DB / 20 * math.log(10)))
    decibels = 20 * torch.log10(amplitude) - _REFERENCE_DB
    return torch.clamp(2 * (decibels - _FLOOR_DB) / -_FLOOR_DB - 1, -1.0, 1.0)


def reach_frames(config: BigVGANConfig) -> int:
    """Returns how many mel frames the samples of one frame look to each side of it.

    Follows the first and the last sample that are read, from the output of frame 0 back to the mel.
    """
    outer = _OUTER_KERNEL // 2
    reach = outer + CONTEXT_SAMPLES
    first, last = -reach, config.samples_per_frame - 1 + reach
    residual = max(
        sum(2 * CONTEXT_SAMPLES + (size - 1) // 2 * (dilation + 1) for dilation in dilations)
        for size, dilations in zip(
            config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True
        )
    )
    stages = zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True)
    for rate, kernel in reversed(list(stages)):
        padding = (kernel - rate) // 2
        first = -((kernel - 1 - padding - (first - residual)) // rate)  # rounded up
        last = (last + residual + padding) // rate
    return max(-first, last) + outer
