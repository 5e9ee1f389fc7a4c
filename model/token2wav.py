"""Token2Wav: codec tokens to samples, whole or chunk by chunk.

Knows how DiT, flow solver and vocoder join, and the sliding window in which a stream is computed.
Does not know where codes come from, nor when somebody listens.

A stream's codes are cut into blocks. Each chunk is solved in a window of its own blocks, the blocks
before them that the DiT looks back to and those after that it looks ahead to; which chunks there
are follows from `ChunkPolicy` alone, never from how the codes arrive, so that a stream's samples
are the same for any chunking.

Streamed is near offline, not equal to it. One evaluation of the DiT is exact in its window. A
solver evaluates it many times, and each time the window's outer blocks, which lack their own
neighbours, come out a little different and reach one look further in: offline, every block depends
on all others. With the same noise the difference is bounded by a test, in mel and in the waveform.
Up to the length of the first window, and in the vocoder after any mel, there is none.

Source: section 2.4 of the Qwen2.5-Omni report; the reference's `Qwen2_5OmniToken2WavModel`.
"""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.bigvgan import BigVGAN
from model.dit import DiT, VoiceConditions
from model.errors import ConfigError, InputError
from model.extras import ChunkPolicy, SolverConfig
from model.figures import Token2WavConfig
from model.flow import SMALLEST_GUIDANCE, guided, solve
from model.token2wav_state import Speaker as Speaker
from model.token2wav_state import Token2WavState as Token2WavState
from model.token2wav_state import Window


class Token2Wav(nn.Module):
    """Both networks and the solver; always computed in float32.

    Args:
        config: Figures of both networks.
        solver: What `forward` and streams use unless told otherwise.
        policy: Chunks of a stream.

    Raises:
        ConfigError: the networks' mels differ, or a block is not a whole number of codes.
    """

    def __init__(
        self,
        config: Token2WavConfig,
        solver: SolverConfig | None = None,
        policy: ChunkPolicy | None = None,
    ) -> None:
        super().__init__()
        dit, vocoder = config.dit, config.bigvgan
        if dit.mel_dim != vocoder.mel_dim:
            raise ConfigError(
                f"dit_config.mel_dim is {dit.mel_dim}, bigvgan_config.mel_dim {vocoder.mel_dim}; "
                "they must be equal"
            )
        if dit.block_size % dit.repeats:
            raise ConfigError(
                f"dit_config.block_size {dit.block_size} must be a multiple of "
                f"repeats {dit.repeats}"
            )
        self.config = config
        self.solver = solver or SolverConfig()
        self.policy = policy or ChunkPolicy()
        self.code2wav_dit_model = DiT(dit)
        self.code2wav_bigvgan_model = BigVGAN(vocoder, self.policy.vocoder_context_frames)

    @torch.inference_mode()
    def forward(
        self,
        codes: Tensor,
        speaker: Speaker,
        *,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        solver: SolverConfig | None = None,
    ) -> Tensor:
        """Makes the samples of whole codes; the offline reference of a stream.

        Args:
            codes: `[1, N]`, N at least 1, without control tokens.
            speaker: The voice.
            noise: `[1, N * repeats, mel_dim]`; drawn from `generator` if absent.
            generator: Seeded as a stream's it draws the stream's noise.
            solver: Instead of the default.

        Returns:
            `[N * samples_per_code]` in [-1, 1] at the config's sampling rate.
        """
        mel = self.mel(codes, speaker, noise=noise, generator=generator, solver=solver)
        samples: Tensor = self.code2wav_bigvgan_model(mel)
        return samples[0]

    @torch.inference_mode()
    def mel(
        self,
        codes: Tensor,
        speaker: Speaker,
        *,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        solver: SolverConfig | None = None,
    ) -> Tensor:
        """Solves the flow for whole codes, as `forward` does: `[1, mel_dim, N * repeats]`."""
        self._check_codes(codes[0])
        if noise is None:
            frames = codes.shape[1] * self.config.dit.repeats
            noise = self._draw(generator or torch.Generator(), frames)[None].to(codes.device)
        voice = self.code2wav_dit_model.voice(speaker.ref_mel, speaker.cond)
        return self._solve(codes, noise, voice, solver or self.solver).transpose(1, 2)

    def codes_until_next(self, state: Token2WavState) -> int:
        """Returns how many codes must still be given before `step` solves the next chunk."""
        return max(0, self._next_codes(state) - len(state.codes))

    @torch.inference_mode()
    def init_state(self, speaker: Speaker, seed: int) -> Token2WavState:
        """Begins a stream in a voice; the seed rules its noise."""
        weight = self.code2wav_dit_model.proj_out.weight
        return Token2WavState(
            voice=self.code2wav_dit_model.voice(speaker.ref_mel, speaker.cond),
            generator=torch.Generator().manual_seed(seed),
            vocoder=self.code2wav_bigvgan_model.init_state(),
            codes=torch.empty(0, dtype=torch.long, device=weight.device),
            noise=weight.new_empty(0, self.config.dit.mel_dim),
        )

    def step(self, state: Token2WavState, codes: Tensor) -> Tensor:
        """Takes the next codes `[n]`, n may be 0; returns the samples `[S]` that became final."""
        return self.step_many([state], [codes])[0]

    @torch.inference_mode()
    def step_many(self, states: Sequence[Token2WavState], codes: Sequence[Tensor]) -> list[Tensor]:
        """`step` for several streams; windows of equal shape share the DiT's calls.

        Raises:
            InputError: a code is outside the codebook; nothing was changed then.
        """
        for given in codes:
            self._check_codes(given)
        for state, given in zip(states, codes, strict=True):
            state.codes = torch.cat((state.codes, given.to(state.codes)))
        samples: dict[int, list[Tensor]] = {id(state): [] for state in states}
        while ready := [state for state in states if not self.codes_until_next(state)]:
            for state, mel in self._solve_windows([self._next_window(s) for s in ready]):
                samples[id(state)].append(self.code2wav_bigvgan_model.step(state.vocoder, mel))
        empty = self.code2wav_dit_model.proj_out.weight.new_empty(0)
        return [torch.cat((empty, *samples[id(state)])) for state in states]

    @torch.inference_mode()
    def flush(self, state: Token2WavState) -> Tensor:
        """Ends a stream: the samples `[S]` of all codes left; the state is then of no use."""
        vocoder = self.code2wav_bigvgan_model
        pieces = []
        if len(state.codes) > state.back_blocks * self.config.dit.block_codes:
            for _, mel in self._solve_windows([self._last_window(state)]):
                pieces.append(vocoder.step(state.vocoder, mel))
        return torch.cat((*pieces, vocoder.flush(state.vocoder)))

    def _next_codes(self, state: Token2WavState) -> int:
        """Length that `state.codes` must have for the next chunk, look-ahead included."""
        blocks = state.back_blocks + self.policy.size(state.chunks)
        return (blocks + self.code2wav_dit_model.ahead_blocks) * self.config.dit.block_codes

    def _next_window(self, state: Token2WavState) -> Window:
        """Cuts the next chunk's window and moves the state past the chunk."""
        own_blocks = self.policy.size(state.chunks)
        window = self._window(state, self._next_codes(state), own_blocks)
        kept = min(self.code2wav_dit_model.back_blocks, state.back_blocks + own_blocks)
        dropped = state.back_blocks + own_blocks - kept
        state.codes = state.codes[dropped * self.config.dit.block_codes :]
        state.noise = state.noise[dropped * self.config.dit.block_size :]
        state.back_blocks = kept
        state.chunks += 1
        return window

    def _last_window(self, state: Token2WavState) -> Window:
        window = self._window(state, len(state.codes), None)
        state.codes, state.noise, state.back_blocks = state.codes[:0], state.noise[:0], 0
        return window

    def _window(self, state: Token2WavState, codes: int, own_blocks: int | None) -> Window:
        """The first `codes` of the state; its own frames end with `own_blocks`, or the window."""
        block = self.config.dit.block_size
        frames = codes * self.config.dit.repeats
        missing = self._draw(state.generator, max(0, frames - len(state.noise)))
        state.noise = torch.cat((state.noise, missing.to(state.noise)))
        begin = state.back_blocks * block
        end = frames if own_blocks is None else begin + own_blocks * block
        return Window(state, state.codes[:codes], state.noise[:frames], slice(begin, end))

    def _solve_windows(self, windows: Sequence[Window]) -> list[tuple[Token2WavState, Tensor]]:
        """Solves windows, equal shapes together; each state comes with its mel `[mel_dim, n]`."""
        groups: dict[int, list[Window]] = defaultdict(list)
        for window in windows:
            groups[len(window.codes)].append(window)
        solved = []
        for group in groups.values():
            voices = [window.state.voice for window in group]
            voice = VoiceConditions(
                speaker=torch.cat([voice.speaker for voice in voices]),
                silence=torch.cat([voice.silence for voice in voices]),
                embedding=torch.cat([voice.embedding for voice in voices]),
            )
            codes = torch.stack([window.codes for window in group])
            noise = torch.stack([window.noise for window in group])
            for window, mel in zip(
                group, self._solve(codes, noise, voice, self.solver), strict=True
            ):
                solved.append((window.state, mel[window.own_frames].T))
        return solved

    def _solve(
        self, codes: Tensor, noise: Tensor, voice: VoiceConditions, solver: SolverConfig
    ) -> Tensor:
        """Codes `[B, N]` and noise `[B, T, mel_dim]` to mels `[B, T, mel_dim]`."""
        dit = self.code2wav_dit_model
        with_twin = solver.guidance_scale >= SMALLEST_GUIDANCE
        conditions = dit.conditions(codes, voice, guided=with_twin)
        rows = 2 if with_twin else 1

        def velocity(time: Tensor, state: Tensor) -> Tensor:
            times = time.expand(rows * len(state))
            found: Tensor = dit(state.repeat(rows, 1, 1), times, conditions)
            if not with_twin:
                return found
            conditioned, unconditioned = found.chunk(2)
            return guided(conditioned, unconditioned, solver.guidance_scale)

        return solve(velocity, noise, solver)

    def _draw(self, generator: torch.Generator, frames: int) -> Tensor:
        """Draws `[frames, mel_dim]` noise block by block, so that pieces and whole are the same."""
        block, width = self.config.dit.block_size, self.config.dit.mel_dim
        blocks = [
            torch.randn(block, width, generator=generator) for _ in range(-(-frames // block))
        ]
        return torch.cat((torch.empty(0, width), *blocks))[:frames]

    def _check_codes(self, codes: Tensor) -> None:
        limit = self.config.dit.num_embeds
        if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) <= limit:
            raise InputError(
                f"codec tokens {int(codes.min())}..{int(codes.max())} are outside 0..{limit}"
            )
