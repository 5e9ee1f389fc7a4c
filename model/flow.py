"""The flow-matching solver: from noise at time 0 to a mel at time 1.

Knows time points (with sway), Euler's method and the published fourth-order Runge-Kutta, and
guidance. Does not know the network: it gets a velocity function.

Source: "Voicebox" and "F5-TTS" for flow matching with guidance and sway; the reference's
`RungeKutta4ODESolver` (Kutta's 3/8 rule) and `Qwen2_5OmniToken2WavDiTModel.sample`.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from model.extras import SolverConfig

# Maps (time as a scalar tensor, state) to the velocity, of the state's shape.
Velocity = Callable[[Tensor, Tensor], Tensor]
# Below this guidance is not worth a second row of the batch; the reference's threshold.
SMALLEST_GUIDANCE = 1e-5


def time_points(solver: SolverConfig) -> Tensor:
    """Returns the `[num_steps]` time points from 0 to 1, float64.

    Sway moves them: with -1, towards the start, where the velocity changes most.
    """
    points = torch.linspace(0, 1, solver.num_steps, dtype=torch.float64)
    if solver.sway_coefficient is not None:
        points = points + solver.sway_coefficient * (torch.cos(math.pi / 2 * points) - 1 + points)
    return points


def evaluations(solver: SolverConfig) -> int:
    """Returns how often a solve evaluates the velocity."""
    return (solver.num_steps - 1) * (4 if solver.method == "rk4" else 1)


def solve(velocity: Velocity, noise: Tensor, solver: SolverConfig) -> Tensor:
    """Integrates the velocity from time 0 to 1.

    Args:
        velocity: The field, with guidance already in it.
        noise: The state at time 0, before it is scaled as the solver says.
        solver: Method, time points and scale of the noise.

    Returns:
        The state at time 1, of the shape of `noise`.
    """
    state = noise * solver.noise_scale
    step = _kutta_step if solver.method == "rk4" else _euler_step
    for begin, end in pairwise(time_points(solver).to(noise).unbind()):
        state = state + step(velocity, begin, end, state)
    return state


def guided(conditioned: Tensor, unconditioned: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance: pushes away from what the network says without conditions."""
    return conditioned + (conditioned - unconditioned) * scale


def _euler_step(velocity: Velocity, begin: Tensor, end: Tensor, state: Tensor) -> Tensor:
    return velocity(begin, state) * (end - begin)


def _kutta_step(velocity: Velocity, begin: Tensor, end: Tensor, state: Tensor) -> Tensor:
    """Kutta's 3/8 rule, the fourth-order method that the published model is sampled with."""
    width = end - begin
    first = velocity(begin, state)
    second = velocity(begin + width / 3, state + width * first / 3)
    third = velocity(begin + width * 2 / 3, state + width * (second - first / 3))
    fourth = velocity(end, state + width * (first - second + third))
    return (first + 3 * (second + third) + fourth) * width / 8
