"""The figures of a checkpoint, as its config.json gives them.

Knows the published layout (both spellings of the rotary section), and hands out every config class:
the networks' come from `model.figures`, what our own checkpoints add from `model.extras`. Does not
know weights.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from model.config_reader import as_section, convert, read
from model.errors import ConfigError
from model.extras import DictationConfig as DictationConfig
from model.extras import Extras as Extras
from model.extras import Modality as Modality
from model.extras import SamplingConfig as SamplingConfig
from model.extras import SolverConfig as SolverConfig
from model.extras import ThinkerSource as ThinkerSource
from model.figures import AudioEncoderConfig as AudioEncoderConfig
from model.figures import BigVGANConfig as BigVGANConfig
from model.figures import DecoderConfig as DecoderConfig
from model.figures import DiTConfig as DiTConfig
from model.figures import TalkerConfig as TalkerConfig
from model.figures import ThinkerConfig as ThinkerConfig
from model.figures import Token2WavConfig as Token2WavConfig
from model.figures import VisionEncoderConfig as VisionEncoderConfig

# Newer files spell the media ids as the rest of their library does.
_MODERN_IDS = {f"{kind}_token_id": f"{kind}_token_index" for kind in ("audio", "image", "video")}
_ROPE_KEYS = frozenset({"rope_scaling", "rope_parameters", "rope_theta"})
# By these a config could ask for maths that the published models do not use: the one value we take.
_ONLY_VALUES: dict[str, object] = {
    "hidden_act": "silu",
    "activation_function": "gelu",
    "scale_embedding": False,
    "use_sliding_window": False,
}
# The talker's section repeats these of the thinker's; the thinker's count.
_TALKER_REPEATS = frozenset(
    {
        "audio_token_index", "image_token_index", "video_token_index",
        "audio_start_token_id", "audio_end_token_id", "vision_start_token_id",
        "vision_end_token_id", "position_id_per_seconds", "seconds_per_chunk",
        "spatial_merge_size",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OmniConfig:
    """Everything config.json says about a checkpoint."""

    thinker: ThinkerConfig
    talker: TalkerConfig
    token2wav: Token2WavConfig
    omnilive: Extras = field(default_factory=Extras)

    def __post_init__(self) -> None:
        if self.talker.embedding_size != self.thinker.text.hidden_size:
            raise ConfigError(
                f"talker embedding_size {self.talker.embedding_size} must be the thinker's "
                f"hidden_size {self.thinker.text.hidden_size}"
            )
        dictation, vocabulary = self.omnilive.dictation, self.thinker.text.vocab_size
        if dictation is not None and not 0 <= dictation.blank_token_id < vocabulary:
            raise ConfigError(
                f"dictation's blank_token_id {dictation.blank_token_id} is outside the vocabulary "
                f"of {vocabulary}"
            )

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Reads the object that config.json holds.

        Raises:
            ConfigError: a figure is missing or impossible; named with its path.
        """
        top = as_section(data, "config")
        extras = Extras.from_dict(top.get("omnilive", {}))
        return cls(
            thinker=_thinker(top.get("thinker_config"), extras),
            talker=_talker(top.get("talker_config")),
            token2wav=_token2wav(top.get("token2wav_config")),
            omnilive=extras,
        )

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Reads `directory`/config.json.

        Raises:
            ConfigError: no such file, not JSON, or a figure is missing or impossible.
        """
        path = Path(directory) / "config.json"
        try:
            data = json.loads(path.read_bytes())
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path} is not JSON that can be read: {error}") from None
        return cls.from_dict(data)


def _thinker(data: object, extras: Extras) -> ThinkerConfig:
    path = "thinker_config"
    section = _published(data, path)
    audio_path, vision_path = f"{path}.audio_config", f"{path}.vision_config"
    audio = read(
        AudioEncoderConfig,
        _published(section.get("audio_config"), audio_path),
        audio_path,
        ignored=frozenset({"num_hidden_layers"}),
    )
    vision = None
    if {"image", "video"} & set(extras.inputs):
        vision = read(
            VisionEncoderConfig,
            _published(section.get("vision_config"), vision_path),
            vision_path,
            ignored=frozenset({"embed_dim", "in_chans", "spatial_patch_size", "tokens_per_second"}),
        )
    rest = {key: value for key, value in section.items() if not key.endswith("_config")}
    return read(
        ThinkerConfig,
        rest,
        path,
        aliases=_MODERN_IDS,
        ignored=frozenset({"vision_token_id", "tie_word_embeddings"}),
        given={
            "text": _decoder(section.get("text_config"), f"{path}.text_config"),
            "audio": audio,
            "vision": vision,
        },
    )


def _talker(data: object) -> TalkerConfig:
    path = "talker_config"
    section = _published(data, path)
    decoder_keys = set(DecoderConfig.__dataclass_fields__) | _ROPE_KEYS
    own = {key: value for key, value in section.items() if key not in decoder_keys}
    decoder = _decoder(section, path, ignored=_TALKER_REPEATS | set(own))
    ignored = _TALKER_REPEATS | {"audio_config", "text_config", "vision_config"}
    return read(
        TalkerConfig, own, path, aliases=_MODERN_IDS, ignored=ignored, given={"decoder": decoder}
    )


def _token2wav(data: object) -> Token2WavConfig:
    path = "token2wav_config"
    section = _published(data, path)
    dit_path, bigvgan_path = f"{path}.dit_config", f"{path}.bigvgan_config"
    dit_section = as_section(section.get("dit_config"), dit_path)
    dit = read(
        DiTConfig,
        _flat_rope(dit_section, dit_path),
        dit_path,
        aliases={
            "dim": "hidden_size",
            "depth": "num_hidden_layers",
            "heads": "num_attention_heads",
        },
        ignored=frozenset({"enc_lin_neurons", "enc_global_context", "max_position_embeddings"}),
    )
    bigvgan = read(
        BigVGANConfig,
        section.get("bigvgan_config"),
        bigvgan_path,
        ignored=frozenset({"use_bias_at_final"}),
    )
    rest = {key: value for key, value in section.items() if not key.endswith("_config")}
    return read(Token2WavConfig, rest, path, given={"dit": dit, "bigvgan": bigvgan})


def _decoder(
    data: object, path: str, *, ignored: frozenset[str] | set[str] = frozenset()
) -> DecoderConfig:
    section = _flat_rope(_published(data, path), path)
    if "head_dim" not in section and section.get("num_attention_heads"):
        width = convert(int, section.get("hidden_size"), f"{path}.hidden_size")
        heads = convert(int, section["num_attention_heads"], f"{path}.num_attention_heads")
        assert isinstance(width, int)
        assert isinstance(heads, int)
        section["head_dim"] = width // heads
    return read(DecoderConfig, section, path, ignored=frozenset(ignored))


def _flat_rope(section: dict[str, Any], path: str) -> dict[str, Any]:
    """Lifts theta and mrope_section out of `rope_scaling` (older files) or `rope_parameters`."""
    flat = {key: value for key, value in section.items() if key not in _ROPE_KEYS}
    rope = section.get("rope_parameters") or section.get("rope_scaling") or {}
    rope = as_section(rope, f"{path}.rope_parameters")
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in ("default", "mrope"):
        raise ConfigError(f"{path}.rope_parameters.rope_type is {kind!r}; choices: default, mrope")
    theta = rope.get("rope_theta", section.get("rope_theta"))
    if theta is not None:
        flat["rope_theta"] = theta
    if "mrope_section" in rope:
        flat["mrope_section"] = rope["mrope_section"]
    return flat


def _published(data: object, path: str) -> dict[str, Any]:
    """The section, after refusing maths the published architecture does not have."""
    section = as_section(data, path)
    for key, only in _ONLY_VALUES.items():
        if section.get(key, only) != only:
            raise ConfigError(f"{path}.{key} is {section[key]!r}; choices: {only}")
    return {key: value for key, value in section.items() if key not in _ONLY_VALUES}
