"""The special token ids of omni-mini: reserved rows of the SmolLM2 vocabulary, given new meanings.

Knows which id stands for what. Does not know the tokenizer's file or the config's layout.
"""

AUDIO_BOS = 3
AUDIO = 4
AUDIO_EOS = 5
VISION_BOS = 6
VISION_EOS = 7
IMAGE = 8
VIDEO = 9
TALKER_TEXT_BOS = 10
TALKER_TEXT_EOS = 11
TALKER_TEXT_PAD = 12

IM_START = 1
IM_END = 2

# A space by itself: the ear writes its embedding where no token ends.
BLANK = 216

SPECIAL_TOKENS: dict[str, int] = {
    "<|audio_bos|>": AUDIO_BOS,
    "<|AUDIO|>": AUDIO,
    "<|audio_eos|>": AUDIO_EOS,
    "<|vision_bos|>": VISION_BOS,
    "<|vision_eos|>": VISION_EOS,
    "<|IMAGE|>": IMAGE,
    "<|VIDEO|>": VIDEO,
    "<|talker_text_bos|>": TALKER_TEXT_BOS,
    "<|talker_text_eos|>": TALKER_TEXT_EOS,
    "<|talker_text_pad|>": TALKER_TEXT_PAD,
    "<|im_start|>": IM_START,
    "<|im_end|>": IM_END,
}
