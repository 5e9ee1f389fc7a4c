"""The anti-aliased activation: both forms agree, with `transformers` and in their gradients."""

import pytest
import torch
from torch import Tensor
from transformers.models.qwen2_5_omni import modeling_qwen2_5_omni as reference

from model.alias_free import CONTEXT_SAMPLES, AliasFreeSnake
from model.alias_free_kernels import FILTER, compile_loops


@pytest.fixture
def activation() -> AliasFreeSnake:
    torch.manual_seed(0)
    activation = AliasFreeSnake(4)
    for parameter in activation.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return activation


def outcome(
    activation: AliasFreeSnake, form: str, signal: Tensor, weight: Tensor
) -> tuple[Tensor, ...]:
    """The output and all gradients of one form."""
    signal = signal.clone().requires_grad_()
    activation.zero_grad()
    output = getattr(activation, form)(signal)
    (output * weight).sum().backward()
    gradients = [parameter.grad.clone() for parameter in activation.parameters()]
    assert signal.grad is not None
    return output.detach(), signal.grad, *gradients


@pytest.mark.parametrize("length", [1, 2, 5, 64])
def test_fast_form_equals_reference_form_with_gradients(
    activation: AliasFreeSnake, length: int
) -> None:
    signal, weight = torch.randn(2, 2, 4, length).unbind()
    fast = outcome(activation, "forward", signal, weight)
    slow = outcome(activation, "reference_forward", signal, weight)
    for ours, theirs in zip(fast, slow, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


def test_equals_transformers(activation: AliasFreeSnake) -> None:
    theirs = reference.Qwen2_5OmniAntiAliasedActivation1d(reference.Qwen2_5OmniSnakeBeta(4))
    theirs.load_state_dict(activation.state_dict())
    signal = torch.randn(2, 4, 37)
    with torch.no_grad():
        torch.testing.assert_close(activation(signal), theirs(signal), atol=1e-5, rtol=1e-5)


def test_filter_passes_constants_and_is_symmetric() -> None:
    assert sum(FILTER) == pytest.approx(1.0, abs=1e-6)
    assert tuple(reversed(FILTER)) == pytest.approx(FILTER, abs=1e-7)


def test_reach_is_exactly_the_context_it_declares(activation: AliasFreeSnake) -> None:
    signal = torch.randn(1, 4, 41)
    changed = signal.clone()
    changed[..., 20] += 1.0
    with torch.no_grad():
        moved = (activation(signal) - activation(changed)).abs().sum(dim=(0, 1)).nonzero().flatten()
    assert (int(moved.min()), int(moved.max())) == (20 - CONTEXT_SAMPLES, 20 + CONTEXT_SAMPLES)


def test_large_angles_are_as_exact_as_float32_has_them(activation: AliasFreeSnake) -> None:
    signal = 40 * torch.randn(1, 4, 64)
    with torch.no_grad():
        exact = activation.double().reference_forward(signal.double())
        found = activation.float()(signal)
    torch.testing.assert_close(found.double(), exact, atol=1e-4, rtol=1e-6)


def test_bfloat16_is_computed_in_float32(activation: AliasFreeSnake) -> None:
    signal = torch.randn(1, 4, 50).bfloat16()
    with torch.no_grad():
        output = activation(signal)
        assert output.dtype == torch.bfloat16
        torch.testing.assert_close(output, activation(signal.float()).bfloat16())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_loops_equal_plain_ones(
    activation: AliasFreeSnake, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal, weight = torch.randn(2, 1, 4, 50).unbind()
    plain = outcome(activation, "forward", signal, weight)
    monkeypatch.setattr("model.alias_free_kernels._compiled", {})
    if not compile_loops(training=True):
        pytest.skip("no C++ compiler on this machine")
    for ours, theirs in zip(outcome(activation, "forward", signal, weight), plain, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)
