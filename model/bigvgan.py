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

from model.alias_free import CONTEXT_SAMPLES, AliasFreeSnake
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

    def forward(self, hidden: Tensor) -> Tensor:
        """`[B, C, T]` to the same shape."""
        for index, (first, second) in enumerate(zip(self.convs1, self.convs2, strict=True)):
            inner = first(self.activations[2 * index](hidden))
            hidden = hidden + second(self.activations[2 * index + 1](inner))
        return hidden


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
        hidden = self.conv_pre(rescale(mel))
        kernels = len(self.config.resblock_kernel_sizes)
        for stage, up in enumerate(self.ups):
            assert isinstance(up, nn.ModuleList)
            hidden = up[0](hidden)
            blocks = self.resblocks[stage * kernels : (stage + 1) * kernels]
            hidden = torch.stack([block(hidden) for block in blocks]).sum(0) / kernels
        waveform: Tensor = self.conv_post(self.activation_post(hidden))
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
