import copy
import json
import logging
from pathlib import Path

import pytest

from model.config import Extras, OmniConfig, SamplingConfig
from model.errors import ConfigError
from tests.model import tiny

DATA = Path(__file__).parents[1] / "data"


def _changed(path: str, value: object) -> dict:
    """The tiny config with the figure at dotted `path` set to `value`, or taken out if `...`."""
    data = copy.deepcopy(tiny.config_dict())
    *sections, key = path.split(".")
    at = data
    for section in sections:
        at = at.setdefault(section, {})
    if value is ...:
        del at[key]
    else:
        at[key] = value
    return data


@pytest.mark.parametrize(
    ("size", "hidden", "layers", "talker_heads"), [("3b", 2048, 36, 14), ("7b", 3584, 28, 12)]
)
def test_released_shapes_load(size: str, hidden: int, layers: int, talker_heads: int) -> None:
    config = OmniConfig.from_dict(json.loads((DATA / f"qwen2.5-omni-{size}.json").read_text()))
    assert config.thinker.text.hidden_size == config.talker.embedding_size == hidden
    assert config.thinker.text.num_hidden_layers == layers
    assert config.talker.decoder.num_attention_heads == talker_heads
    assert config.omnilive == Extras()


def test_rates_follow_from_the_figures() -> None:
    config = OmniConfig.from_dict(json.loads((DATA / "qwen2.5-omni-7b.json").read_text()))
    assert config.token2wav.codes_per_second == 50
    assert config.token2wav.samples_per_code == 480
    assert config.token2wav.dit.block_codes == 12
    assert config.thinker.audio.block_frames == 200


def test_both_spellings_of_the_rotary_section_are_one() -> None:
    newer = _changed(
        "thinker_config.text_config.rope_parameters",
        {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 2, 2]},
    )
    del newer["thinker_config"]["text_config"]["rope_scaling"]
    del newer["thinker_config"]["text_config"]["rope_theta"]
    assert OmniConfig.from_dict(newer) == tiny.config()


def test_older_names_of_dit_figures_are_read() -> None:
    data = tiny.config_dict()
    dit = data["token2wav_config"]["dit_config"]
    for new, old in (
        ("hidden_size", "dim"),
        ("num_hidden_layers", "depth"),
        ("num_attention_heads", "heads"),
    ):
        dit[old] = dit.pop(new)
    assert OmniConfig.from_dict(data) == tiny.config()


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (
            "thinker_config.text_config.vocab_size",
            ...,
            "thinker_config.text_config lacks vocab_siz",
        ),
        ("thinker_config.audio_config.n_window", "100", "audio_config.n_window must be int, got"),
        ("thinker_config.user_token_id", True, "user_token_id must be int, got True"),
        ("thinker_config.text_config.num_key_value_heads", 3, "no multiple of"),
        ("thinker_config.text_config.rope_scaling.mrope_section", [2, 2, 1], "half of head_dim"),
        ("thinker_config.text_config.rope_scaling.type", "yarn", "choices: default, mrope"),
        ("thinker_config.text_config.hidden_act", "relu", "choices: silu"),
        ("thinker_config.text_config.hidden_size", -48, "above 0"),
        ("thinker_config.text_config.num_hidden_layers", 10**9, "from 1 to 1000, got 1000000000"),
        ("thinker_config.audio_config.n_window", 0, "audio_config: n_window must be above 0"),
        ("thinker_config.audio_config.encoder_layers", 5000, "encoder_layers must be from 1 to"),
        ("thinker_config.audio_config.encoder_attention_heads", 5, "no multiple of encoder_att"),
        ("thinker_config.vision_config.depth", 10**7, "depth must be from 1 to 1000"),
        ("token2wav_config.dit_config.repeats", 0, "repeats must be above 0, got 0"),
        ("token2wav_config.dit_config.block_size", 0, "block_size must be above 0"),
        ("token2wav_config.dit_config.block_size", 25, "25 is no multiple of repeats 2"),
        ("token2wav_config.dit_config.enc_dilations", [1], "enc_dilations has 1"),
        ("token2wav_config.bigvgan_config.upsample_rates", [], "upsample_rates has 0"),
        ("token2wav_config.bigvgan_config.upsample_rates", [0, 3], "upsample_rates must be above"),
        ("token2wav_config.bigvgan_config.resblock_kernel_sizes", [3] * 9, "kernel_sizes has 9"),
        ("talker_config.use_sliding_window", True, "choices: False"),
        ("talker_config.embedding_size", 47, "must be the thinker's hidden_size 48"),
        ("talker_config.tts_codec_end_token_id", ..., "talker_config lacks tts_codec_end_token_id"),
        ("token2wav_config.dit_config", ..., "dit_config must be a JSON object, got NoneType"),
        ("token2wav_config.bigvgan_config.upsample_rates", 5, "upsample_rates must be a list"),
        ("omnilive.inputs", ["smell"], "choices: text, audio, image, video"),
        ("omnilive.solver", {"method": "heun"}, "choices: rk4, euler"),
        ("omnilive.solver", {"num_steps": 1}, "num_steps must be at least 2, got 1"),
        ("omnilive.tempreature", 1, "unknown keys tempreature; known: chunks"),
        ("omnilive.talker_sampling", {"top_p": 0.0}, "top_p must be above 0"),
    ],
)
def test_a_bad_figure_is_named(path: str, value: object, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OmniConfig.from_dict(_changed(path, value))
    assert says in str(caught.value)


def test_every_missing_figure_is_named_at_once() -> None:
    data = tiny.config_dict()
    for name in ("vocab_size", "rms_norm_eps"):
        del data["talker_config"][name]
    with pytest.raises(ConfigError, match=r"talker_config lacks vocab_size, rms_norm_eps"):
        OmniConfig.from_dict(data)


def test_bookkeeping_is_silent_and_the_unknown_is_not(caplog: pytest.LogCaptureFixture) -> None:
    noisy = _changed("thinker_config.text_config.torch_dtype", "bfloat16")
    noisy["thinker_config"]["text_config"]["_attn_implementation_autoset"] = True
    with caplog.at_level(logging.WARNING):
        assert OmniConfig.from_dict(noisy) == tiny.config()
        assert not caplog.messages
        OmniConfig.from_dict(_changed("thinker_config.text_config.new_figure", 3))
    assert "thinker_config.text_config has unknown keys new_figure" in caplog.text


def test_a_checkpoint_without_eyes_needs_no_vision_section() -> None:
    data = _changed("omnilive.inputs", ["text", "audio"])
    del data["thinker_config"]["vision_config"]
    assert OmniConfig.from_dict(data).thinker.vision is None
    data["omnilive"] = {}
    with pytest.raises(ConfigError, match="vision_config must be a JSON object"):
        OmniConfig.from_dict(data)


def test_our_section_reads_its_parts() -> None:
    extras = tiny.config(
        talker_sampling={"temperature": 0.5, "top_k": 3},
        thinker_source={"package": "p", "version": "1", "file": "f", "sha256": "0"},
        transcribe_prompt=None,
    ).omnilive
    assert extras.talker_sampling == SamplingConfig(temperature=0.5, top_k=3)
    assert extras.thinker_source is not None
    assert extras.thinker_source.hidden_scale == 1.0
    assert extras.transcribe_prompt is None


def test_load_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*config\.json"):
        OmniConfig.load(tmp_path)
    for text in (b"{", b"\xff\xfe{", b'{"a": ' + b"[" * 100_000):
        (tmp_path / "config.json").write_bytes(text)
        with pytest.raises(ConfigError, match=r"config\.json is not JSON"):
            OmniConfig.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(tiny.config_dict()))
    assert OmniConfig.load(tmp_path) == tiny.config()
