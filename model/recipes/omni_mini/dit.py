"""Stage `dit`: the mel transformer learns to draw the teacher's mel from its codec tokens.

Plain conditional flow matching: a mel and noise are mixed at a random time, and the network is
asked for the difference. There is one voice, so that its reference mel and embedding are constants,
kept in `speaker.pt` beside the run; and nothing is dropped for guidance, which this voice does not
need.

Source: "Flow Matching for Generative Modeling" (Lipman et al., 2023), the optimal-transport path.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model.dit import DiT
from model.extras import SolverConfig
from model.figures import DiTConfig
from model.flow import solve
from model.precision import half_precision
from model.recipes.omni_mini.codec import CODES, FRAMES_A_CODE, whole_codes
from model.recipes.omni_mini.training import Run, Schedule, trained
from model.speech_mel import MEL_BINS, speech_mel

DIT_CONFIG = DiTConfig(
    hidden_size=256,
    num_hidden_layers=8,
    num_attention_heads=4,
    head_dim=64,
    emb_dim=256,
    num_embeds=CODES,
    mel_dim=MEL_BINS,
    repeats=FRAMES_A_CODE,
    enc_emb_dim=16,
    enc_dim=32,
    enc_channels=(32, 32, 32, 64),
    enc_kernel_sizes=(5, 3, 3, 1),
    enc_dilations=(1, 2, 3, 1),
    enc_attention_channels=16,
    enc_res2net_scale=2,
    enc_se_channels=16,
    ff_mult=2,
    block_size=24,
    look_ahead_layers=(3,),
    look_backward_layers=(0, 6),
)
# Two evaluations; without sway, since training draws times evenly; without noise, since the teacher
# has none: of true codes whisper-base mistook 12 % of the words then, and 23 % with all of it.
SOLVER = SolverConfig(
    method="euler", num_steps=3, guidance_scale=0.0, sway_coefficient=None, noise_scale=0.0
)
# Nats; what lies lower is not heard, and most of the variance of whole mels.
_FLOOR = -8.5
_REFERENCE_FRAMES = 300
_HELD_OUT = 16
_PREFIX = "token2wav.code2wav_dit_model."


@dataclass(frozen=True, kw_only=True)
class DiTPlan:
    """How long and on what the DiT trains.

    Attributes:
        steps: Whole length; the last quarter decays the learning rate.
        frames: Mel frames a step, in rows of 3 to 8 blocks.
        max_shards: Shards held in memory.
        check_steps: How often mels are solved for held-out speech.
    """

    steps: int = 6_000
    frames: int = 768
    max_shards: int = 40
    peak: float = 1e-3
    check_steps: int = 250
    seed: int = 0


SMOKE = DiTPlan(steps=3, frames=192, max_shards=1, check_steps=2)


class Mels:
    """Mels and codes of all utterances; new shards are picked up as they appear."""

    def __init__(self, speech: Path, codes: Path, plan: DiTPlan) -> None:
        self._speech, self._codes, self._plan = speech, codes, plan
        self._names: set[str] = set()
        self.utterances: list[tuple[Tensor, Tensor]] = []  # codes [N], mel [80, 4 N] float16
        self.look()

    def look(self) -> None:
        """Loads shards that have both speech and codes and were not there at the last look."""
        for path in sorted(self._codes.glob("[0-9][0-9][0-9][0-9].npz")):
            if path.name in self._names or len(self._names) >= self._plan.max_shards:
                continue
            self._names.add(path.name)
            speech, shard = np.load(self._speech / path.name), np.load(path)
            audio, codes = speech["audio"], torch.from_numpy(shard["codes"].astype(np.int64))
            for index in range(len(shard["offsets"]) - 1):
                begin, end = speech["offsets"][index : index + 2]
                first, last = shard["offsets"][index : index + 2]
                mel = speech_mel(whole_codes(audio[begin:end])).clamp(min=_FLOOR).half()
                self.utterances.append((codes[first:last], mel))

    @property
    def held(self) -> int:
        """How many utterances, the first ones, are held out of training."""
        return min(_HELD_OUT, len(self.utterances) // 2)

    def held_out(self) -> tuple[Tensor, Tensor]:
        """The beginnings of the first utterances, never drawn for training."""
        rows = range(self.held)
        length = min(len(self.utterances[row][0]) for row in rows)
        return self._crops([(row, 0) for row in rows], length)

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Returns codes `[B, N]` and mels `[B, 4 N, 80]`, by step and seed."""
        rng = np.random.default_rng((self._plan.seed, step))
        length = int(rng.choice((3, 4, 6, 8))) * DIT_CONFIG.block_codes
        rows: list[tuple[int, int]] = []
        while len(rows) * length * FRAMES_A_CODE < self._plan.frames:
            index = int(rng.integers(self.held, len(self.utterances)))
            spare = len(self.utterances[index][0]) - length
            if spare >= 0:
                # Beginnings are where streams begin: every fifth row is one.
                rows.append((index, 0 if rng.random() < 0.2 else int(rng.integers(spare + 1))))
        return self._crops(rows, length)

    def _crops(self, rows: list[tuple[int, int]], length: int) -> tuple[Tensor, Tensor]:
        codes, mels = [], []
        for index, start in rows:
            row_codes, mel = self.utterances[index]
            codes.append(row_codes[start : start + length])
            mels.append(mel[:, FRAMES_A_CODE * start : FRAMES_A_CODE * (start + length)].T)
        return torch.stack(codes), torch.stack(mels).float()


def speaker_tensors(mels: Mels) -> dict[str, Tensor]:
    """The one voice: `ref_mel` `[1, 300, 80]` of held-out speech, a constant `cond` `[1, 16]`."""
    whole = torch.cat([mel for _, mel in mels.utterances[: mels.held]], dim=1)
    return {
        "ref_mel": whole[:, :_REFERENCE_FRAMES].T[None].float(),
        "cond": torch.ones(1, DIT_CONFIG.enc_emb_dim),
    }


def flow_loss(model: DiT, mels: Mels, speaker: dict[str, Tensor], step: int) -> dict[str, Tensor]:
    """One step's loss: the squared error of the velocity."""
    if step % 500 == 0:
        mels.look()
    codes, mel = mels.draw(step)
    generator = torch.Generator().manual_seed(step)
    noise = torch.randn(mel.shape, generator=generator)
    time = torch.rand(len(mel), generator=generator)
    mixed = torch.lerp(noise, mel, time[:, None, None])
    with half_precision():
        voice = model.voice(speaker["ref_mel"], speaker["cond"])
        conditions = model.conditions(codes, voice, guided=False)
        velocity = model(mixed, time, conditions)
    return {"loss": F.mse_loss(velocity.float(), mel - noise)}


@torch.no_grad()
def mel_error(model: DiT, mels: Mels, speaker: dict[str, Tensor]) -> float:
    """Mean distance in nats between held-out mels and those solved from their codes."""
    codes, mel = mels.held_out()
    voice = model.voice(speaker["ref_mel"], speaker["cond"])
    conditions = model.conditions(codes, voice, guided=False)
    noise = torch.randn(mel.shape, generator=torch.Generator().manual_seed(0))
    made = solve(
        lambda time, state: model(state, time.expand(len(state)), conditions), noise, SOLVER
    )
    return float((made - mel).abs().mean())


def train_dit(
    speech: Path,
    codes: Path,
    directory: Path,
    plan: DiTPlan | None = None,
    *,
    embeddings: Tensor | None = None,
    start: Path | None = None,
) -> None:
    """Trains, or goes on training, the DiT.

    Args:
        speech: Shards of the teacher.
        codes: The same utterances' codec tokens.
        directory: Where the run is kept.
        plan: Length and batch.
        embeddings: `[1024, emb_dim]` that the codes' begin with; none: random ones.
        start: A checkpoint whose DiT it begins with; its codes may mean other sounds.
    """
    plan = plan or DiTPlan()
    torch.manual_seed(plan.seed)
    model = DiT(DIT_CONFIG)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    run = Run(directory, model, optimizer)
    run.resume()
    mels = Mels(speech, codes, plan)
    speaker = speaker_tensors(mels)
    if run.step == 0 and start is not None:
        run.start_from(start, _PREFIX)
    elif run.step == 0:
        start_quiet(model, speaker["ref_mel"].mean(dim=(0, 1)))
    if run.step == 0 and embeddings is not None:
        model.text_embed.codec_embed.weight.data[:CODES] = embeddings
    torch.save(speaker, directory / "speaker.pt")
    schedule = Schedule(
        peak=plan.peak, steps=plan.steps, warmup_steps=200, decay_steps=plan.steps // 4
    )
    for step in run.train(schedule, functools.partial(flow_loss, model, mels, speaker)):
        if step % plan.check_steps == 0:
            run.log(mel_error=mel_error(model, mels, speaker))


def start_quiet(model: DiT, mean_mel: Tensor) -> None:
    """Zeroes gates and modulation: at first every layer passes its input on, to the mean `[80]`.

    Source: AdaLN-Zero (Peebles and Xie, 2023).
    """
    for layer in model.transformer_blocks:
        torch.nn.init.zeros_(layer.attn_norm.linear.weight)  # type: ignore[union-attr, arg-type]
        torch.nn.init.zeros_(layer.attn_norm.linear.bias)  # type: ignore[union-attr, arg-type]
    torch.nn.init.zeros_(model.norm_out.linear.weight)
    torch.nn.init.zeros_(model.norm_out.linear.bias)
    model.proj_out.bias.data.copy_(mean_mel)


def export_tensors(directory: Path) -> dict[str, Tensor]:
    """Returns the trained DiT's tensors under their published names."""
    state = trained(directory)
    return {_PREFIX + name: tensor for name, tensor in state.items()}
