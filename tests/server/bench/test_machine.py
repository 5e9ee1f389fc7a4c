"""Which cores are used, and rates that are rates."""

import os
import sys

import pytest
import torch

from server.bench.machine import best_s, measure_rates, take_cores


@pytest.mark.usefixtures("restored")
def test_one_core_is_one_core():
    machine = take_cores(1, None)
    assert (machine.cores, machine.torch_threads) == (1, 1)
    if sys.platform == "linux":
        assert len(os.sched_getaffinity(0)) == 1
    assert machine.cpu in machine.figures()["description"]


@pytest.mark.usefixtures("restored")
def test_no_more_cores_than_there_are():
    machine = take_cores(10**6, 1)
    assert machine.cores == machine.cores_present
    assert machine.torch_threads == 1


def test_rates_are_plausible():
    rates = measure_rates({torch.float32})
    assert 1e7 < rates.read_bytes_s < 1e13
    assert 1e8 < rates.operations_s[torch.float32] < 1e15
    assert set(rates.figures()) == {"read_gbytes_s", "float32_gflops"}


def test_the_first_call_does_not_count():
    calls = []
    best_s(lambda: calls.append(1), repeats=3)
    assert len(calls) == 4
