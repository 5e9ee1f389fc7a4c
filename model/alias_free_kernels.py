"""The loops of the anti-aliased SnakeBeta: pure functions that `compile_loops` makes fast.

Knows the filter, the polyphase form and its gradient, and when to compile. Knows no parameters.

Signals here are time-major, `[B, T, C]`: a tap is a whole row further on, so that a vector unit
works on channels side by side and never across a shift.

The doubled signal is never interleaved: `even` and `odd` hold its samples 2t and 2t + 1. Both carry
a margin of three positions on each side, so that every tap is a plain slice. The halves are written
to memory between the two filters on purpose: fused into one loop, each activated sample would be
computed again for every tap that reads it, sine included.

Uncompiled they are about as fast as the depthwise convolutions of
`AliasFreeSnake.reference_forward`, compiled some fifteen times faster on a CPU.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from model.compiling import OPTIONS, compiling, has_compiler

TAPS = 12
RATIO = 2
_MARGIN = TAPS // (2 * RATIO)  # positions of a half-rate signal that a filter reaches to each side
# Repeats of its edges that a signal must have around it. The caller puts them there: with an edge
# test inside the loops, the compiler does not use vectors.
MARGIN = 2 * _MARGIN
_WIDER = (0, 0, MARGIN, MARGIN)  # for `F.pad`: the time axis of [B, T, C]


def kaiser_sinc_filter(cutoff: float, half_width: float, taps: int) -> Tensor:
    """Designs a low-pass filter with an even number of taps whose sum is one.

    Args:
        cutoff: Where the pass band ends, as a fraction of the sampling rate (0 to 0.5).
        half_width: Half of the transition band, in the same unit.
        taps: Length of the filter, even.

    Returns:
        `[taps]` float32, symmetric.

    Source: Kaiser's design formulas, as in the reference's `kaiser_sinc_filter1d`.
    """
    assert taps % 2 == 0, taps
    attenuation_db = 2.285 * (taps // 2 - 1) * math.pi * 4 * half_width + 7.95
    if attenuation_db > 50.0:
        beta = 0.1102 * (attenuation_db - 8.7)
    elif attenuation_db >= 21.0:
        beta = 0.5842 * (attenuation_db - 21.0) ** 0.4 + 0.07886 * (attenuation_db - 21.0)
    else:
        beta = 0.0
    window = torch.kaiser_window(taps, periodic=False, beta=beta, dtype=torch.float32)
    time = torch.arange(-(taps // 2), taps // 2) + 0.5
    response = 2 * cutoff * window * torch.sinc(2 * cutoff * time)
    return response / response.sum()


# A plain tuple: constants of the compiled loops, and nothing to save in a checkpoint or move to a
# device.
FILTER: tuple[float, ...] = tuple(kaiser_sinc_filter(0.5 / RATIO, 0.6 / RATIO, TAPS).tolist())

# Taps by offset in half-rate positions. Upsampling doubles, so that energy is kept.
_EVEN_FROM_INPUT = tuple((d, RATIO * FILTER[5 - 2 * d]) for d in range(-3, 3))
_ODD_FROM_INPUT = tuple((d, RATIO * FILTER[6 - 2 * d]) for d in range(-2, 4))
_OUTPUT_FROM_EVEN = tuple((d, FILTER[5 + 2 * d]) for d in range(-2, 4))
_OUTPUT_FROM_ODD = tuple((d, FILTER[6 + 2 * d]) for d in range(-3, 3))

_Taps = tuple[tuple[int, float], ...]

# sin(pi r)^2 = u P(u) with u = r^2, for r within half a turn: the polynomial of this degree with
# the smallest largest error, 6e-9; float32 itself rounds to 6e-8.
_SQUARED_SINE = (9.86960292, -32.46958112, 42.72538482, -30.08595346, 12.9907314, -3.272947454)

# What `compile_loops` has compiled in this process.
_compiled: dict[Callable[..., Any], Callable[..., Any]] = {}


def with_margin(signal: Tensor) -> Tensor:
    """Puts `MARGIN` repeats of its edges around `[B, T, C]`."""
    repeats = (-1, MARGIN, -1)
    return torch.cat((signal[:, :1].expand(repeats), signal, signal[:, -1:].expand(repeats)), dim=1)


def repeat_edges(padded: Tensor) -> None:
    """Fills the margin of `[B, T + 2 * MARGIN, C]`, whatever it holds."""
    padded[:, :MARGIN] = padded[:, MARGIN, None]
    padded[:, -MARGIN:] = padded[:, -MARGIN - 1, None]


def anti_aliased_snake(padded: Tensor, frequency: Tensor, inverse_magnitude: Tensor) -> Tensor:
    """Upsamples by two, adds `inverse_magnitude * sin(frequency * x)^2`, downsamples by two.

    Args:
        padded: `[B, T + 2 * MARGIN, C]`, its edges repeated; float32, or bfloat16, which is
            computed in float32.
        frequency: `[C]` float32, positive.
        inverse_magnitude: `[C]` float32.

    Returns:
        `[B, T, C]` of the signal's dtype.
    """
    if not torch.is_grad_enabled():
        output: Tensor = _run(_snake, padded, frequency / math.pi, inverse_magnitude)
        return output
    result: Tensor = _PolyphaseSnake.apply(  # type: ignore[no-untyped-call]
        padded, frequency, inverse_magnitude
    )
    return result


class _PolyphaseSnake(torch.autograd.Function):
    """Keeps only the padded input for the backward pass, and computes the halves again there."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, frequency: Tensor, inverse_magnitude: Tensor) -> Tensor:
        ctx.save_for_backward(padded, frequency, inverse_magnitude)
        output: Tensor = _run(_snake, padded, frequency / math.pi, inverse_magnitude)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        padded, frequency, inverse_magnitude = ctx.saved_tensors
        gradient = F.pad(grads[0].float(), _WIDER)
        even, odd = _run(_halves_gradient, gradient)
        _fold_edges(even, odd)
        even, odd, for_frequency, for_magnitude = _run(
            _snake_gradient, padded, frequency, inverse_magnitude, even, odd
        )
        for_padded = _run(_input_gradient, F.pad(even, _WIDER), F.pad(odd, _WIDER))
        sums = for_frequency.sum(dim=(0, 1)), for_magnitude.sum(dim=(0, 1))
        return for_padded.to(padded.dtype), *sums


def _weighted(source: Tensor, taps: _Taps, length: int, sign: int = 1) -> Tensor:
    """Sums `length` positions of a source with a margin of three, shifted and weighted by taps."""
    parts = [
        weight * source[:, _MARGIN + sign * d : _MARGIN + sign * d + length] for d, weight in taps
    ]
    return functools.reduce(torch.add, parts)


def _squared_sine(turns: Tensor) -> Tensor:
    """`sin(pi * turns)^2`, whose period is one, so that its range is reduced without any case."""
    square = (turns - torch.round(turns)).square()
    *factors, last = _SQUARED_SINE
    polynomial = square * last + factors.pop()
    for factor in reversed(factors):
        polynomial = polynomial * square + factor
    return polynomial * square


def _snake(padded: Tensor, turns: Tensor, inverse: Tensor) -> Tensor:
    """`[B, T + 12, C]` to `[B, T, C]`; `turns` are frequencies over pi."""
    source = padded[:, _MARGIN:-_MARGIN].float()
    length = source.shape[1] - 2 * _MARGIN
    even = _weighted(source, _EVEN_FROM_INPUT, length)
    odd = _weighted(source, _ODD_FROM_INPUT, length)
    even = even + inverse * _squared_sine(even * turns)
    odd = odd + inverse * _squared_sine(odd * turns)
    # The doubled signal begins with an even sample and ends with an odd one, which are repeated.
    first = even[:, :1].expand(-1, _MARGIN, -1)
    last = odd[:, -1:].expand(-1, _MARGIN, -1)
    even, odd = torch.cat((first, even, last), dim=1), torch.cat((first, odd, last), dim=1)
    down = _weighted(even, _OUTPUT_FROM_EVEN, length) + _weighted(odd, _OUTPUT_FROM_ODD, length)
    return down.to(padded.dtype)


def _halves_gradient(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The transpose of the downsampling: `[B, T + 12, C]`, zero outside, to two `[B, T + 6, C]`."""
    length = gradient.shape[1] - 2 * _MARGIN
    even = _weighted(gradient, _OUTPUT_FROM_EVEN, length, -1)
    return even, _weighted(gradient, _OUTPUT_FROM_ODD, length, -1)


def _snake_gradient(
    padded: Tensor, frequency: Tensor, inverse: Tensor, even_gradient: Tensor, odd_gradient: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients before the activation, two `[B, T + 6, C]`, and of its constants, not summed."""
    padded = padded.float()
    length = padded.shape[1] - 2 * _MARGIN
    even = _weighted(padded, _EVEN_FROM_INPUT, length)
    odd = _weighted(padded, _ODD_FROM_INPUT, length)
    even_sine, odd_sine = torch.sin(even * frequency), torch.sin(odd * frequency)
    # d sin(fx)^2 / d(fx) = sin(2 f x) = 2 sin cos
    even_slope = 2 * even_sine * torch.cos(even * frequency) * inverse * even_gradient
    odd_slope = 2 * odd_sine * torch.cos(odd * frequency) * inverse * odd_gradient
    return (
        even_gradient + frequency * even_slope,
        odd_gradient + frequency * odd_slope,
        even * even_slope + odd * odd_slope,
        even_sine * even_sine * even_gradient + odd_sine * odd_sine * odd_gradient,
    )


def _input_gradient(even: Tensor, odd: Tensor) -> Tensor:
    """The transpose of the upsampling: two `[B, T + 18, C]`, zeros outside, to `[B, T + 12, C]`."""
    length = even.shape[1] - 2 * _MARGIN
    even = _weighted(even, _EVEN_FROM_INPUT, length, -1)
    return even + _weighted(odd, _ODD_FROM_INPUT, length, -1)


def _fold_edges(even: Tensor, odd: Tensor) -> None:
    """The transpose of repeated edges: a margin's gradients belong to the sample it repeats."""
    even[:, _MARGIN] += even[:, :_MARGIN].sum(1) + odd[:, :_MARGIN].sum(1)
    odd[:, -_MARGIN - 1] += even[:, -_MARGIN:].sum(1) + odd[:, -_MARGIN:].sum(1)
    for half in (even, odd):
        half[:, :_MARGIN] = 0
        half[:, -_MARGIN:] = 0


def _run(function: Callable[..., Any], *tensors: Tensor) -> Any:
    # Detached, or the compiler follows gradients that `_PolyphaseSnake` already knows.
    return _compiled.get(function, function)(*(tensor.detach() for tensor in tensors))


def compile_loops(*, training: bool = False) -> bool:
    """Compiles the loops for this process; without it they run as plain tensor operations.

    Takes some ten seconds the first time on a machine, and one or two once the compiler's cache is
    warm.

    Args:
        training: Whether to compile the gradient's loops too.

    Returns:
        False where there is no C++ compiler; the loops then stay as they are.
    """
    if not has_compiler("the vocoder's activation runs"):
        return False
    backward = (_halves_gradient, _snake_gradient, _input_gradient) if training else ()
    for function in (_snake, *backward):
        _compiled[function] = torch.compile(function, options=OPTIONS)
    with compiling():
        for batch in (1, 2):  # one row and several are two programs to the compiler
            with torch.inference_mode(not training):
                _compile_at(batch, training=training)
    return True


def _compile_at(batch: int, *, training: bool) -> None:
    """Runs the loops once for any length and width.

    With two sizes of each the compiler sees which sizes vary, and takes all else, the taps above
    all, for constants of its programs.
    """
    for length, channels in ((64, 16), (65, 24)):
        signal = torch.zeros(batch, length, channels, requires_grad=training)
        output = anti_aliased_snake(with_margin(signal), *torch.ones(2, channels).unbind())
        if training:
            output.sum().backward()
