"""The real networks at tiny random size, loaded once."""

import json

import pytest

from model.config import OmniConfig, SamplingConfig
from model.omni import Networks, OmniModel, load_checkpoint
from tests import checkpoint
from tests.model import text, tiny
from tests.streaming.engine.driver import with_extras


@pytest.fixture(scope="session")
def quick_checkpoint(tmp_path_factory):
    """The tiny checkpoint with a vocoder of one kernel: its sound takes a fraction of the time."""
    return write_quick(tmp_path_factory.mktemp("quick"), inputs=["text", "audio"])


@pytest.fixture(scope="session")
def seeing_checkpoint(tmp_path_factory):
    """The same with eyes."""
    return write_quick(
        tmp_path_factory.mktemp("seeing"), inputs=["text", "audio", "image", "video"]
    )


def write_quick(directory, *, inputs):
    backend = text.backend()
    backend.save(str(directory / "tokenizer.json"))
    data = checkpoint.config_dict(backend)
    data["omnilive"]["inputs"] = inputs
    data["token2wav_config"]["bigvgan_config"] |= {
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 1, 1]],
    }
    (directory / "config.json").write_text(json.dumps(data))
    config = OmniConfig.from_dict(data)
    networks = Networks(config)
    tiny.randomise(networks, scale=0.1)
    # It never writes a control token: what it says depends on all it read, and goes on.
    controls = [backend.token_to_id(name) for name in text.CONTROLS]
    networks.thinker.lm_head.weight.data[controls] = 0.0
    checkpoint.write_weights(directory, networks)
    checkpoint.write_voices(directory / "spk_dict.pt", config, data["talker_config"])
    return directory


@pytest.fixture(scope="session")
def model(quick_checkpoint) -> OmniModel:
    """Writes greedily, and speaks by wide draws: a random Talker likes to end at once."""
    return drawing(quick_checkpoint)


@pytest.fixture(scope="session")
def seeing(seeing_checkpoint) -> OmniModel:
    """The same with eyes."""
    return drawing(seeing_checkpoint)


def drawing(directory) -> OmniModel:
    loaded = load_checkpoint(directory, dtype="float32")
    return with_extras(
        loaded,
        thinker_sampling=SamplingConfig(repetition_penalty=1.5),
        talker_sampling=SamplingConfig(temperature=4.0, repetition_penalty=1.05),
    )
