"""One Realtime session, sans-I/O: frames and engine events in, server events and commands out.

How a transport uses it (all calls are plain functions, from one thread at a time)::

    ports = Ports(ear=Ear(), mouth=Mouth(), eye=Eye(…))
    session = RealtimeSession(profile=…, ports=ports, expires_at_s=…)
    open_with(session.instructions, session.tools, session.voice)  # for OpenConversation
    send(session.events_to_send())                  # session.created is already waiting

    session.receive_event(frame)                    # str or bytes from the client; never raises
    session.receive_audio(pcm, PCM_48K)             # what a live microphone heard
    session.receive_picture(pixels)                 # what a live camera sees
    session.receive_engine(ReplyText(…))            # what the engine said
    for command in session.commands(): …            # in order, each to the engine
    for event in session.events_to_send(): …        # in order, each as one JSON text frame

Knows the protocol's order, state and errors. Does not know sockets, clocks, the engine process or
any network; signal processing is behind `streaming.protocol.ports`. A second of audio takes about
10 ms (voice activity), so a transport gives a frame of many seconds to a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeAlias

from streaming.media.formats import AudioFormat
from streaming.media.video import Pixels
from streaming.protocol import client_events as client
from streaming.protocol.briefing import Briefing
from streaming.protocol.commands import Command
from streaming.protocol.conversation_items import ConversationItems
from streaming.protocol.deletions import Deletions
from streaming.protocol.engine_events import (
    EngineEvent,
    EngineFault,
    Failure,
    InputTranscript,
    InputTranscriptDelta,
    InstructionsRefused,
    InstructionsUpdated,
    ItemTruncated,
    ReplyAudio,
    ReplyCall,
    ReplyCallDone,
    ReplyDone,
    ReplyText,
    TranscriptFailed,
)
from streaming.protocol.errors import ProtocolError
from streaming.protocol.item_creation import ItemCreation
from streaming.protocol.items import Item
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.listening import Listening
from streaming.protocol.outbox import MakeId, Outbox, random_id
from streaming.protocol.ports import Ports
from streaming.protocol.replies import Replies
from streaming.protocol.response_requests import ResponseRequests
from streaming.protocol.session_config import truncation_command
from streaming.protocol.session_kind import REALTIME, Options, SessionKind
from streaming.protocol.shared import new_shared
from streaming.protocol.transcripts import Transcripts
from streaming.protocol.truncations import Truncations

Act: TypeAlias = Callable[[Any], None]


class RealtimeSession:
    """The protocol's side of one conversation."""

    kind: ClassVar[SessionKind] = REALTIME

    def __init__(
        self,
        *,
        profile: ModelProfile,
        ports: Ports,
        limits: Limits | None = None,
        expires_at_s: int | None = None,
        defaults: dict[str, Any] | None = None,
        make_id: MakeId = random_id,
    ) -> None:
        """Takes its ports and bounds; `defaults` are session options that come before any update.

        Raises:
            ProtocolError: The defaults are wrong, or ask for what is not served.
        """
        self._options = Options(self.kind, profile, limits or Limits(), defaults)
        self._outbox = Outbox(make_id)
        self._shared = shared = new_shared(ports, self._options, self._outbox)
        self.session_id = make_id("sess")
        self._expires_at_s = expires_at_s
        self._lost: Failure | None = None
        self._listening = Listening(shared, turns=self)
        self._briefing = Briefing(self._outbox)
        self._truncations = Truncations(shared)
        self._transcripts = Transcripts(shared)
        deletions = Deletions(shared)
        self._replies = Replies(shared, self._truncations, deletions)
        creation = ItemCreation(shared, self._listening.sight)
        self._responses = ResponseRequests(shared, creation, self._replies)
        self._items = ConversationItems(
            shared, creation, self._listening, self._replies, self._truncations, deletions
        )
        self._acts = self._table_of_acts()
        self._greet()

    @property
    def instructions(self) -> str:
        """The system message now in force; the conversation is opened with it."""
        return self._options.config.instructions

    @property
    def tools(self) -> tuple[str, ...]:
        """The function tools now in force; the conversation is opened with them."""
        return self._options.config.function_tools.texts

    @property
    def judges_turns(self) -> bool:
        """Whether a little audio may take long (tens of milliseconds): a model ends the turns."""
        return self._listening.judges_turns

    @property
    def voice(self) -> str | None:
        """The voice now in force; the conversation is opened with it."""
        return self._options.config.voice

    def receive_event(self, frame: str | bytes) -> None:
        """Take one client frame; a mistake in it becomes an `error` event."""
        event_id = None
        try:
            value = client.decoded(frame, self._options.limits)
            event_id = client.event_id_of(value)
            event = client.parsed(value, len(frame), self._options.limits)
            if self._lost is not None:
                self._outbox.fault("conversation_lost", self._lost.message, event_id)
                return
            self._acts[type(event)](event)
        except ProtocolError as error:
            self._outbox.error(error, event_id)

    def receive_audio(self, audio: bytes, audio_format: AudioFormat) -> bool:
        """Take live audio, which comes as samples; says whether it was taken.

        A refusal becomes an `error` event.
        """
        if self._lost is not None:
            return False
        try:
            self._listening.take_audio(audio, audio_format)
        except ProtocolError as error:
            self._outbox.error(error, None)
            return False
        return True

    @property
    def input_turn(self) -> int:
        """How many turns of the user are over: committed, dropped or refused."""
        return self._listening.turn

    @property
    def pictures_thinned(self) -> int:
        """A camera's pictures that were left out to keep to a number or a budget."""
        return self._listening.sight.thinned

    def receive_picture(self, pixels: Pixels) -> None:
        """Take what a live camera sees now, no larger than the model sees it."""
        if self._lost is None:
            self._listening.take_picture(pixels)

    def receive_engine(self, event: EngineEvent) -> None:
        """Take what the engine said."""
        match event:
            case ReplyText() | ReplyAudio() | ReplyCall() | ReplyCallDone() | ReplyDone():
                self._replies.receive(event)
            case InputTranscriptDelta() | InputTranscript() | TranscriptFailed():
                self._transcripts.receive(event)
            case ItemTruncated():
                self._truncations.answered(event)
            case InstructionsUpdated() | InstructionsRefused():
                self._take_briefing(event)
            case EngineFault(fatal=True, failure=failure):
                self._lose(failure)
            case EngineFault():
                self._take_fault(event)

    def snapshot(self) -> dict[str, Any]:
        """The session and the items it holds, for a client that has missed events."""
        return {"session": self._echo(), "item_ids": self._shared.history.shown_ids}

    def events_to_send(self) -> list[dict[str, Any]]:
        """The server events since the last call, in order."""
        return self._outbox.take_events()

    def commands(self) -> Iterator[Command]:
        """The commands since the last call, in order; each is handed out once."""
        return self._outbox.take_commands()

    def _table_of_acts(self) -> dict[type[client.ClientEvent], Act]:
        return {
            client.SessionUpdate: self._update_session,
            client.AudioAppend: self._listening.append_audio,
            client.ImageAppend: self._listening.append_image,
            client.AudioCommit: self._listening.commit,
            client.AudioClear: self._listening.clear,
            client.OutputAudioClear: self._responses.clear_output,
            client.ItemCreate: self._items.create,
            client.ItemRetrieve: self._items.retrieve,
            client.ItemDelete: self._items.delete,
            client.ItemTruncate: self._items.truncate,
            client.ResponseCreate: self._responses.create,
            client.ResponseCancel: self._responses.cancel,
        }

    def _greet(self) -> None:
        self._outbox.command(truncation_command(self._options.config))
        self._outbox.event("session.created", session=self._echo())
        if self.kind.converses:
            conversation = {"id": self._shared.conversation_id, "object": "realtime.conversation"}
            self._outbox.event("conversation.created", conversation=conversation)

    def _update_session(self, event: client.SessionUpdate) -> None:
        before = self._options.config
        after = self._options.updated(event.session)
        if after.voice != before.voice and self._replies.has_spoken:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise ProtocolError("cannot_update_voice", message, "session.audio.output.voice")
        self._listening.configure(after)
        self._options.config = after
        self._briefing.tell(before, after, event.event_id)
        if after.truncation != before.truncation:
            self._outbox.command(truncation_command(after))
        self._outbox.event("session.updated", session=self._echo())

    def _take_briefing(self, event: InstructionsUpdated | InstructionsRefused) -> None:
        before = self._options.config
        self._options.config = self._briefing.answered(event, before)
        if self._options.config is not before:
            self._outbox.event("session.updated", session=self._echo())

    def _echo(self) -> dict[str, Any]:
        return self._options.shown(
            session_id=self.session_id,
            expires_at_s=self._expires_at_s,
            denoises=self._listening.denoises,
            has_formats=self._shared.ports.mouth.has_formats,
        )

    def _take_fault(self, event: EngineFault) -> None:
        item_id, failure = event.item_id, event.failure
        if item_id is not None and self._truncations.failed(item_id, failure):
            return
        self._outbox.fault(failure.code, failure.message)
        if item_id is not None and not self._listening.lose(item_id, failure):
            self._items.lost(item_id)

    def _lose(self, failure: Failure) -> None:
        self._lost = failure
        self._replies.all_failed(failure)
        self._transcripts.all_failed(failure)
        self._truncations.all_failed(failure)
        self._outbox.fault(failure.code, failure.message)
        for _ in self._outbox.take_commands():
            pass  # there is nobody left to carry them out

    def speech_began(self) -> None:
        """Somebody speaks into a reply, perhaps."""
        detection = self._options.config.audio.input.turn_detection
        if detection is not None and detection.interrupt_response:
            self._replies.interrupt()

    def turn_ended(self, item: Item, *, by_voice: bool) -> None:
        """A turn is an item now: its words are asked for, and an answer if the ear ended it."""
        if self._options.config.audio.input.transcription is not None:
            self._transcripts.request(item)
        detection = self._options.config.audio.input.turn_detection
        if by_voice and detection is not None and detection.create_response:
            self._responses.answer_turn()
