"""`eval speech-in`: is a spoken question answered as the typed one is?

Knows the measure: held-out questions in a voice never trained on, and the share whose answer says
the key word of the answer to the same question typed. Does not know whether either answer is true.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch

from model.generate import write
from model.mel import LogMel
from model.omni import OmniModel
from model.prompt import Audio, Message, Part, PromptBuilder, Text
from model.recipes.omni_mini.evaluate.key_word import agrees, key_word
from model.recipes.omni_mini.evaluate.result import Reading

REPLY_TOKENS = 32
_EAR_RATE_HZ = 16_000


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One question: both answers, what the model says it heard, and whether the answers agree."""

    question: str
    typed_reply: str
    spoken_reply: str
    transcript: str
    key_word: str | None
    agrees: bool


class Listener:
    """Asks one checkpoint the same thing typed and spoken."""

    def __init__(self, model: OmniModel) -> None:
        audio = model.config.thinker.audio
        self._model = model
        self._builder = PromptBuilder(model.config, model.tokenizer, as_streamed=True)
        self._log_mel = LogMel(audio.num_mel_bins, audio.block_frames)

    def answer(self, part: Part) -> str:
        """Returns the answer to one user message."""
        if isinstance(part, Audio) and self._model.dictation is not None:
            part = Text(text=self.transcribe(part.samples))
        return self._write([Message(role="user", parts=[part])])

    @torch.inference_mode()
    def transcribe(self, samples: torch.Tensor) -> str:
        """Returns what the model says it heard in `[S]` float32 16 kHz samples."""
        if self._model.dictation is not None:
            return self._model.dictation.write(self._log_mel, samples)
        prompt = self._model.config.omnilive.transcribe_prompt or ""
        system = Message(role="system", parts=[Text(text=prompt)])
        return self._write([system, Message(role="user", parts=[Audio(samples=samples)])])

    def _write(self, messages: Sequence[Message]) -> str:
        prompt = self._builder.build(messages)
        written = write(self._model, prompt, max_tokens=REPLY_TOKENS)
        return " ".join(self._model.tokenizer.decode(written.text_ids).split())


def by_vectors(model: OmniModel) -> OmniModel:
    """The same checkpoint, reading the vectors of sounds where it takes dictation otherwise."""
    extras = replace(model.config.omnilive, dictation=None)
    return replace(model, config=replace(model.config, omnilive=extras))


def ask_aloud(
    model: OmniModel,
    questions: Sequence[tuple[str, np.ndarray]],
    *,
    progress: Callable[[int, Heard], None] | None = None,
) -> list[Heard]:
    """Asks every question typed and spoken.

    Args:
        model: The checkpoint under test.
        questions: Text and float32 16 kHz samples of each; see `recordings`.
        progress: Called after each.
    """
    listener = Listener(model)
    found: list[Heard] = []
    for number, (question, sound) in enumerate(questions):
        samples = torch.from_numpy(sound)
        typed = listener.answer(Text(text=question))
        spoken = listener.answer(Audio(samples=samples))
        found.append(
            Heard(
                question=question,
                typed_reply=typed,
                spoken_reply=spoken,
                transcript=listener.transcribe(samples),
                key_word=key_word(question, typed),
                agrees=agrees(question, typed, spoken),
            )
        )
        if progress:
            progress(number, found[-1])
    return found


def hear_recordings(model: OmniModel, paths: Sequence[Path], *, most_s: float) -> list[Reading]:
    """Plays human recordings to the model.

    Args:
        model: The checkpoint under test.
        paths: Sound files of any rate.
        most_s: Only so much of each is played.

    Returns:
        One entry a recording.
    """
    listener = Listener(model)
    found = []
    for path in paths:
        sound, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        mono = soxr.resample(sound.mean(axis=1), rate_hz, _EAR_RATE_HZ)
        played = mono[: int(most_s * _EAR_RATE_HZ)]
        samples = torch.from_numpy(np.ascontiguousarray(played, np.float32))
        answer = listener.answer(Audio(samples=samples))
        transcript = listener.transcribe(samples)
        found.append(Reading(recording=path.name, transcript=transcript, answer=answer))
    return found
