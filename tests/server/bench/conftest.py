"""A tiny checkpoint whose replies have words and speech, and end soon."""

import json
import os
import sys

import pytest
import torch

from model.config import OmniConfig
from model.omni import Networks
from server.bench.machine import Machine
from server.bench.options import BenchOptions
from tests import checkpoint
from tests.model import text, tiny

# Behind the text, where all codes are alike, this logit makes about one code in 25 the end.
END_LOGIT = 0.5
LOUD = 30.0


def talkative(networks, data, text_end):
    """Makes the Thinker never end a reply, and the Talker end its own some time after the text.

    One channel of what the Talker is told is loud at the text-pad vector, silent elsewhere. Behind
    the last norm it outweighs all others, so there it alone says what the logits are.
    """
    talker = data["talker_config"]
    thinker, end = networks.thinker, talker["tts_codec_end_token_id"]
    head, projection = networks.talker.codec_head.weight, networks.talker.thinker_to_talker_proj
    gain = networks.talker.model.norm.weight[0] * talker["hidden_size"] ** 0.5
    with torch.no_grad():
        thinker.lm_head.weight[text_end] = 0
        thinker.model.norm.weight[0] = 0
        thinker.model.embed_tokens.weight[:, 0] = 0
        thinker.model.embed_tokens.weight[talker["tts_text_pad_token_id"], 0] = LOUD
        networks.talker.model.embed_tokens.weight[:, 0] = 0
        projection.weight[0] = 0
        projection.weight[0, 0] = 1
        projection.bias[0] = 0
        head[:, 0] = 0
        head[end] = 0
        head[end, 0] = END_LOGIT / gain


@pytest.fixture(scope="session")
def talkative_checkpoint(tmp_path_factory):
    directory = tmp_path_factory.mktemp("talkative")
    backend = text.backend()
    backend.save(str(directory / "tokenizer.json"))
    data = checkpoint.config_dict(backend)
    (directory / "config.json").write_text(json.dumps(data))
    config = OmniConfig.from_dict(data)
    networks = Networks(config)
    tiny.randomise(networks, scale=0.1)
    talkative(networks, data, backend.token_to_id("<|im_end|>"))
    checkpoint.write_weights(directory, networks)
    checkpoint.write_voices(directory / "spk_dict.pt", config, data["talker_config"])
    return directory


@pytest.fixture
def options(talkative_checkpoint):
    return BenchOptions(
        model=str(talkative_checkpoint), dtype="float32", runs=1, threads=1, max_reply_tokens=4
    )


@pytest.fixture
def machine():
    return Machine(cpu="a processor", cores=1, cores_present=1, torch_threads=1, torch_version="2")


@pytest.fixture
def restored():
    """Gives the process its cores and threads back."""
    threads = torch.get_num_threads()
    cores = os.sched_getaffinity(0) if sys.platform == "linux" else None
    yield
    torch.set_num_threads(threads)
    if cores is not None:
        os.sched_setaffinity(0, cores)
