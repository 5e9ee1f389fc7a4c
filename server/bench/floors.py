"""The least time each stage of a reply could take on this machine.

Knows how many operations and bytes a stage cannot do without, and divides them by the machine's
rates. Does not know how long the stage really took. A floor counts only what is certain: the
multiplications and additions of matrix products, convolutions and the vocoder's activations, each
once (no frame that two chunks share is counted twice); the weights, read once for each pass over
them, and the caches. What stays between two layers may stay in the processor's cache and is not
counted. So no code reaches it, and a stage near its floor is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from model.alias_free import AliasFreeSnake
from model.figures import DecoderConfig
from model.flow import SMALLEST_GUIDANCE, evaluations
from model.layers import step_bytes
from model.omni import OmniModel
from server.bench.machine import Rates

# Twelve taps into each pair of doubled samples, twelve out of it, two sines of five operations.
_OPERATIONS_AN_ACTIVATION = 2 * (12 + 12) + 2 * 5
# Mel is solved for in windows: a few blocks are what a network evaluation sees.
_WINDOW_BLOCKS = 4


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a stage cannot do without.

    Attributes:
        operations: Multiplications and additions.
        read_bytes: Bytes that must come from memory.
        dtype: In which the operations are done.
    """

    operations: float
    read_bytes: float
    dtype: torch.dtype

    def floor_s(self, rates: Rates) -> float:
        """Seconds below which no code gets."""
        by_operations = self.operations / rates.operations_s[self.dtype]
        return max(by_operations, self.read_bytes / rates.read_bytes_s)


@dataclass(frozen=True, kw_only=True)
class ReplySize:
    """How much of everything one reply took.

    Attributes:
        encoded_mel_frames: Frames that were encoded after the reply had been asked for.
        prefilled_tokens: Prompt positions that were not in the caches then.
        prompt_tokens: All positions of the prompt.
        text_tokens: Thinker tokens of the reply.
        codec_tokens: Codec tokens that became sound.
        chunks: Pieces in which the sound was made, at least one.
    """

    encoded_mel_frames: int
    prefilled_tokens: int
    prompt_tokens: int
    text_tokens: int
    codec_tokens: int
    chunks: int


def reply_floors(model: OmniModel, size: ReplySize) -> dict[str, Work]:
    """Returns each stage's work for a reply, in the order of the stages.

    The names are those of `StageTimings`; the vocoder's part of token2wav also stands alone.
    """
    vocoder = _vocoder(model, size)
    dit = _dit(model, size)
    both = Work(
        operations=dit.operations + vocoder.operations,
        read_bytes=dit.read_bytes + vocoder.read_bytes,
        dtype=dit.dtype,
    )
    return {
        "encode": _encode(model, size.encoded_mel_frames),
        "prefill": _prefill(model, size.prefilled_tokens),
        "thinker": _thinker(model, size),
        "talker": _talker(model, size),
        "token2wav": both,
        "vocoder": vocoder,
    }


def decoder_step(
    config: DecoderConfig, modules: Sequence[nn.Module], *, steps: int, start: int
) -> Work:
    """Returns the work of single-token steps through a decoder.

    Args:
        config: The decoder's figures.
        modules: What every step reads whole: its layers and its head, not the embedding table. Of
            packed ones the packed weights count.
        steps: How many steps.
        start: Positions in its cache before the first.
    """
    parameters = [p for module in modules for p in module.parameters()]
    size = parameters[0].element_size()
    past = sum(range(start, start + steps))
    kv_values = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    heads = 2 * config.num_hidden_layers * config.num_attention_heads * config.head_dim
    return Work(
        operations=2.0 * (steps * sum(p.numel() for p in parameters) + past * heads),
        read_bytes=float(steps * sum(map(step_bytes, modules)) + past * kv_values * size),
        dtype=parameters[0].dtype,
    )


def _thinker(model: OmniModel, size: ReplySize) -> Work:
    thinker = model.thinker
    modules = [thinker.model.layers, thinker.lm_head]
    return decoder_step(
        model.config.thinker.text, modules, steps=size.text_tokens, start=size.prompt_tokens
    )


def _talker(model: OmniModel, size: ReplySize) -> Work:
    """Its steps are at least the codec tokens; those that only ask for text come on top."""
    talker = model.talker
    asks = model.config.omnilive.talker_text_advance_token_id is not None
    steps = size.codec_tokens + (size.text_tokens if asks else 0)
    modules = [talker.thinker_to_talker_proj, talker.model.layers, talker.codec_head]
    return decoder_step(model.config.talker.decoder, modules, steps=steps, start=size.prompt_tokens)


def _prefill(model: OmniModel, tokens: int) -> Work:
    """Both decoders read the prompt; their weights are read once, their heads not at all."""
    modules = [
        model.thinker.model.layers,
        model.talker.thinker_to_talker_proj,
        model.talker.model.layers,
    ]
    parameters = [p for module in modules for p in module.parameters()]
    return Work(
        operations=2.0 * tokens * sum(p.numel() for p in parameters),
        read_bytes=float(_bytes(parameters)) if tokens else 0.0,
        dtype=parameters[0].dtype,
    )


def _encode(model: OmniModel, mel_frames: int) -> Work:
    tower = model.thinker.audio_tower
    weight = tower.proj.weight
    if not mel_frames:
        return Work(operations=0.0, read_bytes=0.0, dtype=weight.dtype)
    mel = torch.zeros(tower.config.num_mel_bins, mel_frames, dtype=weight.dtype)
    operations = count_operations(lambda: tower(mel))
    return Work(
        operations=operations,
        read_bytes=float(_bytes(tower.layers.parameters())),
        dtype=weight.dtype,
    )


def _dit(model: OmniModel, size: ReplySize) -> Work:
    network, solver = model.token2wav.code2wav_dit_model, model.token2wav.solver
    config = network.config
    codes = torch.zeros(1, _WINDOW_BLOCKS * config.block_codes, dtype=torch.int64)
    frames = codes.shape[1] * config.repeats
    speaker = model.speaker()
    guided = solver.guidance_scale >= SMALLEST_GUIDANCE
    rows = 2 if guided else 1
    with torch.no_grad():
        voice = network.voice(speaker.ref_mel, speaker.cond)
        conditions = network.conditions(codes, voice, guided=guided)
    mel = speaker.ref_mel.new_zeros(rows, frames, config.mel_dim)
    a_window = count_operations(lambda: network(mel, mel.new_zeros(rows), conditions))
    passes = evaluations(solver)
    return Work(
        operations=passes * a_window * size.codec_tokens * config.repeats / frames,
        read_bytes=float(size.chunks * passes * _bytes(network.transformer_blocks.parameters())),
        dtype=mel.dtype,
    )


def _vocoder(model: OmniModel, size: ReplySize) -> Work:
    network = model.token2wav.code2wav_bigvgan_model
    dit = model.config.token2wav.dit
    frames = size.codec_tokens * dit.repeats
    dtype = network.conv_pre.weight.dtype
    a_window = vocoder_operations(network, dit.block_size, dtype)
    return Work(
        operations=a_window * frames / dit.block_size,
        read_bytes=float(size.chunks * _bytes(network.parameters())),
        dtype=dtype,
    )


def vocoder_operations(network: nn.Module, frames: int, dtype: torch.dtype) -> float:
    """Returns the operations of BigVGAN on `frames` mel frames, activations included."""
    activated: list[int] = []

    def note(module: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        activated.append(output.numel())

    hooks = [
        module.register_forward_hook(note)
        for module in network.modules()
        if isinstance(module, AliasFreeSnake)
    ]
    mel_dim = network.conv_pre.in_channels  # type: ignore[union-attr]
    mel = torch.zeros(1, mel_dim, frames, dtype=dtype)  # type: ignore[arg-type]
    operations = count_operations(lambda: network(mel))
    for hook in hooks:
        hook.remove()
    return operations + _OPERATIONS_AN_ACTIVATION * sum(activated)


def count_operations(work: Callable[[], object]) -> float:
    """Returns the multiplications and additions of the products and convolutions in one call."""
    counter = FlopCounterMode(display=False)
    # Compiled loops would be compiled again under the counter, and hold no product anyway.
    with torch.no_grad(), torch.compiler.set_stance("force_eager"), counter:
        work()
    return float(counter.get_total_flops())


def _bytes(parameters: Iterable[nn.Parameter]) -> int:
    return sum(p.numel() * p.element_size() for p in parameters)
