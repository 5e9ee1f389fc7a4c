"""A server that other people's JavaScript talks to, and that JavaScript."""

from pathlib import Path

import pytest
import soxr

from clients.python.sources import SAMPLE_RATE_HZ, read_recording
from server.demo import QUESTION
from tests.checkpoint import write_checkpoint
from tests.clients.js.npm import installed
from tests.server.conftest import serving

# Room for a few turns and the description of a tool, and speech that is long enough to be cut.
ROOMY = {"threads": 1, "max_speech_s": 2.0, "context_tokens": 4096, "max_conversations": 4}


@pytest.fixture(scope="session")
def js():
    """The folder of the programs, with the packages that they import."""
    return installed(Path(__file__).parent)


@pytest.fixture(scope="session")
def kit_server(talkative_checkpoint):
    """A real server, also for pages of other origins."""
    with serving(model=str(talkative_checkpoint), allowed_origins="*", **ROOMY) as server:
        yield server


@pytest.fixture(scope="session")
def seeing_kit_server(tmp_path_factory):
    """The same around a checkpoint with eyes, whose context holds the pictures of every turn."""
    directory = write_checkpoint(tmp_path_factory.mktemp("seeing"), talkative=True, sees=True)
    pictures = {"context_tokens": 8192, "quiet_video_tokens": 256}
    with serving(model=str(directory), allowed_origins="*", **(ROOMY | pictures)) as server:
        yield server


@pytest.fixture(scope="session")
def questions(tmp_path_factory):
    """A spoken question as raw samples: one file for each rate."""
    samples = read_recording(QUESTION).samples
    directory = tmp_path_factory.mktemp("questions")
    files = {}
    for rate_hz in (SAMPLE_RATE_HZ, 48_000):
        files[rate_hz] = directory / f"question-{rate_hz}.s16"
        files[rate_hz].write_bytes(soxr.resample(samples, SAMPLE_RATE_HZ, rate_hz).tobytes())
    return files
