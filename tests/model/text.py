"""A byte-level tokenizer as small as a test can use, with the published control tokens."""

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, trainers

CONTROLS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|AUDIO|>",
    "<|audio_bos|>",
    "<|audio_eos|>",
    "<|vision_bos|>",
    "<|vision_eos|>",
    "<|IMAGE|>",
    "<|VIDEO|>",
)
CORPUS = [
    "system user assistant You are a helpful assistant, and this is what you see and hear.",
    "Größe naïve façade 東京は夜の七時 Привет мир 🎧🎤 👩‍🚀 don't we'll 1234 567",
    "def f(x):\n    return x\n\n\nWhat is the capital of France? Paris.  Two  spaces.\n",
] * 3

# Qwen2's own, copied from its published tokenizer.json.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def backend(vocabulary_tokens: int = 400) -> tokenizers.Tokenizer:
    """Trains it; the control tokens come last, as in the published vocabulary."""
    made = tokenizers.Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(CORPUS, trainer)
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in CONTROLS])
    made.add_tokens([AddedToken("<tool_call>", special=False, normalized=False)])
    return made
