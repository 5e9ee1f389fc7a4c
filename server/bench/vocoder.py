"""`bench vocoder`: our BigVGAN beside the reference's on the same weights and the same mel.

One call each on a whole mel, in the checkpoint's dtype of the vocoder and with the same threads;
runs alternate. The mel is the checkpoint's own voice, repeated. What the first call compiles is not
counted; how far the two waveforms lie apart stands beside the times.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.alias_free_kernels import compile_loops
from model.omni import OmniModel, load_checkpoint
from server.bench.floors import vocoder_operations
from server.bench.machine import Machine, measure_rates, timed_s
from server.bench.options import BenchOptions
from server.bench.reference import reference_vocoder
from server.bench.result import Bar, Result

BARS = (Bar(figure="ratio", relation="at least", limit=3),)
MEL_S = 4.0


def vocoder(options: BenchOptions, machine: Machine) -> Result:
    """Runs the bench.

    Raises:
        ReferenceMissingError: `transformers` is not installed.
    """
    model = load_checkpoint(options.model, dtype=options.dtype)
    compile_loops()  # as the engine does before it takes its first conversation
    ours = model.token2wav.code2wav_bigvgan_model
    theirs = reference_vocoder(model.config.token2wav.bigvgan, ours.state_dict())
    return compare(ours, theirs, voice_mel(model), options.runs, machine)


def voice_mel(model: OmniModel) -> Tensor:
    """Returns `[1, mel_dim, T]`: `MEL_S` of the first voice's mel, repeated as often as needed."""
    token2wav = model.config.token2wav
    frames = round(MEL_S * token2wav.sample_rate_hz / token2wav.bigvgan.samples_per_frame)
    mel = model.speaker().ref_mel.transpose(1, 2)  # [1, T, mel] -> [1, mel, T]
    repeats = -(-frames // mel.shape[2])
    return mel.repeat(1, 1, repeats)[:, :, :frames].contiguous()


@torch.inference_mode()
def compare(ours: nn.Module, theirs: nn.Module, mel: Tensor, runs: int, machine: Machine) -> Result:
    """Times both on `mel` `[1, mel_dim, T]` and sets them beside the machine's floor."""
    weight = next(ours.parameters())
    mel, theirs = mel.to(weight), theirs.to(weight.dtype)
    difference = (ours(mel).reshape(-1) - theirs(mel).reshape(-1)).abs().max()
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(runs):
        times["ours"].append(timed_s(lambda: ours(mel)))
        times["theirs"].append(timed_s(lambda: theirs(mel)))
    operations = vocoder_operations(ours, mel.shape[2], weight.dtype)
    rates = measure_rates({weight.dtype})
    return Result(
        name="vocoder",
        title=f"BigVGAN on {mel.shape[2]} mel frames",
        unit="s",
        ours=times["ours"],
        reference=times["theirs"],
        ours_over_reference=False,
        bars=BARS,
        extra={
            "mel_frames": mel.shape[2],
            "dtype": str(weight.dtype).removeprefix("torch."),
            "largest_difference": float(difference),
            "floor_s": operations / rates.operations_s[weight.dtype],
            "rates": rates.figures(),
        },
        machine=machine.figures(),
    )
