"""What callers say: recordings, ready for the wire, and a microphone that never stops.

Knows recordings, frames and the pace of speech. Does not know lines or turns. A caller's
microphone gives silence until it is told to say something, as a real one does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

import model
from clients.python.sources import (
    FRAME_MS,
    SAMPLE_RATE_HZ,
    SPEECH_FLOOR,
    Recording,
    Samples,
    read_recording,
)
from streaming.media.opus import FRAME_SAMPLES as CALL_FRAME_SAMPLES
from streaming.media.opus import OpusEncoder

# A hundred questions of 1 to 3.4 s that no checkpoint of ours was trained on.
HELD_OUT = Path(model.__file__).parent / "recipes/omni_mini/evaluate/data"
SOUND, INDEX = "held_out_questions.flac", "held_out_questions.json"
# Digital silence comes out of Opus as one or two steps of 16 bit.
SILENT_PEAK = 8
SOCKET_FRAME_SAMPLES = SAMPLE_RATE_HZ * FRAME_MS // 1000


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """A recording cut into frames as a line sends them.

    Attributes:
        frames: The frames, at least one.
        frame_s: Length of each.
        sound_s: Where the first sound in it begins, however faint.
        onset_s: Where the speech in it begins.
        end_s: Where the speech in it ends.
    """

    frames: Sequence[bytes]
    frame_s: float
    sound_s: float
    onset_s: float
    end_s: float


def held_out_questions(count: int) -> list[Recording]:
    """Returns the first `count` of the held-out questions, or all there are.

    Raises:
        SourceError: The recording is not there, or not whole.
    """
    index = json.loads((HELD_OUT / INDEX).read_text(encoding="utf-8"))
    samples = read_recording(HELD_OUT / SOUND).samples
    scale = len(samples) / index["offsets"][-1]  # of the rate it is kept at
    cuts = [round(offset * scale) for offset in index["offsets"][: count + 1]]
    return [spoken(samples[a:b]) for a, b in pairwise(cuts)]


def spoken(samples: Samples) -> Recording:
    """Makes a recording of samples, and finds where the speech in it ends."""
    loud = np.flatnonzero(_level(samples) > SPEECH_FLOOR)
    return Recording(
        samples=samples, speech_end_samples=int(loud[-1]) + 1 if len(loud) else len(samples)
    )


def socket_utterance(said: Recording) -> Utterance:
    """Cuts a recording into 40 ms of 16-bit samples each, as the WebSocket takes them."""
    return _utterance(said, SOCKET_FRAME_SAMPLES, lambda frame: frame.astype("<i2").tobytes())


def call_utterance(said: Recording) -> Utterance:
    """Cuts a recording into Opus packets of 20 ms, encoded beforehand and not by each caller."""
    encoder = OpusEncoder()
    return _utterance(
        said, CALL_FRAME_SAMPLES, lambda frame: encoder.encode(frame.astype("<i2").tobytes())
    )


def _utterance(
    said: Recording, frame_samples: int, encoded: Callable[[Samples], bytes]
) -> Utterance:
    samples = np.pad(said.samples, (0, -len(said.samples) % frame_samples))
    heard = np.flatnonzero(np.abs(samples.astype(np.int32)) > SILENT_PEAK)
    loud = np.flatnonzero(_level(samples) > SPEECH_FLOOR)
    return Utterance(
        frames=[encoded(frame) for frame in samples.reshape(-1, frame_samples)],
        frame_s=frame_samples / SAMPLE_RATE_HZ,
        sound_s=int(heard[0]) / SAMPLE_RATE_HZ if len(heard) else 0.0,
        onset_s=int(loud[0]) / SAMPLE_RATE_HZ if len(loud) else 0.0,
        end_s=said.speech_end_samples / SAMPLE_RATE_HZ,
    )


def _level(samples: Samples) -> npt.NDArray[np.float32]:
    """Loudness of each sample as a share of the loudest."""
    wave = np.abs(samples.astype(np.float32))
    wave /= max(1.0, float(wave.max(initial=0.0)))
    return wave


@dataclass(slots=True)
class Saying:
    """An utterance on its way; the moments are on the loop's clock, None before they are reached.

    Attributes:
        sound_at_s: The frame with its first sound was due.
        onset_at_s: Its speech began.
        ended_at_s: Its speech ended.
        finished: Set once all of it was sent.
    """

    utterance: Utterance
    sound_at_s: float | None = None
    onset_at_s: float | None = None
    ended_at_s: float | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)


class Voice:
    """A caller's microphone: one frame after the other, without end."""

    def __init__(self, silence: Utterance) -> None:
        """Takes what is sent while nothing is said: its first frame, again and again."""
        self.frame_s = silence.frame_s
        self.silence = silence.frames[0]
        self._saying: Saying | None = None
        self._sent = 0

    def say(self, utterance: Utterance) -> Saying:
        """Begins to say something with the next frame; what was being said is broken off."""
        assert utterance.frame_s == self.frame_s, "an utterance for another kind of line"
        if self._saying is not None:
            self._saying.finished.set()
        self._saying, self._sent = Saying(utterance), 0
        return self._saying

    def next_frame(self, due_s: float) -> bytes:
        """Returns the frame whose last sample the microphone has at `due_s`."""
        saying = self._saying
        if saying is None:
            return self.silence
        frames = saying.utterance.frames
        frame = frames[self._sent]
        self._sent += 1
        self._mark(saying, due_s)
        if self._sent == len(frames):
            saying.finished.set()
            self._saying = None
        return frame

    def _mark(self, saying: Saying, due_s: float) -> None:
        """Notes what this frame has reached: it ends `behind_s` after that."""
        said = saying.utterance
        until_s = self._sent * self.frame_s
        if saying.sound_at_s is None and until_s >= said.sound_s:
            saying.sound_at_s = due_s
        if saying.onset_at_s is None and until_s >= said.onset_s:
            saying.onset_at_s = due_s - (until_s - said.onset_s)
        if saying.ended_at_s is None and (until_s >= said.end_s or self._sent == len(said.frames)):
            saying.ended_at_s = due_s - max(0.0, until_s - said.end_s)
