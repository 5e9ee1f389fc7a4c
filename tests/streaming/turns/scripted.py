"""A voice activity that reads the speech out of the samples: no model, no memory."""

import numpy as np

from streaming.turns.events import TurnAudio

FRAME = 512
SPEECH, SILENCE = 0.9, 0.0


class ReadActivity:
    """A frame's first sample is its probability; counts how often it was reset."""

    def __init__(self):
        self.resets = 0

    def probability(self, frame):
        assert len(frame) == FRAME
        return float(frame[0])

    def reset(self):
        self.resets += 1


def frames(*runs):
    """Samples of runs (probability, frames); each sample after a frame's first tells its place."""
    levels = [level for level, count in runs for _ in range(count)]
    samples = np.arange(len(levels) * FRAME, dtype=np.float32)
    samples[::FRAME] = levels
    return samples


def in_order(events):
    """The events with neighbouring audio joined, so that only its place counts."""
    joined = []
    for event in events:
        if isinstance(event, TurnAudio) and joined and isinstance(joined[-1], TurnAudio):
            joined[-1] = TurnAudio(pcm=joined[-1].pcm + event.pcm)
        else:
            joined.append(event)
    return joined


def audio_of(events):
    """All audio of the turns, as samples."""
    pcm = b"".join(event.pcm for event in events if isinstance(event, TurnAudio))
    return np.frombuffer(pcm, dtype="<f4")
