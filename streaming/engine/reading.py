"""The Thinker's two passes over conversations: prefill of what is missing, and one more token.

Knows how pieces become embeddings, and that the Talker is told the same positions. Does not know
when a pass should run, nor anything about sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from model.thinker import talker_vectors
from streaming.engine.conversation import Conversation
from streaming.engine.decoding import Decoding
from streaming.engine.ground import Ground
from streaming.engine.memory import Finish, pad_rows
from streaming.engine.messages.events import TextDelta
from streaming.engine.pieces import Piece, Placed
from streaming.engine.reply import Reply
from streaming.engine.scheduler import Stage

# Positions of one conversation in one pass: a long prompt must not hold up those who are playing.
PREFILL_TOKENS = 256


class Reader:
    """Thinker passes over shared batches.

    Args:
        ground: networks, caches and the way out for text.
        decoding: single steps.
    """

    def __init__(self, ground: Ground, decoding: Decoding) -> None:
        self._model = ground.model
        self._memory = ground.memory
        self._emit = ground.emit
        self._drew = ground.drew
        self._device = ground.model.device
        self._decoding = decoding

    def missing(self, conversation: Conversation) -> int:
        """Returns how many positions of the prompt are known and not in the cache."""
        return conversation.timeline.settled - self._memory.length(conversation.slot)

    def prefill(self, conversations: Sequence[Conversation]) -> list[Finish]:
        """Appends what is missing, up to `PREFILL_TOKENS`, to both caches of each conversation."""
        starts = [self._memory.length(c.slot) for c in conversations]
        stops = [
            min(c.timeline.settled, start + PREFILL_TOKENS)
            for c, start in zip(conversations, starts, strict=True)
        ]
        pieces = [
            c.timeline.slice(start, stop)
            for c, start, stop in zip(conversations, starts, stops, strict=True)
        ]
        rows = [self.embed(run) for run in pieces]
        counts = [len(row) for row in rows]
        embeds = pad_rows(rows)  # [B, T, D]
        hidden = self._model.thinker.step(
            embeds,
            self._places(conversations, starts, stops),
            self._memory.thinker,
            [c.slot for c in conversations],
            counts,
        )
        vectors = [
            self._model.talker.spelled(
                talker_vectors(row, seen[: len(row)], self._is_media(run)), self._ids(run)
            )
            for row, seen, run in zip(rows, hidden, pieces, strict=True)
        ]
        self._tell(conversations, vectors, stops)
        return [
            partial(self._prefilled, conversation, seen[count - 1].clone())
            for conversation, count, seen in zip(conversations, counts, hidden, strict=True)
        ]

    def _places(
        self, conversations: Sequence[Conversation], starts: list[int], stops: list[int]
    ) -> Tensor:
        """TMRoPE ids [3, B, T] of each conversation's positions from its start to its stop."""
        rows = [
            place_ids(c.timeline.placed(start, stop)).T  # [n_b, 3]
            for c, start, stop in zip(conversations, starts, stops, strict=True)
        ]
        return pad_rows(rows).permute(2, 0, 1).to(self._device)

    def _tell(
        self, conversations: Sequence[Conversation], vectors: list[Tensor], stops: list[int]
    ) -> None:
        """Appends the vectors [n_b, D], behind those that waited, to the Talker's prompts."""
        slots = [c.slot for c in conversations]
        rows = [
            torch.cat([*(waiting[None] for waiting in self._memory.untold(slot)), row])
            for slot, row in zip(slots, vectors, strict=True)
        ]
        inputs = pad_rows(rows)  # [B, T, D]
        starts = [self._memory.talker.lengths[slot] for slot in slots]
        self._model.talker.step(
            inputs,
            self._places(conversations, starts, stops),
            self._memory.talker,
            slots,
            [len(row) for row in rows],
        )

    def _prefilled(self, conversation: Conversation, last: Tensor) -> None:
        slot = conversation.slot
        self._memory.told(slot)
        self._memory.lead(slot, conversation.timeline.ahead(self._memory.length(slot)))
        conversation.last_hidden = (self._memory.length(slot), last)

    def decode(self, conversations: Sequence[Conversation]) -> list[Finish]:
        """Runs the Thinker on each reply's last token, and draws the next.

        The first token of a reply needs no pass: it is drawn from what the prompt's last position
        left.
        """
        replies = [reply_of(c) for c in conversations]
        going = [i for i, reply in enumerate(replies) if reply.begun]
        vectors: list[Tensor | None] = [None] * len(replies)
        hidden: list[Tensor] = [self._opening(c) for c in conversations]
        if going:
            fed = self._feed([conversations[i] for i in going])
            for i, vector, seen in zip(going, *fed, strict=True):
                vectors[i], hidden[i] = vector, seen
        logits = self._model.thinker.logits(torch.stack(hidden))  # [B, vocab]
        return [
            partial(self._decoded, *row)
            for row in zip(conversations, replies, vectors, hidden, logits, strict=True)
        ]

    def _opening(self, conversation: Conversation) -> Tensor:
        assert conversation.last_hidden is not None, "decoding without a prompt"
        position, hidden = conversation.last_hidden
        assert position == self._memory.length(conversation.slot), "the prompt has changed since"
        return hidden

    def _feed(self, conversations: Sequence[Conversation]) -> tuple[Tensor, Tensor]:
        """Appends the last token of each reply -> Talker vectors [B, D], hidden states [B, D]."""
        slots = [c.slot for c in conversations]
        tokens = torch.tensor([reply_of(c).tokens[-1] for c in conversations], device=self._device)
        embeds = self._model.thinker.embed(tokens)  # [B, D]
        hidden = self._decoding.thinker(embeds, slots)
        return self._model.talker.spelled(embeds + hidden, tokens), hidden.clone()

    def _decoded(
        self,
        conversation: Conversation,
        reply: Reply,
        vector: Tensor | None,
        hidden: Tensor,
        logits: Tensor,
    ) -> None:
        room = conversation.timeline.room
        if vector is not None:
            # The cache holds the token already: here the timeline and the Talker learn of it.
            room.reserved_tokens -= 1
            conversation.timeline.extend(reply.item, [Piece((reply.tokens[-1],))])
            self._memory.tell_later(conversation.slot, vector)
            reply.push(vector)
            conversation.last_hidden = (self._memory.length(conversation.slot), hidden)
        reply.begun = True
        if room.free < 1 and not reply.cut_short:
            # What was not yet encoded when the reply was asked for, or was said into it, has taken
            # its room.
            reply.limit, reply.cut_short = "context_full", True
        if reply.cut_short:
            self._end(conversation, reply)
            return
        token = reply.sampler.draw(logits)
        if token in self._model.text_end_ids:
            self._end(conversation, reply)
            return
        reply.tokens.append(token)
        self._drew(Stage.THINKER)
        room.reserved_tokens += 1
        self._say(conversation, reply, reply.text.push(token))
        if reply.text.is_over:
            self._end(conversation, reply)
            return
        # The last token that is allowed still goes through the Thinker: the Talker is to say it.
        reply.cut_short = len(reply.tokens) >= reply.max_tokens

    def _end(self, conversation: Conversation, reply: Reply) -> None:
        reply.thinker_ended = True
        if reply.sampler.is_forcing:
            # Cut off in the opening of the call that it had to be, it has said nothing.
            reply.text.break_off()
            reply.held.clear()
        else:
            self._say(conversation, reply, reply.text.flush())
        reply.finish_speech()

    def _say(self, conversation: Conversation, reply: Reply, text: str) -> None:
        if text:
            self._emit(
                TextDelta(
                    conversation_id=conversation.conversation_id,
                    response_id=reply.response_id,
                    text=text,
                )
            )

    def embed(self, pieces: Sequence[Piece]) -> Tensor:
        """Returns the Thinker's inputs [n, D] of these pieces."""
        return torch.cat([self._embed_piece(piece) for piece in pieces])

    def _embed_piece(self, piece: Piece) -> Tensor:
        if piece.embeds is not None:
            return piece.embeds
        return self._model.thinker.embed(torch.tensor(piece.ids, device=self._device))

    def _ids(self, pieces: Sequence[Piece]) -> Tensor:
        return torch.tensor([id_ for piece in pieces for id_ in piece.ids], device=self._device)

    def _is_media(self, pieces: Sequence[Piece]) -> Tensor:
        flags = [piece.embeds is not None for piece in pieces for _ in piece.ids]
        return torch.tensor(flags, device=self._device)


def place_ids(placed: Sequence[Placed]) -> Tensor:
    """Returns the TMRoPE ids [3, n] of these pieces."""
    return torch.cat(
        [
            run.first_id
            + (
                torch.arange(len(run.piece)).expand(3, -1)
                if run.piece.places is None
                else run.piece.places
            )
            for run in placed
        ],
        dim=1,
    )


def reply_of(conversation: Conversation) -> Reply:
    """Returns the reply under way."""
    assert conversation.reply is not None, "no reply"
    return conversation.reply
