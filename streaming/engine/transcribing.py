"""The side pass that asks the Thinker what it heard.

Knows one transcript at a time, in the scratch slot of the Thinker's cache, a few positions a pass;
and that where sounds stand in the prompt as words, these are the transcript. Does not know
deadlines: the loop runs a pass when nobody waits for anything else.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.dictation import Sentence, text_of
from model.tokenizer import TextStream
from streaming.engine.conversation import Conversation
from streaming.engine.ground import Ground
from streaming.engine.memory import positions_from
from streaming.engine.messages.events import (
    InputTranscript,
    InputTranscriptDelta,
    TranscriptFailed,
    TranscriptToken,
)
from streaming.engine.pieces import Piece
from streaming.engine.reading import PREFILL_TOKENS, Reader
from streaming.errors import ConversationError, RefusedError

# Speech has fewer tokens a position of sound; a transcript longer than this runs in circles.
TOKENS_PER_POSITION = 0.5
EXTRA_TOKENS = 16

Answer = InputTranscript | TranscriptFailed


@dataclass(slots=True)
class Transcript:
    """One transcript under way: what is left of its prompt, and the tokens and text so far."""

    conversation_id: str
    item_id: str
    prompt: deque[Tensor]
    max_tokens: int
    stream: TextStream
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    written: list[TranscriptToken] = field(default_factory=list)
    told: int = 0  # of `written`


class Transcriber:
    """Writes transcripts greedily, one pass of the Thinker a step.

    Attributes:
        costs_nothing: the words are known already, and a step only tells them.
    """

    def __init__(self, ground: Ground, reader: Reader) -> None:
        self._model = ground.model
        self._memory = ground.memory
        self._template = ground.template
        self._emit = ground.emit
        self._reader = reader
        self.costs_nothing = ground.model.dictation is not None
        self._running: Transcript | None = None

    @property
    def is_under_way(self) -> bool:
        """Tells whether a transcript has been begun and not come to its end."""
        return self._running is not None

    def waits(self, conversation: Conversation) -> bool:
        """Tells whether a step could be done for this conversation now."""
        if not conversation.transcribe:
            return False
        if self._running is not None:
            return self._running.conversation_id == conversation.conversation_id
        item_id = conversation.transcribe[0].item_id
        timeline = conversation.timeline
        return item_id not in timeline or timeline.item(item_id).complete

    def forget(self, conversation_id: str) -> None:
        """Gives up what is under way for a conversation that was closed."""
        if self._running is not None and self._running.conversation_id == conversation_id:
            self._running = None

    def step(self, conversation: Conversation) -> Answer | None:
        """Runs one pass; returns the answer when there is one."""
        try:
            if self.costs_nothing:
                return self._told(conversation)
            if self._running is None:
                self._running = self._begin(conversation)
            text = self._advance(self._running)
        except ConversationError as error:
            asked = conversation.transcribe[0]
            self._drop(conversation)
            return TranscriptFailed(
                conversation_id=conversation.conversation_id,
                item_id=asked.item_id,
                code=error.code,
                message=str(error),
            )
        if text is None:
            return None
        item_id, tokens = self._running.item_id, tuple(self._running.written)
        self._drop(conversation)
        name = conversation.conversation_id
        return InputTranscript(conversation_id=name, item_id=item_id, text=text, tokens=tokens)

    def _told(self, conversation: Conversation) -> InputTranscript:
        """What stands in the prompt of the first item that was asked for.

        Raises:
            ConversationError: The item is gone or holds no sound.
        """
        item = conversation.timeline.item(conversation.transcribe[0].item_id)
        if not item.said:
            raise RefusedError(f"item {item.item_id!r} holds no sound")
        sentences = [sentence for sentence in item.said if sentence]
        text, tokens = " ".join(map(text_of, sentences)), tuple(_joined(sentences))
        at = {"conversation_id": conversation.conversation_id, "item_id": item.item_id}
        if text:
            self._emit(InputTranscriptDelta(**at, text=text, tokens=tokens))
        self._drop(conversation)
        return InputTranscript(**at, text=text, tokens=tokens)

    def _drop(self, conversation: Conversation) -> None:
        self._running = None
        del conversation.transcribe[0]

    def _begin(self, conversation: Conversation) -> Transcript:
        """Sets up the first transcript that was asked for.

        Raises:
            ConversationError: The item is gone, holds no sound, or is too long.
        """
        item = conversation.timeline.item(conversation.transcribe[0].item_id)
        # Heard by itself, in the order of text: what was seen with it is not spoken.
        sound = [
            Piece(piece.ids, piece.embeds)
            for piece in item.pieces
            if piece.embeds is not None and self._template.is_sound(piece)
        ]
        if not sound:
            raise RefusedError(f"item {item.item_id!r} holds no sound")
        pieces = self._pieces(sound)
        positions = sum(map(len, sound))
        max_tokens = int(positions * TOKENS_PER_POSITION) + EXTRA_TOKENS
        wanted = sum(map(len, pieces)) + max_tokens
        if wanted > self._memory.capacity_tokens:
            limit = self._memory.capacity_tokens
            raise RefusedError(f"a transcript needs {wanted} positions of the context's {limit}")
        self._memory.thinker.reset(self._memory.scratch)
        rows = self._reader.embed(pieces)
        return Transcript(
            conversation_id=conversation.conversation_id,
            item_id=item.item_id,
            prompt=deque(rows.split(PREFILL_TOKENS)),
            max_tokens=max_tokens,
            stream=TextStream(self._model.tokenizer),
        )

    def _pieces(self, sound: list[Piece]) -> list[Piece]:
        prompt = self._model.config.omnilive.transcribe_prompt
        assert prompt is not None, "a transcript without a prompt"
        return [
            self._template.system(prompt),
            self._template.user_open,
            self._template.audio_open,
            *sound,
            self._template.audio_close,
            self._template.user_close,
            self._template.answer_open,
        ]

    def _advance(self, running: Transcript) -> str | None:
        """Prefills the next positions, or decodes the next token; returns the text at its end."""
        if running.prompt:
            embeds = running.prompt.popleft()
        else:
            last = torch.tensor(running.tokens[-1:], device=self._model.device)
            embeds = self._model.thinker.embed(last)
        cache, slot = self._memory.thinker, self._memory.scratch
        positions = positions_from([cache.lengths[slot]], len(embeds), embeds.device)
        hidden = self._model.thinker.step(embeds[None], positions, cache, [slot])  # [1, n, D]
        if running.prompt:
            return None
        chances = self._model.thinker.logits(hidden[0, -1]).float().log_softmax(-1)
        token = int(chances.argmax())
        if token not in self._model.text_end_ids:
            running.tokens.append(token)
            octets = tuple(self._model.tokenizer.token_bytes(token))
            running.written.append(_written(octets, float(chances[token])))
            self._tell(running, running.stream.push(token))
            if len(running.tokens) < running.max_tokens:
                return None
        self._tell(running, running.stream.flush())
        return running.text.rstrip()

    def _tell(self, running: Transcript, text: str) -> None:
        if not running.text:
            text = text.lstrip()
        running.text += text
        if text:
            tokens = tuple(running.written[running.told :])
            running.told += len(tokens)
            self._emit(
                InputTranscriptDelta(
                    conversation_id=running.conversation_id,
                    item_id=running.item_id,
                    text=text,
                    tokens=tokens,
                )
            )


def _joined(sentences: Sequence[Sentence]) -> Iterator[TranscriptToken]:
    """The tokens of sentences with a space between them."""
    for number, sentence in enumerate(sentences):
        for place, token in enumerate(sentence):
            text = f" {token.text}" if number and not place else token.text
            yield _written(tuple(text.encode()), token.log_prob)


def _written(octets: tuple[int, ...], log_prob: float) -> TranscriptToken:
    """A token as it is told.

    Raises:
        ArithmeticError: The networks computed no number for it.
    """
    if not math.isfinite(log_prob):
        raise ArithmeticError(f"the log-probability of a token is {log_prob}")
    return TranscriptToken(octets=octets, log_prob=log_prob)
