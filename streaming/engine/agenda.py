"""Everything that could run now, and when it is due.

Knows what each conversation waits for. Does not choose (`scheduler.py` does) and runs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from streaming.engine.clock import Clock
from streaming.engine.conversation import Conversation
from streaming.engine.reading import Reader
from streaming.engine.reply import Reply
from streaming.engine.scheduler import NEVER_S, Scheduler, Stage, Work
from streaming.engine.speaking import Speaker
from streaming.engine.transcribing import Transcriber

# The Thinker runs ahead of the Talker by at most so many tokens, and each of the lead makes its
# next one less urgent by so much.
MAX_LEAD_TOKENS = 32
LEAD_TOKEN_S = 0.1


class Agenda:
    """Lists the work of all conversations."""

    def __init__(
        self,
        conversations: Mapping[str, Conversation],
        *,
        reader: Reader,
        speaker: Speaker,
        transcriber: Transcriber,
        scheduler: Scheduler,
        clock: Clock,
    ) -> None:
        self._conversations = conversations
        self._reader = reader
        self._speaker = speaker
        self._transcriber = transcriber
        self._scheduler = scheduler
        self._clock = clock

    def works(self) -> Iterator[Work]:
        """Gives each step of each stage that could run now."""
        for name, conversation in self._conversations.items():
            due_s = self._prompt_due_s(conversation)
            if any(hearing.hears for hearing in conversation.hearing.values()):
                yield Work(conversation_id=name, stage=Stage.ENCODE, deadline_s=due_s)
            if any(hearing.sees for hearing in conversation.hearing.values()):
                yield Work(conversation_id=name, stage=Stage.SEE, deadline_s=due_s)
            if self._reader.missing(conversation) > 0:
                yield Work(conversation_id=name, stage=Stage.PREFILL, deadline_s=due_s)
            elif conversation.reply is not None and self._may_go_on(conversation):
                yield from self._of_reply(name, conversation.reply)
            if self._transcriber.waits(conversation):
                due_s = -math.inf if self._transcriber.costs_nothing else NEVER_S
                yield Work(conversation_id=name, stage=Stage.TRANSCRIBE, deadline_s=due_s)

    def _prompt_due_s(self, conversation: Conversation) -> float:
        reply = conversation.reply
        if reply is None or reply.begun:
            return conversation.due_s
        return self._scheduler.first_packet_deadline_s(reply.marks.asked_s)

    def _may_go_on(self, conversation: Conversation) -> bool:
        """Tells whether the reply has begun, or its whole question is in the cache."""
        reply, timeline = conversation.reply, conversation.timeline
        assert reply is not None
        return reply.begun or not any(
            timeline.is_before(hearing.item, reply.item)
            for hearing in conversation.hearing.values()
        )

    def _of_reply(self, name: str, reply: Reply) -> Iterator[Work]:
        playing = reply.playout.started_s is not None
        waiting_s = self._scheduler.first_packet_deadline_s(reply.marks.asked_s)
        due_s = reply.playout.dry_at_s if playing else waiting_s
        speech = reply.speech
        if not reply.thinker_ended:
            # Also when the speech ended before the text did: the rest is still to be written.
            if speech is None or speech.starved or speech.talker_ended:
                yield Work(
                    conversation_id=name, stage=Stage.THINKER, deadline_s=due_s, playing=playing
                )
            elif playing and reply.lead_tokens < MAX_LEAD_TOKENS:
                relaxed_s = max(due_s, self._clock()) + (reply.lead_tokens + 1) * LEAD_TOKEN_S
                yield Work(conversation_id=name, stage=Stage.THINKER, deadline_s=relaxed_s)
        if speech is None or speech.ended:
            return
        if self._speaker.chunk_due(speech):
            yield Work(
                conversation_id=name, stage=Stage.TOKEN2WAV, deadline_s=due_s, playing=playing
            )
        elif not speech.starved:
            yield Work(conversation_id=name, stage=Stage.TALKER, deadline_s=due_s, playing=playing)
