"""Which response runs: one at a time, and at most one more while the last is being cancelled.

Knows starting, cancelling, and what the engine says of a reply. The order of a response's own
events is `response`'s.
"""

from __future__ import annotations

import logging

from streaming.protocol.commands import CancelResponse, DeleteItem, StartResponse
from streaming.protocol.engine_events import (
    Failure,
    ReplyAudio,
    ReplyDone,
    ReplyText,
    ReplyUsage,
)
from streaming.protocol.errors import ProtocolError
from streaming.protocol.history import History
from streaming.protocol.outbox import Outbox
from streaming.protocol.ports import MouthPort
from streaming.protocol.response import CancelReason, Response, ResponseSpec
from streaming.protocol.truncations import Truncations

logger = logging.getLogger("omnilive.protocol")


class Replies:
    """The running response, and the one that waits until a cancelled one has ended."""

    def __init__(
        self,
        outbox: Outbox,
        history: History,
        mouth: MouthPort,
        truncations: Truncations,
        conversation_id: str,
    ) -> None:
        self._outbox = outbox
        self._history = history
        self._mouth = mouth
        self._truncations = truncations
        self._conversation_id = conversation_id
        self._active: Response | None = None
        self._next: ResponseSpec | None = None
        self._next_cancelled: CancelReason | None = None
        self.has_spoken = False

    @property
    def item_id(self) -> str | None:
        """Item of the running response; None if none runs."""
        return self._active.item.item_id if self._active else None

    def create(self, spec: ResponseSpec) -> None:
        """Start a response, or let it wait for the cancelled one before it.

        Raises:
            ProtocolError: Another one is in progress.
        """
        if self._active is None:
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
        if active is None or response_id not in (None, active.response_id):
            raise ProtocolError(
                "response_cancel_not_active",
                "Cancellation failed: no active response found"
                + (f" with id '{response_id}'." if response_id is not None else "."),
                None if response_id is None else "response_id",
            )
        self._cancel(active, "client_cancelled", next_too=response_id is None)

    def interrupt(self) -> None:
        """The user began to speak."""
        if self._active is not None:
            self._cancel(self._active, "turn_detected", next_too=True)

    def receive(self, event: ReplyText | ReplyAudio | ReplyDone) -> None:
        """What the engine says of the running reply."""
        active = self._active
        if active is None or event.response_id != active.response_id:
            logger.warning("the engine sent %s for no running response", type(event).__name__)
            return
        match event:
            case ReplyText(text=text):
                active.text(text)
            case ReplyAudio(pcm=pcm):
                active.audio(pcm)
                self.has_spoken = self.has_spoken or active.is_shown
            case ReplyDone():
                self._end(active, event)

    def all_failed(self, failure: Failure) -> None:
        """The engine will say nothing more."""
        for _ in range(2):  # the running one and the one that waits
            if self._active is not None:
                done = ReplyDone(
                    response_id=self._active.response_id,
                    status="failed",
                    usage=ReplyUsage(),
                    failure=failure,
                )
                self._end(self._active, done)

    def _start(self, spec: ResponseSpec) -> None:
        self._active = response = self._new(spec)
        self._history.reserve(response.item.item_id)
        max_tokens = spec.max_output_tokens
        self._outbox.command(
            StartResponse(
                response_id=response.response_id,
                item_id=response.item.item_id,
                modality=spec.modality,
                voice=spec.voice,
                instructions=spec.instructions,
                max_output_tokens=None if max_tokens == "inf" else max_tokens,
            )
        )

    def _cancel(self, active: Response, reason: CancelReason, *, next_too: bool) -> None:
        if not active.is_cancelling:
            self._outbox.command(CancelResponse(response_id=active.response_id, heard_ms=None))
        elif next_too and self._next is not None and self._next_cancelled is None:
            self._next_cancelled = reason
        active.cancel(reason)

    def _end(self, active: Response, done: ReplyDone) -> None:
        active.end(done)
        self._active = None
        self._keep_what_was_sent(active, done)
        self._truncations.reply_ended()
        self._start_next()

    def _keep_what_was_sent(self, ended: Response, done: ReplyDone) -> None:
        """Bring the engine's history back to the client's, where the reply was cut short.

        The engine's is ahead of it: by the words whose sound it had not made yet, and by what it
        said between our cancel and its seeing that.
        """
        item = ended.item
        is_ahead = ended.has_withheld or done.status in ("cancelled", "failed")
        if not ended.is_shown:
            self._history.remove(item.item_id)
            if done.status != "failed":  # one that failed at its start is not even there
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
            conversation_id=self._conversation_id,
            outbox=self._outbox,
            history=self._history,
            mouth=self._mouth,
        )
