"""What was heard in the user's items, asked of the engine on the side.

Knows which items wait for their words, and whether the client wants to know how sure these are. A
transcript never delays anything: it comes when it comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streaming.protocol.commands import RequestTranscript
from streaming.protocol.engine_events import (
    Failure,
    InputTranscript,
    InputTranscriptDelta,
    TranscriptFailed,
    TranscriptToken,
)
from streaming.protocol.items import Item
from streaming.protocol.shared import Shared

_EVENT = "conversation.item.input_audio_transcription"


class Transcripts:
    """The items whose transcript is under way, with the audio that each has."""

    def __init__(self, shared: Shared) -> None:
        self._outbox = shared.outbox
        self._history = shared.history
        self._profile = shared.profile
        self._options = shared.options
        self._audio_ms: dict[str, int] = {}

    def request(self, item: Item) -> None:
        """Ask for the transcript of a committed item."""
        if not self._profile.transcribes:
            message = f"{self._profile.model_id} cannot transcribe what it hears."
            failure = Failure(code="transcription_unavailable", message=message)
            self._fail(item.item_id, failure)
            return
        self._audio_ms[item.item_id] = item.content[0].audio_ms
        self._outbox.command(RequestTranscript(item_id=item.item_id))

    def receive(self, event: InputTranscriptDelta | InputTranscript | TranscriptFailed) -> None:
        """The engine's answer, in pieces and then whole; one not asked for is nobody's."""
        if isinstance(event, InputTranscriptDelta):
            if event.item_id in self._audio_ms:
                told = {"delta": event.text, **self._log_probs(event.tokens)}
                self._outbox.event(f"{_EVENT}.delta", **_place(event.item_id), **told)
            return
        audio_ms = self._audio_ms.pop(event.item_id, None)
        if audio_ms is None:
            return
        if isinstance(event, TranscriptFailed):
            self._fail(event.item_id, event.failure)
            return
        item = self._history.find(event.item_id)
        if isinstance(item, Item):
            item.content[0].text = event.text
        self._outbox.event(
            f"{_EVENT}.completed",
            **_place(event.item_id),
            transcript=event.text,
            usage={"type": "duration", "seconds": audio_ms / 1000},
            **self._log_probs(event.tokens),
        )

    def all_failed(self, failure: Failure) -> None:
        """No answer will come any more."""
        waiting, self._audio_ms = self._audio_ms, {}
        for item_id in waiting:
            self._fail(item_id, failure)

    def _log_probs(self, tokens: Iterable[TranscriptToken]) -> dict[str, Any]:
        return (
            {"logprobs": list(map(_shown, tokens))} if self._options.config.wants_log_probs else {}
        )

    def _fail(self, item_id: str, failure: Failure) -> None:
        error = {"type": "server_error", "code": failure.code, "message": failure.message}
        self._outbox.event(f"{_EVENT}.failed", **_place(item_id), error={**error, "param": None})


def _shown(token: TranscriptToken) -> dict[str, Any]:
    text = bytes(token.octets).decode("utf-8", errors="replace")
    return {"token": text, "logprob": token.log_prob, "bytes": list(token.octets)}


def _place(item_id: str) -> dict[str, Any]:
    return {"item_id": item_id, "content_index": 0}
