"""Which response runs: one at a time, and at most one more while the last is being cancelled.

Beside it run responses aside, which are no part of the conversation. Knows starting, cancelling,
and what the engine says of a reply. The order of a response's own events is `response`'s.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TypeAlias

from streaming.protocol.commands import (
    Aside,
    CancelResponse,
    CopyItem,
    DeleteItem,
    OpenAside,
    StartResponse,
)
from streaming.protocol.deletions import Deletions
from streaming.protocol.engine_events import (
    Failure,
    ReplyAudio,
    ReplyCall,
    ReplyCallDone,
    ReplyDone,
    ReplyText,
    ReplyUsage,
)
from streaming.protocol.errors import CapabilityError, ProtocolError
from streaming.protocol.response import Response
from streaming.protocol.response_object import CancelReason
from streaming.protocol.response_spec import ResponseSpec
from streaming.protocol.shared import Shared
from streaming.protocol.truncations import Truncations

logger = logging.getLogger("omnilive.protocol")

ReplyEvent: TypeAlias = ReplyText | ReplyAudio | ReplyCall | ReplyCallDone | ReplyDone


class Replies:
    """The running response, and the one that waits until a cancelled one has ended."""

    def __init__(self, shared: Shared, truncations: Truncations, deletions: Deletions) -> None:
        self._outbox = shared.outbox
        self._history = shared.history
        self._limits = shared.limits
        self._silence = shared.silence
        self._ports = shared.ports
        self._conversation_id = shared.conversation_id
        self._truncations = truncations
        self._deletions = deletions
        self._aside: dict[str, Response] = {}
        self._active: Response | None = None
        self._next: ResponseSpec | None = None
        self._next_cancelled: CancelReason | None = None
        self.has_spoken = False

    @property
    def item_id(self) -> str | None:
        """Message of the running response; None if none runs."""
        return self._active.item.item_id if self._active else None

    @property
    def is_cancelling(self) -> bool:
        """Whether the running response has been cancelled and has not ended yet."""
        return self._active is not None and self._active.is_cancelling

    def is_aside(self, response_id: str) -> bool:
        """Whether a running response is no part of the conversation."""
        return response_id in self._aside

    def makes(self, item_id: str) -> bool:
        """Whether an item is one that the running response is still making."""
        return self._active is not None and self._active.makes(item_id)

    def create(self, spec: ResponseSpec) -> None:
        """Start a response, or let it wait for the cancelled one before it.

        Raises:
            ProtocolError: Another one is in progress; too many, for one aside.
        """
        if spec.aside:
            self._start_aside(spec)
        elif self._active is None:
            self._start(spec)
        elif self._active.is_cancelling and self._next is None:
            self._next = spec
        else:
            raise ProtocolError(
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress: "
                f"{self._active.response_id}. Wait until the response is finished before creating "
                "a new one.",
            )

    def cancel(self, response_id: str | None) -> None:
        """A client wants no more of a response. Cancelling twice changes nothing.

        Raises:
            ProtocolError: No such response is running.
        """
        active = self._active
        if response_id is not None and response_id in self._aside:
            self._cancel_aside(self._aside[response_id])
            return
        if active is None or response_id not in (None, active.response_id):
            raise ProtocolError(
                "response_cancel_not_active",
                "Cancellation failed: no active response found"
                + (f" with id '{response_id}'." if response_id is not None else "."),
                None if response_id is None else "response_id",
            )
        self._cancel(active, "client_cancelled", next_too=response_id is None)

    def interrupt(self) -> None:
        """The user began to speak, and the client stops what it plays."""
        self._silence.cut()
        if self._active is not None:
            self._cancel(self._active, "turn_detected", next_too=True)

    def receive(self, event: ReplyEvent) -> None:
        """What the engine says of a running reply."""
        running = self._aside.get(event.response_id, self._active)
        if running is None or event.response_id != running.response_id:
            logger.warning("the engine sent %s for no running response", type(event).__name__)
            return
        match event:
            case ReplyText(text=text):
                running.text(text)
            case ReplyAudio(pcm=pcm):
                sent_ms = running.sent_ms
                running.audio(pcm)
                self.has_spoken = self.has_spoken or running.is_shown
                self._count_sent(running, sent_ms)
            case ReplyCall():
                running.call(event)
            case ReplyCallDone():
                running.call_done(event)
            case ReplyDone() if running is self._active:
                self._end(running, event)
            case ReplyDone():
                del self._aside[event.response_id]
                running.end(event)

    def all_failed(self, failure: Failure) -> None:
        """The engine will say nothing more."""
        for response_id in list(self._aside):
            self.receive(_failed(response_id, failure))
        for _ in range(2):  # the running one and the one that waits
            if self._active is not None:
                self._end(self._active, _failed(self._active.response_id, failure))

    def _start(self, spec: ResponseSpec) -> None:
        self._active = response = self._new(spec)
        self._history.reserve_answer(response.item.item_id)
        self._outbox.command(_start_command(response))

    def _start_aside(self, spec: ResponseSpec) -> None:
        limit = self._limits.max_responses_aside
        if len(self._aside) >= limit:
            raise ProtocolError(
                "too_many_responses",
                f"{limit} responses outside the conversation are in progress "
                "(max_responses_aside); wait until one is finished.",
            )
        if spec.modality == "audio" and self._ports.new_mouth is None:
            raise CapabilityError(
                "On a live line only a response of the conversation is spoken; 'text' is served.",
                "response.output_modalities",
            )
        response = self._new(spec)
        name = response.response_id
        self._aside[name] = response
        self._outbox.command(
            OpenAside(
                response_id=name,
                instructions=spec.instructions,
                tools=None if spec.tools is None else spec.tools.texts,
                voice=spec.voice,
                copies_items=spec.input is None,
            )
        )
        previous: str | None = None
        for entry in spec.input or ():
            item_id = self._outbox.make_id("item")
            if isinstance(entry, str):
                copy = CopyItem(item_id=item_id, source_item_id=entry)
                self._outbox.command(Aside(response_id=name, command=copy))
            else:
                create = replace(entry.command(previous), item_id=item_id)
                self._outbox.command(Aside(response_id=name, command=create))
            previous = item_id
        self._outbox.command(Aside(response_id=name, command=_start_command(response)))

    def _cancel_aside(self, response: Response) -> None:
        if not response.is_cancelling:
            cancel = CancelResponse(response_id=response.response_id, heard_ms=None)
            self._outbox.command(Aside(response_id=response.response_id, command=cancel))
        response.cancel("client_cancelled")

    def _cancel(self, active: Response, reason: CancelReason, *, next_too: bool) -> None:
        if not active.is_cancelling:
            self._outbox.command(CancelResponse(response_id=active.response_id, heard_ms=None))
        elif next_too and self._next is not None and self._next_cancelled is None:
            self._next_cancelled = reason
        active.cancel(reason)
        self._silence.cut()

    def _end(self, active: Response, done: ReplyDone) -> None:
        sent_ms = active.sent_ms
        status = active.end(done)
        self._count_sent(active, sent_ms)
        self._active = None
        self._keep_what_was_sent(active, done)
        self._truncations.reply_ended()
        self._deletions.reply_ended()  # behind the cuts, which may be of the same items
        self._start_next()
        if status in ("completed", "incomplete") and self._active is None:
            self._silence.replied()

    def _count_sent(self, running: Response, before_ms: int) -> None:
        if running is self._active and running.sent_ms > before_ms:
            self._silence.sent(running.item.item_id, running.sent_ms - before_ms)

    def _keep_what_was_sent(self, ended: Response, done: ReplyDone) -> None:
        """Bring the engine's history back to the client's, where the reply was cut short.

        The engine's is ahead of it: by the words whose sound it had not made yet, and by what it
        said between our cancel and its seeing that.
        """
        item = ended.item
        for item_id in ended.unseen_calls:
            self._outbox.command(DeleteItem(item_id=item_id))
        is_ahead = ended.has_withheld or done.status in ("cancelled", "failed")
        if not ended.is_shown:
            self._history.remove(item.item_id)
            # One that failed before it said anything is not even there.
            if done.status != "failed" or ended.has_output:
                self._outbox.command(DeleteItem(item_id=item.item_id))
        elif is_ahead and item.speech is not None:
            self._truncations.cut_silently(item.item_id, item.speech.audio_ms)

    def _start_next(self) -> None:
        spec, cancelled = self._next, self._next_cancelled
        self._next = self._next_cancelled = None
        if spec is None:
            return
        if cancelled is None:
            self._start(spec)
        else:
            self._begin_and_cancel(spec, cancelled)

    def _begin_and_cancel(self, spec: ResponseSpec, reason: CancelReason) -> None:
        """Tell the client of a response that was cancelled before the engine could be asked."""
        response = self._new(spec)
        response.cancel(reason)
        usage = ReplyUsage()
        done = ReplyDone(response_id=response.response_id, status="cancelled", usage=usage)
        response.end(done)

    def _new(self, spec: ResponseSpec) -> Response:
        return Response(
            spec,
            conversation_id=None if spec.aside else self._conversation_id,
            outbox=self._outbox,
            history=None if spec.aside else self._history,
            mouth=self._ports.new_mouth()
            if spec.aside and self._ports.new_mouth
            else self._ports.mouth,
            rates=self._ports.rates,
        )


def _failed(response_id: str, failure: Failure) -> ReplyDone:
    usage = ReplyUsage()
    return ReplyDone(response_id=response_id, status="failed", usage=usage, failure=failure)


def _start_command(response: Response) -> StartResponse:
    spec = response.spec
    max_tokens = spec.max_output_tokens
    return StartResponse(
        response_id=response.response_id,
        item_id=response.item.item_id,
        modality=spec.modality,
        voice=spec.voice,
        instructions=spec.instructions,
        max_output_tokens=None if max_tokens == "inf" else max_tokens,
        tools=None if spec.tools is None else spec.tools.texts,
        tool_choice=spec.choice.choice,
        function=spec.choice.function,
        parallel_tool_calls=spec.parallel_tool_calls,
    )
