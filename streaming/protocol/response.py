"""One response: its phases, and its server events in the order that clients rely on.

Knows the life cycle ``response.created → rate_limits.updated → output_item.added →
conversation.item.added → content_part.added → deltas → … done → response.done``, with one message
and any number of function calls as its items. A response that is no part of the conversation has
the same without the conversation's events. Does not know which response may run when (`replies`
does), nor samples (`response_sound` does).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, TypeAlias

from streaming.protocol.engine_events import (
    ReplyCall,
    ReplyCallDone,
    ReplyDone,
    ReplyStatus,
    ReplyUsage,
)
from streaming.protocol.history import History
from streaming.protocol.items import AnyItem, CallItem, Content, ContentKind, Item, ItemStatus
from streaming.protocol.outbox import Outbox
from streaming.protocol.ports import MouthPort, RatesPort
from streaming.protocol.response_object import CancelReason, response_object, status_details
from streaming.protocol.response_phases import TRANSITIONS, Phase, Signal
from streaming.protocol.response_sound import ResponseSound
from streaming.protocol.response_spec import ResponseSpec
from streaming.protocol.wire_audio import encode_audio

Object: TypeAlias = dict[str, Any]


class Response:
    """A running response and the items that it makes.

    Attributes:
        has_output: The engine has sent anything of it.
        has_withheld: Something of it was kept from the client.
        unseen_calls: Ids of calls that the engine holds and the client was not told of.
    """

    def __init__(
        self,
        spec: ResponseSpec,
        *,
        conversation_id: str | None,
        outbox: Outbox,
        history: History | None,
        mouth: MouthPort,
        rates: RatesPort,
    ) -> None:
        """Tells of the response; `conversation_id` and `history` are None for one aside."""
        self.spec = spec
        self.response_id = outbox.make_id("resp")
        self.item = Item(item_id=outbox.make_id("item"), role="assistant", status="in_progress")
        self.phase = Phase.CREATED
        self.cancel_reason: CancelReason = "client_cancelled"
        self._conversation_id = conversation_id
        self._outbox = outbox
        self._history = history
        self._sound = ResponseSound(mouth, speed=spec.speed, audio_format=spec.audio_format)
        self._outputs: list[AnyItem] = []
        self._open_calls: dict[str, CallItem] = {}
        self._over: tuple[CallItem, ItemStatus] | None = None  # the open call whose end is held
        self.has_output = False
        self.has_withheld = False
        self.unseen_calls: list[str] = []
        outbox.event("response.created", response=self._object("in_progress"))
        outbox.event("rate_limits.updated", rate_limits=[asdict(left) for left in rates()])

    @property
    def is_shown(self) -> bool:
        """Whether the client has been told of the message."""
        return bool(self.item.content)

    @property
    def sent_ms(self) -> int:
        """Sound that the client was given, at the pace at which it hears it."""
        return self._sound.sent_ms

    @property
    def calls(self) -> list[CallItem]:
        """The function calls that the client has been told of."""
        return [item for item in self._outputs if isinstance(item, CallItem)]

    def makes(self, item_id: str) -> bool:
        """Whether an item is one of its own."""
        return item_id in (self.item.item_id, *(call.item_id for call in self.calls))

    @property
    def is_cancelling(self) -> bool:
        """Whether its end has been asked for and has not come yet."""
        return self.phase is Phase.CANCELLING

    def cancel(self, reason: CancelReason) -> None:
        """Its end has been asked for; the first reason stays."""
        if not self.is_cancelling:
            self.cancel_reason = reason
        self._move(Signal.CANCEL)

    def text(self, text: str) -> None:
        """More words; after a cancel those of speech are withheld, for their sound is."""
        self._move(Signal.OUTPUT)
        self.has_output = self.has_output or bool(text)
        if not text or self._withholds():
            return
        self._tell_call_over()
        part = self._part()
        part.text = (part.text or "") + text
        kind = "output_audio_transcript" if self._is_spoken else "output_text"
        self._outbox.event(f"response.{kind}.delta", **self._in_part(), delta=text)

    def audio(self, pcm: bytes) -> None:
        """More sound (s16 LE, 24 kHz); after a cancel it is withheld."""
        assert self._is_spoken, "the engine spoke in a written response"
        self._move(Signal.OUTPUT)
        self.has_output = self.has_output or bool(pcm)
        if not pcm or self._withholds():
            return
        self._speak(self._sound.push(pcm))

    def call(self, event: ReplyCall) -> None:
        """More of a function call; after a cancel no new one is told of."""
        self._move(Signal.OUTPUT)
        self.has_output = True
        call = self._told_call(event)
        if call is not None and event.arguments:
            call.arguments += event.arguments
            told = {**self._place(call), "call_id": call.call_id, "delta": event.arguments}
            self._outbox.event("response.function_call_arguments.delta", **told)

    def call_done(self, event: ReplyCallDone) -> None:
        """A function call is over, which is told once something follows it or the reply ends.

        A client may answer the call as soon as it is told, and gets no new response before the end
        of this one, which comes only after the call's closing tokens. Sound does not follow a call:
        it is that of words before it.
        """
        self._move(Signal.OUTPUT)
        self.has_output = True
        call = self._told_call(event)
        if call is None:
            self.unseen_calls.append(event.item_id)
        else:
            call.arguments = event.arguments
            self._over = call, "completed" if event.complete else "incomplete"

    def end(self, done: ReplyDone) -> ReplyStatus:
        """Close everything that was opened, and the response; the status that the client sees."""
        status = self._final_status(done.status)
        if self._sound.has_begun and not self._is_muted:
            for audio in self._sound.finish():
                self._speak(audio)
        self._move(Signal.END)
        self.item.status = "completed" if status == "completed" else "incomplete"
        if self.is_shown:
            self._close_item()
        self._tell_call_over()
        for call in list(self._open_calls.values()):
            self._close_call(call, "incomplete")
        details = status_details(status, done, self.cancel_reason)
        self._outbox.event("response.done", response=self._object(status, details, done.usage))
        return status

    @property
    def _is_spoken(self) -> bool:
        return self.spec.modality == "audio"

    @property
    def _is_muted(self) -> bool:
        return self._is_spoken and self.is_cancelling

    def _withholds(self) -> bool:
        self.has_withheld = self.has_withheld or self._is_muted
        return self._is_muted

    def _move(self, signal: Signal) -> None:
        self.phase = TRANSITIONS[self.phase, signal]

    def _final_status(self, status: ReplyStatus) -> ReplyStatus:
        # The engine may have finished before it saw the cancel; the client got no more of it.
        return "cancelled" if self._is_muted and status != "failed" else status

    def _place(self, item: AnyItem) -> Object:
        return {
            "response_id": self.response_id,
            "item_id": item.item_id,
            "output_index": self._outputs.index(item),
        }

    def _in_part(self) -> Object:
        return {**self._place(self.item), "content_index": 0}

    def _told_call(self, event: ReplyCall | ReplyCallDone) -> CallItem | None:
        """The item of a call, announced on first use; None if it is kept from the client."""
        call = self._open_calls.get(event.item_id)
        if call is not None or self.is_cancelling:
            return call
        self._tell_call_over()
        call = CallItem(
            item_id=event.item_id,
            call_id=self._outbox.make_id("call"),
            name=event.name,
            status="in_progress",
        )
        self._open_calls[event.item_id] = call
        if self._history is not None:
            before = self.calls[-1] if self.calls else self.item
            self._history.insert(call, before.item_id)
        self._show(call)
        return call

    def _show(self, item: AnyItem) -> None:
        self._outputs.append(item)
        self._item_event("response.output_item.added", item)
        self._conversation_event("conversation.item.added", item)

    def _item_event(self, kind: str, item: AnyItem) -> None:
        at = {"response_id": self.response_id, "output_index": self._outputs.index(item)}
        self._outbox.event(kind, **at, item=item.wire())

    def _tell_call_over(self) -> None:
        if self._over is not None:
            self._close_call(*self._over)
            self._over = None

    def _close_call(self, call: CallItem, status: ItemStatus) -> None:
        del self._open_calls[call.item_id]
        call.status = status
        self._outbox.event(
            "response.function_call_arguments.done",
            **self._place(call),
            call_id=call.call_id,
            name=call.name,
            arguments=call.arguments,
        )
        self._item_event("response.output_item.done", call)
        self._conversation_event("conversation.item.done", call)

    def _part(self) -> Content:
        """The content part, announced on first use."""
        if self.is_shown:
            return self.item.content[0]
        if self._history is not None:
            self._history.show(self.item)
        self._show(self.item)
        kind: ContentKind = "output_audio" if self._is_spoken else "output_text"
        self.item.content.append(Content(kind=kind, text="", speed=self.spec.speed))
        told = {**self._in_part(), "part": self._wire_part()}
        self._outbox.event("response.content_part.added", **told)
        return self.item.content[0]

    def _speak(self, audio: bytes) -> None:
        self._part().audio_ms = self.sent_ms
        if audio:
            delta = encode_audio(audio)
            self._outbox.event("response.output_audio.delta", **self._in_part(), delta=delta)

    def _wire_part(self) -> Object:
        words = self.item.content[0].text or ""
        if self._is_spoken:
            return {"type": "audio", "transcript": words}
        return {"type": "text", "text": words}

    def _close_item(self) -> None:
        words = self.item.content[0].text or ""
        if self._is_spoken:
            self._outbox.event("response.output_audio.done", **self._in_part())
            self._outbox.event(
                "response.output_audio_transcript.done", **self._in_part(), transcript=words
            )
        else:
            self._outbox.event("response.output_text.done", **self._in_part(), text=words)
        part = self._wire_part()
        self._outbox.event("response.content_part.done", **self._in_part(), part=part)
        self._item_event("response.output_item.done", self.item)
        self._conversation_event("conversation.item.done", self.item)

    def _conversation_event(self, kind: str, item: AnyItem) -> None:
        if self._history is not None:
            previous = self._history.shown_before(item.item_id)
            self._outbox.event(kind, item=item.wire(), previous_item_id=previous)

    def _object(
        self, status: str, details: Object | None = None, usage: ReplyUsage | None = None
    ) -> Object:
        return response_object(
            self.spec,
            response_id=self.response_id,
            conversation_id=self._conversation_id,
            status=status,
            details=details,
            output=[item.wire() for item in self._outputs],
            usage=usage,
        )
