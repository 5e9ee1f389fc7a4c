"""What asks for a response and what takes the wish back: a client's event, or a turn that ended.

Knows what goes into a response's options. Which response may run when is `replies`'.
"""

from __future__ import annotations

from dataclasses import replace

from streaming.protocol import client_events as client
from streaming.protocol.errors import CapabilityError, ProtocolError
from streaming.protocol.input_buffer import conversation_full
from streaming.protocol.item_creation import ItemCreation
from streaming.protocol.replies import Replies
from streaming.protocol.response_input import ResponseInput
from streaming.protocol.response_options import response_spec
from streaming.protocol.response_spec import ResponseSpec
from streaming.protocol.shared import Shared
from streaming.protocol.wire_audio import audio_format


class ResponseRequests:
    """Starts and cancels the responses of one session."""

    def __init__(self, shared: Shared, creation: ItemCreation, replies: Replies) -> None:
        """Takes who makes a response's own items, and who runs responses."""
        self._shared = shared
        self._input = ResponseInput(shared, creation)
        self._replies = replies

    def create(self, event: client.ResponseCreate) -> None:
        """A client wants an answer.

        Raises:
            ProtocolError: Its wishes are wrong, or it cannot be now.
        """
        spec = self._spec(event.response)
        if spec.aside and event.response is not None:
            wire = audio_format(self._shared.options.config.audio.input.format)
            spec = replace(spec, input=self._input.of(event.response, wire))
        elif len(self._shared.history) >= self._shared.limits.max_items:
            raise conversation_full(self._shared.limits)
        self._replies.create(spec)

    def answer_turn(self) -> None:
        """A turn has ended that is to be answered; what is in the way becomes an `error` event."""
        try:
            self._replies.create(self._spec(None))
        except ProtocolError as error:
            self._shared.outbox.error(error, None)

    def cancel(self, event: client.ResponseCancel) -> None:
        """A client wants no more of a response.

        Raises:
            ProtocolError: No such response is running.
        """
        self._replies.cancel(event.response_id)

    def clear_output(self, event: client.OutputAudioClear) -> None:
        """Refuses what only a line can do whose sound the server plays."""
        raise CapabilityError(
            "output_audio_buffer.clear is for WebRTC; over WebSocket the client holds the sound. "
            "Send response.cancel and conversation.item.truncate.",
            "type",
        )

    def _spec(self, wishes: client.ResponseParams | None) -> ResponseSpec:
        has_formats = self._shared.ports.mouth.has_formats
        return response_spec(wishes, self._shared.options, has_formats=has_formats)
