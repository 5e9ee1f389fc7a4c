"""The Thinker before anything was trained: SmolLM2's decoder in omni-mini's shape."""

from dataclasses import replace

import torch
from tokenizers import Tokenizer

from model.gguf_weights import source_file, thinker_decoder
from model.precision import cpu_multiplies_bf16
from model.recipes.omni_mini import shape
from model.thinker import Thinker


def base_thinker() -> Thinker:
    """Loads the base decoder with its rescaled hidden state; the audio tower stays random.

    In bfloat16 where the machine multiplies it fast, else in float32.

    Raises:
        CheckpointError: the package that holds it is not installed.
    """
    config = shape.config()
    source = config.omnilive.thinker_source
    assert source is not None
    thinker = Thinker(config.thinker)
    tensors = thinker_decoder(replace(source, delta_layers=0), config.thinker.text, {})
    named = {name.removeprefix("thinker."): tensor for name, tensor in tensors.items()}
    left = thinker.load_state_dict(named, strict=False)
    assert not left.unexpected_keys
    assert all(name.startswith("audio_tower.") for name in left.missing_keys)
    dtype = torch.bfloat16 if cpu_multiplies_bf16() else torch.float32
    return thinker.to(dtype).eval().requires_grad_(False)


def base_tokenizer() -> Tokenizer:
    """Builds the tokenizer that lies in the same GGUF file (byte-level BPE).

    Raises:
        CheckpointError: the package that holds it is not installed.
    """
    source = shape.config().omnilive.thinker_source
    assert source is not None
    return gguf_tokenizer(str(source_file(source)))


def gguf_tokenizer(path: str) -> Tokenizer:
    """Reads vocabulary and merges of a GGUF file; control tokens are marked special."""
    from gguf import GGUFReader
    from tokenizers import AddedToken, decoders, models, pre_tokenizers

    fields = GGUFReader(path).fields
    tokens = [str(token) for token in fields["tokenizer.ggml.tokens"].contents()]
    kinds = fields["tokenizer.ggml.token_type"].contents()
    pairs = (str(merge).split(" ") for merge in fields["tokenizer.ggml.merges"].contents())
    merges = [(left, right) for left, right in pairs]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [t for t, kind in zip(tokens, kinds, strict=True) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in control])
    return tokenizer
