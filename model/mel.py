"""16 kHz samples to the log-mel frames that the audio encoder hears (Whisper's features).

Knows windows, filters, the dynamic-range clamp, and how samples that arrive in any chunks become
blocks of frames. Does not know the encoder, sample formats or resampling.

Framing, as the published feature extractor has it: frame k is centred on sample 160 k and sees
200 samples to each side; before the first sample the clip is mirrored, after the last it is zero;
a clip of n samples has ceil(n / 160) frames.

Not chunk-invariant as published: every value is raised to 8 (log10 of power) below the loudest
value of the whole clip, which nobody knows while the clip still runs. The streamed form emits
whole blocks of `block_frames` and clamps each at 8 below the loudest value up to that block's own
end, counted from 0 at least (quiet speech peaks there), so that an emitted frame never changes.
Against the published features a value then differs by at most |M - m| / 4, with M the loudest value
of the clip and m the one the block knew: nothing at all once the loudest block has been heard, and
next to nothing where a microphone's own noise lies above the clamp (-60 dB: one value in 500).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from model.errors import ConfigError, InputError

SAMPLE_RATE_HZ = 16_000
HOP_SAMPLES = 160
WINDOW_SAMPLES = 400
_SIDE_SAMPLES = WINDOW_SAMPLES // 2
_RANGE = 8.0  # log10 of power: 80 dB
_QUIETEST_MAXIMUM = 0.0  # where the streamed form's running maximum starts


def mel_frames(samples: int) -> int:
    """Frames of a clip of `samples` samples."""
    return -(-samples // HOP_SAMPLES)


@dataclass(slots=True)
class LogMelState:
    """One clip on its way in.

    `pending` holds the samples from the next frame's window on, `maximum` the loudest log10 power
    so far; `started` says that the mirrored samples before the clip are in `pending`.
    """

    pending: Tensor
    maximum: float = _QUIETEST_MAXIMUM
    started: bool = False

    def reset(self) -> None:
        """Forgets the clip; the state is as new."""
        self.pending = self.pending[:0]
        self.maximum = _QUIETEST_MAXIMUM
        self.started = False


class LogMel:
    """Log-mel features with `bins` filters (80 or 128 in known checkpoints), in blocks.

    Args:
        bins: mel filters between 0 and 8 kHz.
        block_frames: frames the streamed form emits at once; the encoder's block.

    Source: `WhisperFeatureExtractor` of transformers.
    """

    def __init__(self, bins: int, block_frames: int = 200) -> None:
        if bins < 1 or block_frames < 1:
            raise ConfigError(f"bins and block_frames must be at least 1: {bins}, {block_frames}")
        self.bins = bins
        self.block_frames = block_frames
        self._filters = torch.from_numpy(mel_filters(bins)).float()  # [bins, 201]
        self._window = torch.hann_window(WINDOW_SAMPLES)

    def forward(self, samples: Tensor) -> Tensor:
        """A whole clip as published: float samples [n] in -1..1 -> [bins, mel_frames(n)].

        Raises:
            InputError: the samples are not one float vector, or one of them is not finite.
        """
        samples = _checked(samples)
        frames = mel_frames(len(samples))
        if not frames:
            return torch.zeros(self.bins, 0)
        # Two frames past the end still see the clip: the published maximum counts them.
        log_power = self._log_power(_mirrored(_ended(samples, frames + 2)))
        return _clamped(log_power, log_power.max().item())[:, :frames]

    def running(self, samples: Tensor) -> Tensor:
        """A whole clip as the streamed form hears it -> [bins, mel_frames(n)]; train on these."""
        state = self.init_state()
        blocks = [*self.step(state, samples), *self.flush(state)]
        return torch.cat(blocks, dim=1) if blocks else torch.zeros(self.bins, 0)

    def init_state(self) -> LogMelState:
        """The state of a clip of which nothing has come."""
        return LogMelState(pending=torch.zeros(0))

    def step(self, state: LogMelState, samples: Tensor) -> list[Tensor]:
        """Takes the clip's next samples [n]; gives the blocks [bins, block_frames] now final.

        A block is final 40 samples after its last frame's hop: the window looks ahead.
        """
        state.pending = torch.cat([state.pending, _checked(samples)])
        blocks = []
        while len(state.pending) >= self._block_reach(state):
            blocks.append(self._take(state, self.block_frames))
        return blocks

    def peek(self, state: LogMelState) -> list[Tensor]:
        """What `flush` would give if the clip ended here; the state does not change."""
        return self._tail(replace(state))

    def flush(self, state: LogMelState) -> list[Tensor]:
        """The clip is over: its last one or two blocks [bins, 1..block_frames], if any are left."""
        blocks = self._tail(state)
        state.reset()
        return blocks

    def _tail(self, state: LogMelState) -> list[Tensor]:
        left = mel_frames(len(state.pending) - (_SIDE_SAMPLES if state.started else 0))
        if left <= 0:
            return []
        state.pending = _ended(state.pending, left, started=state.started)
        blocks = []
        while left:
            blocks.append(self._take(state, min(left, self.block_frames)))
            left -= blocks[-1].shape[1]
        return blocks

    def _take(self, state: LogMelState, frames: int) -> Tensor:
        """Consumes the next `frames` frames, whose samples must be there."""
        if not state.started:
            state.pending = _mirrored(state.pending)
            state.started = True
        log_power = self._log_power(state.pending[: _reach(frames)])
        # A copy, so that the state does not hold a long chunk alive for its tail.
        state.pending = state.pending[frames * HOP_SAMPLES :].clone()
        state.maximum = max(state.maximum, log_power.max().item())
        return _clamped(log_power, state.maximum)

    def _block_reach(self, state: LogMelState) -> int:
        return _reach(self.block_frames) - (0 if state.started else _SIDE_SAMPLES)

    def _log_power(self, samples: Tensor) -> Tensor:
        """Samples [160 (frames - 1) + 400] -> log10 of mel power [bins, frames]."""
        windows = samples.unfold(0, WINDOW_SAMPLES, HOP_SAMPLES) * self._window  # [frames, 400]
        spectrum = torch.fft.rfft(windows)  # [frames, 201]
        power = spectrum.real.square() + spectrum.imag.square()
        log_power: Tensor = (self._filters @ power.T).clamp(min=1e-10).log10()
        return log_power


def _reach(frames: int) -> int:
    return (frames - 1) * HOP_SAMPLES + WINDOW_SAMPLES


def _checked(samples: Tensor) -> Tensor:
    if samples.dim() != 1 or not samples.is_floating_point():
        raise InputError(
            f"samples must be one vector of floats, got {samples.dtype} {list(samples.shape)}"
        )
    if not samples.isfinite().all():
        raise InputError("samples must be finite numbers in -1..1")
    return samples.float()


def _ended(samples: Tensor, frames: int, *, started: bool = False) -> Tensor:
    """Zeros behind the clip, up to where the last frame's window ends (and the mirror reaches)."""
    reach = max(_reach(frames) - (0 if started else _SIDE_SAMPLES), _SIDE_SAMPLES + 1)
    return torch.nn.functional.pad(samples, (0, max(0, reach - len(samples))))


def _mirrored(samples: Tensor) -> Tensor:
    return torch.cat([samples[1 : _SIDE_SAMPLES + 1].flip(0), samples])


def _clamped(log_power: Tensor, maximum: float) -> Tensor:
    return (log_power.clamp(min=maximum - _RANGE) + 4.0) / 4.0


def mel_filters(bins: int) -> np.ndarray:
    """Triangular filters of equal area [bins, 201] on Slaney's scale, 0 to 8 kHz.

    Slaney's scale is linear below 1 kHz (15 mel there) and logarithmic above.
    """
    edges_mel = np.linspace(0.0, 15.0 + 27.0 * np.log(8.0) / np.log(6.4), bins + 2)
    edges_hz = np.where(
        edges_mel < 15.0,
        edges_mel * 200.0 / 3.0,
        1000.0 * np.exp(np.log(6.4) / 27.0 * (edges_mel - 15.0)),
    )
    bins_hz = np.linspace(0.0, SAMPLE_RATE_HZ / 2, WINDOW_SAMPLES // 2 + 1)
    low, centre, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    filters: np.ndarray = np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low)
    return filters
