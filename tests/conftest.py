"""What holds for every test: a marked test runs only where what it needs is there."""

import importlib.util

import pytest

from tests.torchvision_ops import make_importable

make_importable()


def pytest_collection_modifyitems(items):
    """Skips tests that need a GPU on a machine without one, and says so."""
    gpu = [item for item in items if item.get_closest_marker("gpu")]
    if gpu and not _cuda():
        for item in gpu:
            item.add_marker(pytest.mark.skip(reason="no CUDA device here"))


def _cuda():
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    """A tiny random checkpoint in the published layout; nobody writes to it."""
    from tests.checkpoint import write_checkpoint

    return write_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def talkative_checkpoint(tmp_path_factory):
    """The same, but each of its replies goes on to its limit."""
    from tests.checkpoint import write_checkpoint

    return write_checkpoint(tmp_path_factory.mktemp("talkative"), talkative=True)
