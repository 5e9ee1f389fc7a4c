"""The spoken side of a reply: Talker steps and Token2Wav chunks.

Knows which code comes next and when enough of them are there for a chunk of sound. Does not know
text or deadlines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from model.omni import OmniModel
from model.sampling import Sampler
from model.talker import TalkerFeed
from model.token2wav import Token2WavState
from streaming.engine.conversation import Conversation
from streaming.engine.decoding import Decoding
from streaming.engine.ground import Ground
from streaming.engine.heard import HeardMap
from streaming.engine.memory import Finish, pad_rows
from streaming.engine.messages.events import AudioDelta
from streaming.engine.scheduler import Stage


@dataclass(slots=True)
class Speech:
    """The state of one spoken reply.

    Attributes:
        feed: which input the Talker takes next.
        sampler: draws the codes.
        sound: Token2Wav's state.
        heard: which tokens were taken at which code.
        previous: the code drawn last; None before the first.
        codes: those that no chunk was made of yet.
        input: what the Talker takes in the step that is due.
        pushed: Thinker vectors given to the feed.
        max_codes: after so many Talker steps the speech is cut short.
    """

    feed: TalkerFeed
    sampler: Sampler
    sound: Token2WavState
    heard: HeardMap
    max_codes: int
    previous: int | None = None
    codes: list[int] = field(default_factory=list)
    input: Tensor | None = None
    pushed: int = 0
    steps: int = 0
    talker_ended: bool = False
    cut_short: bool = False
    ended: bool = False

    @property
    def waiting_vectors(self) -> int:
        """Thinker vectors that the Talker has not taken yet."""
        return self.pushed - len(self.heard.taken_at)

    @property
    def starved(self) -> bool:
        """Tells whether the Talker can do nothing before the Thinker does."""
        return not self.talker_ended and self.feed.starved(self.previous)

    def push(self, vector: Tensor) -> None:
        """Gives the vector [D] of the next reply token."""
        self.feed.push(vector)
        self.pushed += 1

    def finish(self) -> None:
        """Says that the reply has no more text; one without any is not spoken."""
        if self.pushed:
            self.feed.finish()
        else:
            self.talker_ended = self.ended = self.heard.ended = True

    def next_input(self) -> Tensor:
        """Returns the Talker's next input [1 or 2, D], the same until its code was drawn."""
        if self.input is None:
            self.input = self._take_input()
        return self.input

    def _take_input(self) -> Tensor:
        if self.waiting_vectors > 0 and self.feed.takes(self.previous):
            self.heard.took_token()
        return self.feed.next_input(self.previous)

    def drew(self, code: int, ends: frozenset[int]) -> bool:
        """Notes a code that the Talker said; tells whether it becomes sound."""
        sounds = code not in ends and code != self.feed.advance_token_id
        self.input = None
        self.previous = code
        self.steps += 1
        if code in ends:
            self._end_codes()
        elif sounds:
            self.codes.append(code)
            self.heard.spoke_code()
        if not self.talker_ended and self.steps >= self.max_codes:
            self.cut_short = True
            self._end_codes()
        return sounds

    def _end_codes(self) -> None:
        self.talker_ended = self.heard.ended = True


class Speaker:
    """Talker steps over shared batches, and chunks of sound."""

    def __init__(self, ground: Ground, decoding: Decoding) -> None:
        self._model = ground.model
        self._memory = ground.memory
        self._emit = ground.emit
        self._drew = ground.drew
        self._clock = ground.clock
        self._device = ground.model.device
        self._decoding = decoding

    def talk(self, conversations: Sequence[Conversation]) -> list[Finish]:
        """Runs one Talker step for each conversation; none of them may be starved.

        Returns:
            For each conversation, what draws its code.
        """
        slots = [c.slot for c in conversations]
        speeches = [speech_of(c) for c in conversations]
        rows = [speech.next_input() for speech in speeches]
        if all(len(row) == 1 for row in rows):
            last = self._decoding.talker(torch.cat(rows), slots)  # [B, vocab]
        else:
            last = self._open(rows, slots)
        return [
            partial(self._draw, speech, logits)
            for speech, logits in zip(speeches, last, strict=True)
        ]

    def _open(self, rows: list[Tensor], slots: list[int]) -> Tensor:
        """A step in which some speech begins, with two positions -> logits [B, vocab]."""
        inputs = pad_rows(rows)  # [B, 2, D]
        positions = self._memory.next_ids(self._memory.talker, slots, inputs.shape[1])
        counts = [len(row) for row in rows]
        logits = self._model.talker.step(inputs, positions, self._memory.talker, slots, counts)
        return torch.stack([row[count - 1] for row, count in zip(logits, counts, strict=True)])

    def _draw(self, speech: Speech, logits: Tensor) -> None:
        if speech.drew(speech.sampler.draw(logits), self._model.talker.end_codes):
            self._drew(Stage.TALKER)

    def chunk_due(self, speech: Speech) -> bool:
        """Tells whether the next chunk of sound can be made."""
        if speech.ended:
            return False
        if speech.talker_ended:
            return True
        wanted: int = self._model.token2wav.codes_until_next(speech.sound)
        return len(speech.codes) >= wanted

    def chunks(self, conversations: Sequence[Conversation]) -> list[Finish]:
        """Makes the next chunk of sound: everything that is final by now.

        Token2Wav's state moves with the pass, so that it could not be run again: one conversation
        a pass.
        """
        (conversation,) = conversations
        speech = speech_of(conversation)
        token2wav = self._model.token2wav
        codes = torch.tensor(speech.codes, device=self._device)
        samples = token2wav.step(speech.sound, codes)
        if speech.talker_ended:
            samples = torch.cat([samples, token2wav.flush(speech.sound)])
        return [partial(self._send, conversation, samples)]

    def _send(self, conversation: Conversation, samples: Tensor) -> None:
        reply, speech = conversation.reply, speech_of(conversation)
        assert reply is not None, "sound of no reply"
        speech.codes = []
        speech.ended = speech.talker_ended
        if len(samples):
            rate_hz = self._model.config.token2wav.sample_rate_hz
            reply.playout.sent(len(samples) / rate_hz, self._clock())
            self._emit(
                AudioDelta(
                    conversation_id=conversation.conversation_id,
                    response_id=reply.response_id,
                    pcm=to_int16(samples),
                )
            )


def begin_speech(model: OmniModel, voice: str, *, seed: int, max_codes: int) -> Speech:
    """Sets up the spoken side of a reply.

    Args:
        model: the networks.
        voice: one of its speakers.
        seed: of the codes drawn and of the sound's noise.
        max_codes: Talker steps after which the speech is cut short.
    """
    extras = model.config.omnilive
    speaker = model.speakers[voice]
    return Speech(
        feed=model.feed(speaker),
        sampler=Sampler(
            extras.talker_sampling,
            vocab_size=model.config.talker.decoder.vocab_size,
            seed=seed,
            seen=model.talker.prompt_codes,
            forbidden=model.talker.forbidden_codes,
        ),
        sound=model.token2wav.init_state(speaker, seed),
        heard=HeardMap(
            codes_per_s=model.config.token2wav.codes_per_second,
            lead_tokens=extras.talker_text_lead_tokens,
            asks=extras.talker_text_advance_token_id is not None,
        ),
        max_codes=max_codes,
    )


def speech_of(conversation: Conversation) -> Speech:
    """Returns the speech under way in a conversation that speaks."""
    assert conversation.reply is not None, "no reply"
    assert conversation.reply.speech is not None, "the reply is not spoken"
    return conversation.reply.speech


def to_int16(samples: Tensor) -> bytes:
    """Samples [n] in -1..1 -> int16 LE bytes; louder ones are clipped."""
    scaled = samples.detach().float().cpu().clamp(-1.0, 1.0) * 32767.0
    return scaled.round().numpy().astype(np.dtype("<i2")).tobytes()
