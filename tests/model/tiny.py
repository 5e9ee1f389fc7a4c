"""A tiny Qwen2.5-Omni: one config, one random state dict, our modules and the reference's on it.

Every branch of the published architecture is there (biases, GQA, three rotary sections, vision
windows, DiT look-ahead, three vocoder kernels), at widths that a test can afford.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from model.config import OmniConfig

TEXT_IDS = 180  # ids below are plain text


def config_dict() -> dict[str, Any]:
    """A config.json in the published layout."""
    decoder = {
        "num_hidden_layers": 3,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": False,
    }
    ids = {
        "audio_token_index": 190,
        "image_token_index": 191,
        "video_token_index": 192,
        "audio_start_token_id": 193,
        "audio_end_token_id": 194,
        "vision_start_token_id": 195,
        "vision_end_token_id": 196,
        "position_id_per_seconds": 25,
        "seconds_per_chunk": 2,
    }
    return {
        "model_type": "qwen2_5_omni",
        "enable_audio_output": True,
        "thinker_config": {
            "text_config": {
                **decoder,
                "hidden_size": 48,
                "intermediate_size": 96,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "vocab_size": 210,
                "rope_scaling": {"type": "default", "mrope_section": [2, 2, 2]},
            },
            "audio_config": {
                "d_model": 32,
                "encoder_layers": 2,
                "encoder_attention_heads": 4,
                "encoder_ffn_dim": 64,
                "num_mel_bins": 128,
                "max_source_positions": 1500,
                "n_window": 100,
                "output_dim": 48,
            },
            "vision_config": {
                "depth": 2,
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_heads": 2,
                "in_channels": 3,
                "patch_size": 14,
                "spatial_merge_size": 2,
                "temporal_patch_size": 2,
                "window_size": 112,
                "fullatt_block_indexes": [1],
                "out_hidden_size": 48,
            },
            "user_token_id": 197,
            **ids,
        },
        "talker_config": {
            **decoder,
            "embedding_size": 48,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "vocab_size": 220,
            "rope_scaling": {"type": "default", "mrope_section": [2, 3, 3]},
            "tts_text_start_token_id": 200,
            "tts_text_end_token_id": 201,
            "tts_text_pad_token_id": 202,
            "tts_codec_start_token_id": 209,
            "tts_codec_end_token_id": 210,
            "tts_codec_pad_token_id": 208,
            "tts_codec_mask_token_id": 212,
            "spatial_merge_size": 2,
            **ids,
        },
        "token2wav_config": {
            "dit_config": {
                "hidden_size": 32,
                "num_hidden_layers": 4,
                "num_attention_heads": 2,
                "head_dim": 16,
                "ff_mult": 2,
                "emb_dim": 24,
                "block_size": 24,
                "look_ahead_layers": [2],
                "look_backward_layers": [0, 3],
                "repeats": 2,
                "num_embeds": 219,  # any code a random Talker may draw has a row
                "mel_dim": 80,
                "enc_emb_dim": 16,
                "enc_dim": 12,
                "enc_channels": [16, 16, 16, 16, 48],
                "enc_kernel_sizes": [5, 3, 3, 3, 1],
                "enc_dilations": [1, 2, 3, 4, 1],
                "enc_attention_channels": 8,
                "enc_res2net_scale": 2,
                "enc_se_channels": 8,
            },
            "bigvgan_config": {
                "mel_dim": 80,
                "upsample_initial_channel": 64,
                "resblock_kernel_sizes": [3, 7, 11],
                "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
                "upsample_rates": [5, 3, 2, 2, 2, 2],
                "upsample_kernel_sizes": [11, 7, 4, 4, 4, 4],
            },
        },
    }


def config(**omnilive: Any) -> OmniConfig:
    """`config_dict` as we read it, with `omnilive` as our section of it."""
    return OmniConfig.from_dict({**config_dict(), "omnilive": omnilive})


def randomise(module: nn.Module, seed: int = 0, scale: float = 0.25) -> nn.Module:
    """Fills every parameter with seeded noise that keeps norms alive and logits apart.

    Args:
        module: filled in place; gains (one axis, around 1) get 1 plus noise.
        seed: of the noise.
        scale: its standard deviation.
    """
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in sorted(module.named_parameters()):
            noise = torch.randn(tensor.shape, generator=random) * scale
            is_gain = tensor.dim() == 1 and name.endswith("weight")
            tensor.copy_(1 + noise if is_gain else noise)
    return module.eval()


def reference_config(data: dict[str, Any] | None = None) -> Any:
    """The reference's config object for `data`, `config_dict` by default."""
    from transformers import Qwen2_5OmniConfig
    from transformers.utils import logging

    logging.set_verbosity_error()  # it complains of text ids in the Talker's section, as published
    return Qwen2_5OmniConfig(**copy.deepcopy(data or config_dict()))


def reference_omni(seed: int = 0, data: dict[str, Any] | None = None) -> Any:
    """The reference's whole model with random weights, eager and in float32."""
    from transformers import Qwen2_5OmniForConditionalGeneration

    model = Qwen2_5OmniForConditionalGeneration(reference_config(data))
    randomise(model, seed)
    quieten(model.token2wav.code2wav_bigvgan_model)
    return model


def quieten(vocoder: nn.Module) -> None:
    """Draws weights so small that the sound stays within -1..1, where nothing is cut."""
    randomise(vocoder, scale=1)
    for name, parameter in vocoder.named_parameters():
        inputs = parameter[0].numel() if parameter.dim() > 1 else 4
        parameter.data *= 0.5 if "act" in name else 0.5 * inputs**-0.5


def published_state(reference: nn.Module) -> dict[str, Tensor]:
    """The reference's weights under their published names."""
    return {published_name(name): tensor for name, tensor in reference.state_dict().items()}


def published_name(in_memory: str) -> str:
    """The published name of a parameter: in memory the reference nests its Thinker once more."""
    for old, new in (
        ("thinker.model.audio_tower.", "thinker.audio_tower."),
        ("thinker.model.visual.", "thinker.visual."),
        ("thinker.model.language_model.", "thinker.model."),
    ):
        if in_memory.startswith(old):
            return new + in_memory.removeprefix(old)
    return in_memory


def load_part(module: nn.Module, state: dict[str, Tensor], prefix: str) -> None:
    """Loads the tensors of `state` below `prefix` ("talker.") into `module`, all and only they."""
    part = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    module.load_state_dict(part, strict=True)
    module.eval()
