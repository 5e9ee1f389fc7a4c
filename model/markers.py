"""The control tokens around media, which a checkpoint names twice: in its tokenizer and its config.

Knows the published names and the config's keys. Does not know what stands between them.
"""

from model.config import OmniConfig
from model.errors import CheckpointError
from model.tokenizer import Tokenizer

# Key of config.json's thinker_config -> the token that the chat template writes.
MARKERS = {
    "audio_token_index": "<|AUDIO|>",
    "image_token_index": "<|IMAGE|>",
    "video_token_index": "<|VIDEO|>",
    "audio_start_token_id": "<|audio_bos|>",
    "audio_end_token_id": "<|audio_eos|>",
    "vision_start_token_id": "<|vision_bos|>",
    "vision_end_token_id": "<|vision_eos|>",
}


def check_markers(config: OmniConfig, tokenizer: Tokenizer) -> None:
    """Checks that both mean the same ids, or prompts would be built of the wrong tokens.

    Raises:
        CheckpointError: They differ, or a token is missing; names every one with both its ids.
    """
    wrong = []
    for key, name in MARKERS.items():
        wanted = getattr(config.thinker, key)
        try:
            found: int | str = tokenizer.control(name)
        except CheckpointError:
            found = "no such control token"
        if found != wanted:
            wrong.append(f"{key} is {wanted} in config.json, {name} is {found} in the tokenizer")
    if wrong:
        raise CheckpointError("; ".join(wrong))
