"""What people said: their readings, cut into pieces of the length of a question.

Knows pauses. Does not know where the readings come from, nor what is done with the pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from clients.python.sources import SAMPLE_RATE_HZ, Recording, Samples, read_recording

FRAME_SAMPLES = SAMPLE_RATE_HZ // 50
# A reader's breath and the room lie below; the quietest syllables above.
FLOOR = 10 ** (-30 / 20)
# Shorter pauses are within a piece: no server takes them for the end of a turn.
PAUSE_FRAMES = 15
LEAST_FRAMES, MOST_FRAMES = 40, 250
# Kept on both sides: the soft beginning and end of a word.
MARGIN_FRAMES = 3


def said_by_people(paths: Sequence[Path]) -> list[Recording]:
    """Returns what lies between the pauses of these readings, pieces of 0.8 to 5 s.

    Raises:
        SourceError: One of them cannot be read.
    """
    return [piece for path in paths for piece in pieces(read_recording(path).samples)]


def pieces(samples: Samples) -> Iterator[Recording]:
    """Cuts one reading; what is too short or too long to be a question is left out."""
    for first, last in _loud_runs(samples):
        if LEAST_FRAMES <= last - first + 1 <= MOST_FRAMES:
            start = max(0, first - MARGIN_FRAMES) * FRAME_SAMPLES
            end = (last + 1) * FRAME_SAMPLES
            piece = samples[start : end + MARGIN_FRAMES * FRAME_SAMPLES]
            yield Recording(samples=piece, speech_end_samples=end - start)


def _loud_runs(samples: Samples) -> list[tuple[int, int]]:
    """First and last frame of each run of speech without a pause in it."""
    whole = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].astype(np.float32)
    level = np.sqrt((whole.reshape(-1, FRAME_SAMPLES) ** 2).mean(axis=1))  # [frames]
    loud = np.flatnonzero(level > FLOOR * level.max(initial=0.0))
    if not len(loud):
        return []
    ends = np.flatnonzero(np.diff(loud) > PAUSE_FRAMES)
    firsts = loud[np.concatenate([[0], ends + 1])]
    lasts = loud[np.concatenate([ends, [len(loud) - 1]])]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))
