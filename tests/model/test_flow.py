"""The solver: known integrals, the order of its error, and parity with `transformers`."""

import math
from typing import Literal

import pytest
import torch
from torch import Tensor
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import RungeKutta4ODESolver

from model.errors import ConfigError
from model.extras import SolverConfig
from model.flow import evaluations, guided, solve, time_points


def growth(time: Tensor, state: Tensor) -> Tensor:
    """dx/dt = x cos t, whose solution is x0 exp(sin t)."""
    return state * torch.cos(time)


def error(method: Literal["euler", "rk4"], steps: int) -> float:
    solver = SolverConfig(method=method, num_steps=steps, sway_coefficient=None)
    solution = solve(growth, torch.ones(1, dtype=torch.float64), solver)
    return abs(float(solution) - math.exp(math.sin(1)))


def test_halving_the_step_halves_eulers_error_and_divides_kuttas_by_sixteen() -> None:
    assert error("euler", 41) / error("euler", 81) == pytest.approx(2, rel=0.1)
    assert error("rk4", 9) / error("rk4", 17) == pytest.approx(16, rel=0.3)


@pytest.mark.parametrize("sway", [None, -1.0, 0.4])
def test_kutta_equals_transformers(sway: float | None) -> None:
    solver = SolverConfig(num_steps=7, sway_coefficient=sway)
    noise = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    theirs = RungeKutta4ODESolver(growth, noise).integrate(time_points(solver).float())[-1]
    torch.testing.assert_close(solve(growth, noise, solver), theirs, atol=1e-6, rtol=1e-6)


def test_sway_keeps_the_ends_and_moves_points_to_the_start() -> None:
    swayed = time_points(SolverConfig(num_steps=9))
    even = time_points(SolverConfig(num_steps=9, sway_coefficient=None))
    assert (float(swayed[0]), float(swayed[-1])) == pytest.approx((0.0, 1.0))
    assert bool((swayed[1:-1] < even[1:-1]).all())


@pytest.mark.parametrize(("method", "expected"), [("euler", 4), ("rk4", 16)])
def test_evaluations_are_counted(method: Literal["euler", "rk4"], expected: int) -> None:
    calls = []

    def counted(time: Tensor, state: Tensor) -> Tensor:
        calls.append(float(time))
        return state

    solver = SolverConfig(method=method, num_steps=5)
    solve(counted, torch.zeros(1), solver)
    assert len(calls) == evaluations(solver) == expected


def test_guidance_of_zero_is_the_conditioned_velocity() -> None:
    with_conditions, without = torch.tensor([2.0]), torch.tensor([0.5])
    assert guided(with_conditions, without, 0.0) == 2.0
    assert guided(with_conditions, without, 0.5) == 2.75


def test_scaled_noise_begins_nearer_to_the_mean() -> None:
    still = lambda time, state: torch.zeros_like(state)  # noqa: E731
    solver = SolverConfig(noise_scale=0.25)
    torch.testing.assert_close(solve(still, torch.ones(3), solver), torch.full((3,), 0.25))
    with pytest.raises(ConfigError, match="noise_scale must be at least 0, got -1"):
        SolverConfig(noise_scale=-1)
