"""The figures of each network, with their ranges and the rates that follow from them.

Knows one frozen dataclass a network, its fields named as in the published config.json. Does not
know the layout of that file: `model.config` does.
"""

from dataclasses import dataclass
from math import prod

from model.config_reader import (
    require_counts,
    require_layers,
    require_positive,
    require_same_lengths,
)
from model.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """A causal decoder: the Thinker's text model or the Talker's.

    `mrope_section` gives how many rotary pairs turn with the temporal, height and width position;
    it sums to head_dim / 2.
    """

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    rms_norm_eps: float
    rope_theta: float
    mrope_section: tuple[int, ...]
    max_position_embeddings: int
    tie_word_embeddings: bool = False

    def __post_init__(self) -> None:
        require_counts(self, but=frozenset({"mrope_section"}))
        require_positive(rms_norm_eps=self.rms_norm_eps, rope_theta=self.rope_theta)
        require_layers("num_hidden_layers", self.num_hidden_layers)
        if self.num_attention_heads % self.num_key_value_heads:
            raise ConfigError(
                f"num_attention_heads {self.num_attention_heads} is no multiple of "
                f"num_key_value_heads {self.num_key_value_heads}"
            )
        if len(self.mrope_section) != 3 or 2 * sum(self.mrope_section) != self.head_dim:
            raise ConfigError(
                f"mrope_section {list(self.mrope_section)} must be three counts that sum to "
                f"half of head_dim {self.head_dim}"
            )


@dataclass(frozen=True, kw_only=True)
class AudioEncoderConfig:
    """The audio encoder; one block is `2 * n_window` mel frames (10 ms each)."""

    num_mel_bins: int
    d_model: int
    encoder_layers: int
    encoder_attention_heads: int
    encoder_ffn_dim: int
    max_source_positions: int
    n_window: int
    output_dim: int

    def __post_init__(self) -> None:
        require_counts(self)
        require_layers("encoder_layers", self.encoder_layers)
        _require_heads("d_model", self.d_model, "encoder_attention_heads", self)

    @property
    def block_frames(self) -> int:
        """Mel frames in one block (200 = 2 s as published)."""
        return 2 * self.n_window


@dataclass(frozen=True, kw_only=True)
class VisionEncoderConfig:
    """The vision encoder.

    Attention stays inside windows of `window_size` pixels but for `fullatt_block_indexes`.
    """

    depth: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    out_hidden_size: int
    window_size: int
    fullatt_block_indexes: tuple[int, ...]
    patch_size: int
    spatial_merge_size: int
    temporal_patch_size: int
    in_channels: int = 3

    def __post_init__(self) -> None:
        require_counts(self, but=frozenset({"fullatt_block_indexes"}))
        require_layers("depth", self.depth)
        _require_heads("hidden_size", self.hidden_size, "num_heads", self)


@dataclass(frozen=True, kw_only=True)
class ThinkerConfig:
    """The Thinker: text decoder, encoders, and the ids and rates that place media among text."""

    text: DecoderConfig
    audio: AudioEncoderConfig
    vision: VisionEncoderConfig | None
    audio_token_index: int
    image_token_index: int
    video_token_index: int
    audio_start_token_id: int
    audio_end_token_id: int
    vision_start_token_id: int
    vision_end_token_id: int
    position_id_per_seconds: int
    seconds_per_chunk: int
    user_token_id: int


@dataclass(frozen=True, kw_only=True)
class TalkerConfig:
    """The Talker.

    `embedding_size` is the width of Thinker vectors; the text ids are in the Thinker's vocabulary.
    """

    decoder: DecoderConfig
    embedding_size: int
    tts_text_start_token_id: int
    tts_text_end_token_id: int
    tts_text_pad_token_id: int
    tts_codec_start_token_id: int
    tts_codec_end_token_id: int
    tts_codec_pad_token_id: int
    tts_codec_mask_token_id: int


@dataclass(frozen=True, kw_only=True)
class DiTConfig:
    """The mel transformer and its speaker encoder (`enc_*`).

    A codec token is held for `repeats` mel frames.
    """

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    head_dim: int
    emb_dim: int
    num_embeds: int
    mel_dim: int
    repeats: int
    enc_emb_dim: int
    enc_dim: int
    enc_channels: tuple[int, ...]
    enc_kernel_sizes: tuple[int, ...]
    enc_dilations: tuple[int, ...]
    enc_attention_channels: int
    enc_res2net_scale: int
    enc_se_channels: int
    # The released config.json leaves these to the reference's defaults.
    ff_mult: int = 2
    block_size: int = 24
    look_ahead_layers: tuple[int, ...] = (10,)
    look_backward_layers: tuple[int, ...] = (0, 20)
    rope_theta: float = 10000.0

    def __post_init__(self) -> None:
        require_counts(self, but=frozenset({"look_ahead_layers", "look_backward_layers"}))
        require_layers("num_hidden_layers", self.num_hidden_layers)
        require_positive(rope_theta=self.rope_theta)
        require_same_lengths(
            enc_channels=self.enc_channels,
            enc_kernel_sizes=self.enc_kernel_sizes,
            enc_dilations=self.enc_dilations,
        )
        if self.block_size % self.repeats:
            raise ConfigError(
                f"block_size {self.block_size} is no multiple of repeats {self.repeats}"
            )

    @property
    def block_codes(self) -> int:
        """Codec tokens in one block of `block_size` mel frames."""
        return self.block_size // self.repeats


@dataclass(frozen=True, kw_only=True)
class BigVGANConfig:
    """The vocoder; one mel frame becomes `samples_per_frame` samples."""

    mel_dim: int
    upsample_initial_channel: int
    resblock_kernel_sizes: tuple[int, ...]
    resblock_dilation_sizes: tuple[tuple[int, ...], ...]
    upsample_rates: tuple[int, ...]
    upsample_kernel_sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        require_counts(self)
        require_same_lengths(
            upsample_rates=self.upsample_rates, upsample_kernel_sizes=self.upsample_kernel_sizes
        )
        require_same_lengths(
            resblock_kernel_sizes=self.resblock_kernel_sizes,
            resblock_dilation_sizes=self.resblock_dilation_sizes,
        )

    @property
    def samples_per_frame(self) -> int:
        """Samples made of one mel frame (240 as published)."""
        return prod(self.upsample_rates)


@dataclass(frozen=True, kw_only=True)
class Token2WavConfig:
    """Codec tokens to samples."""

    dit: DiTConfig
    bigvgan: BigVGANConfig
    sample_rate_hz: int = 24000

    def __post_init__(self) -> None:
        require_counts(self)

    @property
    def samples_per_code(self) -> int:
        """Samples made of one codec token (480 as published)."""
        return self.dit.repeats * self.bigvgan.samples_per_frame

    @property
    def codes_per_second(self) -> float:
        """Codec tokens in a second of speech (50 as published)."""
        return self.sample_rate_hz / self.samples_per_code


def _require_heads(width_name: str, width: int, heads_name: str, figures: object) -> None:
    heads = getattr(figures, heads_name)
    if width % heads:
        raise ConfigError(f"{width_name} {width} is no multiple of {heads_name} {heads}")
