"""The one loop: take what came in, pick the most urgent batch, run it.

Knows the stages. Does not know sockets (`worker.py`), when work is due (`agenda.py`), what a
failure means for whom (`border.py`) nor what a stage computes. A batch that fails is run again one
by one, so that a conversation's error stays its own.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import torch

from model.audio_encoder import audio_tokens
from model.errors import ConfigError
from model.mel import HOP_SAMPLES, SAMPLE_RATE_HZ
from model.omni import OmniModel
from streaming.engine.agenda import Agenda
from streaming.engine.beginnings import Beginnings
from streaming.engine.border import Border
from streaming.engine.called import Called
from streaming.engine.clock import Clock, monotonic_s
from streaming.engine.commands import Commands
from streaming.engine.conversation import Conversation
from streaming.engine.decoding import Decoding
from streaming.engine.footprint import check_fits, free_bytes
from streaming.engine.ground import Ground
from streaming.engine.hearing import Listener
from streaming.engine.memory import Finish, Mark, Memory
from streaming.engine.messages.commands import Command
from streaming.engine.messages.events import EngineReady, Event, ResponseStatus
from streaming.engine.messages.load import EngineLoad
from streaming.engine.meter import Meter
from streaming.engine.reading import Reader
from streaming.engine.replies import Replies
from streaming.engine.scheduler import (
    Batch,
    Scheduler,
    SchedulerConfig,
    Stage,
)
from streaming.engine.settings import EngineSettings
from streaming.engine.sounds import sounds_of
from streaming.engine.speaking import Speaker
from streaming.engine.template import Template
from streaming.engine.transcribing import Transcriber

logger = logging.getLogger("omnilive.engine")


class Engine:
    """All conversations of one engine process.

    Args:
        model: the networks.
        settings: limits and seed.
        clock: seconds; deadlines and marks are on it.
    """

    def __init__(
        self, model: OmniModel, settings: EngineSettings, *, clock: Clock = monotonic_s
    ) -> None:
        self.inbox: deque[Command] = deque()
        self.outbox: deque[Event] = deque()
        self._model = model
        self._settings = settings
        self._clock = clock
        self._conversations: dict[str, Conversation] = {}
        self._meter = Meter(settings.max_conversations + settings.max_asides)
        self._ran: Stage | None = None
        # A Talker that asks for text says one code more for each of its tokens: room for as many.
        max_codes = 2 * int(settings.max_speech_s * model.config.token2wav.codes_per_second)
        self._memory = _memory(model, settings, max_codes)
        ground = self._new_ground()
        self._scheduler = Scheduler(
            SchedulerConfig(
                max_conversations=settings.max_conversations,
                first_packet_target_s=settings.first_packet_target_s,
            )
        )
        decoding = Decoding(model, self._memory, max_rows=settings.max_conversations)
        self._reader = Reader(ground, decoding)
        self._speaker = Speaker(ground, decoding)
        self._listener = Listener(ground)
        self._called = Called(ground)
        self._replies = Replies(ground, self._called)
        self._beginnings = Beginnings(
            ground, self._listener, max_codes=max_codes, seed=settings.seed
        )
        self._transcriber = Transcriber(ground, self._reader)
        self._stages = self._by_stage()
        self._commands = self._new_commands(ground)
        self._border = self._new_border(ground)
        self._agenda = self._new_agenda()

    def _new_ground(self) -> Ground:
        template = Template(self._model)
        return Ground(
            model=self._model,
            memory=self._memory,
            template=template,
            sounds=sounds_of(template, self._model.dictation),
            emit=self.outbox.append,
            clock=self._clock,
            drew=self._meter.drew,
            preempted=self._meter.preempted,
        )

    def _by_stage(self) -> dict[Stage, Callable[[Sequence[Conversation]], list[Finish]]]:
        return {
            Stage.ENCODE: self._listener.encode,
            Stage.SEE: self._listener.look,
            Stage.PREFILL: self._reader.prefill,
            Stage.THINKER: self._reader.decode,
            Stage.TALKER: self._speaker.talk,
            Stage.TOKEN2WAV: self._speaker.chunks,
            Stage.TRANSCRIBE: self._transcribe,
        }

    def _new_commands(self, ground: Ground) -> Commands:
        return Commands(
            self._conversations,
            ground,
            self._settings,
            listener=self._listener,
            beginnings=self._beginnings,
            replies=self._replies,
            scheduler=self._scheduler,
        )

    def _new_border(self, ground: Ground) -> Border:
        return Border(
            self._conversations,
            ground,
            commands=self._commands,
            replies=self._replies,
            transcriber=self._transcriber,
        )

    def _new_agenda(self) -> Agenda:
        return Agenda(
            self._conversations,
            reader=self._reader,
            speaker=self._speaker,
            transcriber=self._transcriber,
            scheduler=self._scheduler,
            clock=self._clock,
        )

    @property
    def ready(self) -> EngineReady:
        """What this engine can do."""
        block = self._model.config.thinker.audio.block_frames
        return EngineReady(
            model_id=self._model.name,
            inputs=self._model.config.omnilive.inputs,
            voices=tuple(self._model.speakers),
            max_conversations=self._settings.max_conversations,
            context_tokens=self._memory.capacity_tokens,
            output_sample_rate_hz=self._model.config.token2wav.sample_rate_hz,
            instructions=self._model.config.omnilive.system_prompt,
            transcribes=self._model.transcribes,
            audio_tokens_per_s=audio_tokens(block) / (block * HOP_SAMPLES / SAMPLE_RATE_HZ),
        )

    @property
    def load(self) -> EngineLoad:
        """How busy it is, and what it has done since its start."""
        return self._meter.load(self._conversations, self._memory, self._model.device)

    @torch.inference_mode()
    def step(self) -> bool:
        """Takes what came in and runs one batch; tells whether there was one to run."""
        while self.inbox:
            self._border.apply(self.inbox.popleft())
        works = list(self._agenda.works())
        self._meter.saw(works)
        batch = self._scheduler.pick(works, self._clock())
        if batch is None:
            return False
        gives_way = self._ran is Stage.TRANSCRIBE and batch.stage is not Stage.TRANSCRIBE
        if gives_way and self._transcriber.is_under_way:
            self._meter.preempted("transcript_waits")
        self._ran = batch.stage
        self._run(batch)
        return True

    def _run(self, batch: Batch) -> None:
        conversations = [self._conversations[name] for name in batch.conversation_ids]
        began_s = self._clock()
        marks = self._memory.mark([c.slot for c in conversations])
        try:
            finishes = self._stages[batch.stage](conversations)
        except Exception as error:
            self._memory.rewind(marks)
            if len(conversations) == 1:
                self._border.fail(conversations[0], batch.stage, error)
                return
            logger.warning("%s failed in a batch; one by one", batch.stage.name, exc_info=error)
            for name in batch.conversation_ids:
                self._run(Batch(stage=batch.stage, conversation_ids=(name,)))
            return
        if batch.stage is Stage.PREFILL:
            held = sum(mark.thinker_tokens for mark in marks)
            self._meter.prefilled(sum(self._memory.length(c.slot) for c in conversations) - held)
        for conversation, finish, mark in zip(conversations, finishes, marks, strict=True):
            ran = partial(self._finish, conversation, batch.stage, finish, mark, began_s)
            self._border.guard(conversation, ran)
        self._meter.ran(batch.stage, len(conversations), self._clock() - began_s)

    def _finish(
        self, conversation: Conversation, stage: Stage, finish: Finish, mark: Mark, began_s: float
    ) -> None:
        """Takes over what a pass has found for one conversation."""
        try:
            finish()
        except Exception as error:
            self._memory.rewind([mark])
            self._border.fail(conversation, stage, error)
        else:
            self._after(conversation, stage, self._clock() - began_s)

    def _after(self, conversation: Conversation, stage: Stage, busy_s: float) -> None:
        """Notes what a step was for the reply under way, and ends it when all of it was made."""
        reply = conversation.reply
        if reply is None:
            return
        reply.note(stage, busy_s, self._clock())
        self._called.tell(conversation)
        if not reply.ended:
            return
        limit = reply.ended_by
        status: ResponseStatus = "completed" if limit is None else "incomplete"
        self._replies.end(conversation, status, reason=limit)
        self._commands.reply_ended(conversation)

    def _transcribe(self, conversations: Sequence[Conversation]) -> list[Finish]:
        return [partial(self._transcribe_one, conversation) for conversation in conversations]

    def _transcribe_one(self, conversation: Conversation) -> None:
        answer = self._transcriber.step(conversation)
        if answer is not None:
            self.outbox.append(answer)


def _memory(model: OmniModel, settings: EngineSettings, max_codes: int) -> Memory:
    """Makes the caches.

    Raises:
        ConfigError: There is no room for them, or the checkpoint has fewer positions; names the
            settings.
    """
    positions = model.config.thinker.text.max_position_embeddings
    context = settings.context_tokens or positions
    if context > positions:
        raise ConfigError(
            f"context_tokens {context}: the checkpoint has max_position_embeddings {positions}, "
            "and no conversation can be longer"
        )
    figures = {
        "slots": settings.max_conversations + settings.max_asides,
        "capacity_tokens": context,
        "speech_codes": max_codes + 2,  # two positions open a reply's speech
    }
    check_fits(
        Memory.size_bytes(model, **figures),
        free_bytes(model.device),
        max_conversations=settings.max_conversations,
        context_tokens=context,
    )
    return Memory(model, **figures)
