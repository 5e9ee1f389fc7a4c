"""What Token2Wav is told and what it keeps: voices and a stream's position.

Knows the dataclasses and nothing of how they are used (`model.token2wav`).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model.bigvgan import BigVGANState
from model.dit import VoiceConditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """A voice of spk_dict.pt.

    Attributes:
        name: For people.
        cond: `[1, enc_emb_dim]` embedding.
        ref_mel: `[1, frames, mel_dim]` reference for the speaker encoder.
        bos_token: The text token with which the Talker begins in this voice.
    """

    name: str
    cond: Tensor
    ref_mel: Tensor
    bos_token: int

    def to(self, device: torch.device | str) -> "Speaker":
        """Returns the voice with its tensors on a device."""
        return replace(self, cond=self.cond.to(device), ref_mel=self.ref_mel.to(device))


@dataclass(slots=True)
class Token2WavState:
    """One stream's position.

    Attributes:
        voice: Its conditions.
        generator: Draws the initial noise, block after block.
        vocoder: State of the vocoder behind it.
        codes: `[n]`, from the first block that the next window looks back to.
        noise: `[frames, mel_dim]` of the blocks in `codes` drawn so far.
        back_blocks: Blocks in front of `codes` that were solved before.
        chunks: Chunks solved.
    """

    voice: VoiceConditions
    generator: torch.Generator
    vocoder: BigVGANState
    codes: Tensor
    noise: Tensor
    back_blocks: int = 0
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """Blocks to solve together, of which some are looked at only.

    Attributes:
        state: The stream they are of.
        codes: `[n]`.
        noise: `[n * repeats, mel_dim]`.
        own_frames: Those of the chunk itself.
    """

    state: Token2WavState
    codes: Tensor
    noise: Tensor
    own_frames: slice
