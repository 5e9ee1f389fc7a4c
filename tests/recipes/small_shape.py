"""omni-mini's ids and codes on networks small enough to train in a test."""

from dataclasses import replace

from model.config import OmniConfig
from model.recipes.omni_mini import shape


def small_config() -> OmniConfig:
    """Two narrow layers each, a vocabulary of 256, the real codec vocabulary."""
    config = shape.config()
    text = replace(
        config.thinker.text,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=1,
        num_key_value_heads=1,
        vocab_size=256,
    )
    audio = replace(config.thinker.audio, encoder_layers=1, output_dim=64)
    decoder = replace(
        config.talker.decoder,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=1,
        num_key_value_heads=1,
    )
    return replace(
        config,
        thinker=replace(config.thinker, text=text, audio=audio),
        talker=replace(config.talker, decoder=decoder, embedding_size=64),
    )
