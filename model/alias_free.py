"""Anti-aliased SnakeBeta: the activation between the convolutions of BigVGAN.

Knows the published filters (a twelve-tap Kaiser-windowed sinc, ratio two, edges repeated) and two
ways to compute the same activation: `reference_forward`, written as the paper draws it, and
`forward`, in polyphase form. Does not know where in the vocoder it stands, nor anything about
streaming: how far it looks to each side is told by `CONTEXT_SAMPLES`.

Why two ways: upsampling by a transposed depthwise convolution and downsampling by a strided one are
most of the vocoder's time on a CPU, because a depthwise kernel of one channel leaves the vector
units idle. In polyphase form the doubled signal is kept as its even and its odd samples, each tap
is one shifted product of the whole tensor, and a compiler makes two loops of them
(`model.alias_free_kernels`).

Source: "BigVGAN" (Lee et al., 2023), section 3.2; parameter names of the reference's
`Qwen2_5OmniAntiAliasedActivation1d`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.alias_free_kernels import FILTER, RATIO, TAPS, anti_aliased_snake, with_margin

# An output mixes activated samples up to three away, each of which mixes inputs up to three away;
# the two half-sample offsets have opposite signs, so the reach is five and not six.
CONTEXT_SAMPLES = 5
# Keeps 1 / exp(beta) finite; the released weights were trained with it.
NO_DIVISION_BY_ZERO = 1e-9


class SnakeBeta(nn.Module):
    """`x + sin(a x)^2 / b` with one `a` and one `b` a channel, kept as logarithms.

    Source: BigVGAN, equation 1, with a separate magnitude as in the reference's `SnakeBeta`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def constants(self) -> tuple[Tensor, Tensor]:
        """Returns `a` and `1 / b`, each `[C]` float32."""
        magnitude = torch.exp(self.beta.float())
        return torch.exp(self.alpha.float()), 1.0 / (magnitude + NO_DIVISION_BY_ZERO)

    def forward(self, signal: Tensor) -> Tensor:
        """Applies the function to `[B, C, T]`, sample by sample."""
        frequency, inverse_magnitude = self.constants()
        sine = torch.sin(signal * frequency[:, None])
        return signal + inverse_magnitude[:, None] * sine.square()


class AliasFreeSnake(nn.Module):
    """Upsample by two, SnakeBeta, downsample by two: `[B, C, T]` to `[B, C, T]`.

    Source: the reference's `AntiAliasedActivation1d`; the parameters are `act.alpha` and
        `act.beta`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.act = SnakeBeta(channels)

    def forward(self, signal: Tensor) -> Tensor:
        """The fast form: equal to `reference_forward` to float tolerance, and differentiable.

        Its result is a view of time-major memory, and fastest from one.
        """
        return self.inside(with_margin(signal.transpose(1, 2)).transpose(1, 2))

    def inside(self, padded: Tensor) -> Tensor:
        """`forward` of a signal that has `MARGIN` repeats of its edges around it already."""
        frequency, inverse_magnitude = self.act.constants()
        time_major = padded.transpose(1, 2)  # [B, T, C]
        return anti_aliased_snake(time_major, frequency, inverse_magnitude).transpose(1, 2)

    def reference_forward(self, signal: Tensor) -> Tensor:
        """The form the paper draws: filter, activate, filter, with depthwise convolutions."""
        channels = signal.shape[1]
        taps = signal.new_tensor(FILTER).expand(channels, 1, TAPS)
        padding = TAPS // RATIO - 1
        padded = F.pad(signal, (padding, padding), mode="replicate")
        doubled = RATIO * F.conv_transpose1d(padded, taps, stride=RATIO, groups=channels)
        crop = padding * RATIO + (TAPS - RATIO) // 2
        activated = self.act(doubled[..., crop:-crop])
        padded = F.pad(activated, (TAPS // 2 - 1, TAPS // 2), mode="replicate")
        return F.conv1d(padded, taps, stride=RATIO, groups=channels)
