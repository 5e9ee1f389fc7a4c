"""CTC prefix beam search: what a run of frames says, with the likeliest readings side by side.

Knows frames' token probabilities and the blank, and that several paths through the frames read the
same. Does not know what the tokens mean, or which reading is likelier as language.

Source: Graves et al., "Connectionist Temporal Classification", 2006; Hannun et al., "First-Pass
Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs", 2014.
"""

import math
from collections import defaultdict
from dataclasses import dataclass

from torch import Tensor

_NEVER = -math.inf


@dataclass(frozen=True, slots=True)
class Reading:
    """Tokens that the frames so far may have said.

    Attributes:
        tokens: without blanks and repeats.
        log_blank: log-probability of all paths that read so and end in a blank.
        log_token: of those that end in the last token.
    """

    tokens: tuple[int, ...]
    log_blank: float
    log_token: float

    @property
    def log_prob(self) -> float:
        """Log-probability of all paths that read so."""
        return log_add(self.log_blank, self.log_token)


# The likeliest reading first.
Beam = tuple[Reading, ...]
NO_FRAMES: Beam = (Reading((), 0.0, _NEVER),)


def read_on(
    beam: Beam,
    log_probs: Tensor,
    *,
    blank_id: int,
    width: int = 16,
    tokens_a_frame: int = 8,
    log_floor: float = -9.0,
) -> Beam:
    """Takes more frames; a run of frames in pieces reads as the whole does.

    Args:
        beam: the readings of the frames before; `NO_FRAMES` at first.
        log_probs: [T, classes] log-probabilities.
        blank_id: the class that says nothing.
        width: how many readings are kept.
        tokens_a_frame: how many classes of a frame may go on with a reading.
        log_floor: less likely ones never do.

    Returns:
        At most `width` readings, the likeliest first.
    """
    likeliest = log_probs.topk(min(tokens_a_frame, log_probs.shape[1]), dim=-1)
    blanks = log_probs[:, blank_id].tolist()
    frames = zip(likeliest.indices.tolist(), likeliest.values.tolist(), blanks, strict=True)
    for number, (tokens, chances, blank) in enumerate(frames):
        heard = {
            token: chance
            for token, chance in zip(tokens, chances, strict=True)
            if token != blank_id and chance > log_floor
        }
        held = {reading.tokens[-1] for reading in beam if reading.tokens} - heard.keys()
        again = {token: float(log_probs[number, token]) for token in held}
        beam = _read_frame(beam, heard, heard | again, blank)[:width]
    return beam


def _read_frame(beam: Beam, heard: dict[int, float], again: dict[int, float], blank: float) -> Beam:
    """One frame: every reading stays as it is or takes one of `heard`; all of them, sorted."""
    sums: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [_NEVER, _NEVER])
    for reading in beam:
        tokens, whole = reading.tokens, reading.log_prob
        last = tokens[-1] if tokens else None
        stays = sums[tokens]
        stays[0] = log_add(stays[0], whole + blank)
        if last is not None:
            stays[1] = log_add(stays[1], reading.log_token + again[last])
        for token, chance in heard.items():
            # The same token again is a new one only behind a blank.
            before = reading.log_blank if token == last else whole
            if before > _NEVER:
                goes_on = sums[(*tokens, token)]
                goes_on[1] = log_add(goes_on[1], before + chance)
    readings = (Reading(tokens, *logs) for tokens, logs in sums.items())
    return tuple(sorted(readings, key=lambda r: (-r.log_prob, r.tokens)))


def log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    high, low = max(a, b), min(a, b)
    return high if low == _NEVER else high + math.log1p(math.exp(low - high))
