"""One Realtime session, sans-I/O: frames and engine events in, server events and commands out.

How a transport uses it (all calls are plain functions, from one thread at a time)::

    session = RealtimeSession(profile=…, ear=Ear(), mouth=Mouth(), eye=Eye(…), expires_at_s=…)
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
from dataclasses import replace
from typing import Any, TypeAlias

from streaming.media.formats import AudioFormat
from streaming.media.video import Pixels
from streaming.protocol import client_events as client
from streaming.protocol.briefing import Briefing
from streaming.protocol.commands import Command, DeleteItem
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
from streaming.protocol.errors import CapabilityError, NoSuchItemError, ProtocolError
from streaming.protocol.history import History
from streaming.protocol.item_creation import ItemCreation
from streaming.protocol.items import Item
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.listening import Listening
from streaming.protocol.outbox import MakeId, Outbox, random_id
from streaming.protocol.ports import EarPort, EyePort, MouthPort, RatesPort
from streaming.protocol.replies import Replies
from streaming.protocol.response_input import ResponseInput
from streaming.protocol.response_options import response_spec
from streaming.protocol.response_spec import ResponseSpec
from streaming.protocol.session_config import default_config, truncation_command, updated
from streaming.protocol.session_echo import session_object
from streaming.protocol.session_options import SessionConfig
from streaming.protocol.silence import Silence
from streaming.protocol.transcripts import Transcripts
from streaming.protocol.truncations import Truncations

Act: TypeAlias = Callable[[Any], None]


class RealtimeSession:
    """The protocol's side of one conversation."""

    def __init__(
        self,
        *,
        profile: ModelProfile,
        ear: EarPort,
        mouth: MouthPort,
        eye: EyePort,
        new_mouth: Callable[[], MouthPort] | None = None,
        limits: Limits | None = None,
        expires_at_s: int | None = None,
        defaults: dict[str, Any] | None = None,
        rates: RatesPort = list,
        make_id: MakeId = random_id,
    ) -> None:
        """Takes its ports and bounds; `defaults` are session options that come before any update.

        `new_mouth` makes one for each response that is spoken beside the conversation; without it
        such responses are only written. `rates` says what the client has left of its allowances.

        Raises:
            ProtocolError: The defaults are wrong, or ask for what is not served.
        """
        self._profile = profile
        self._ear = ear
        self._limits = limits or Limits()
        self._expires_at_s = expires_at_s
        self._config = self._first_config()
        if defaults is not None:
            self._config = self._updated(self._config, defaults)
        self._has_formats = mouth.has_formats
        self._lost: Failure | None = None
        self.session_id = make_id("sess")
        self._outbox = outbox = Outbox(make_id)
        self._history = history = History()
        conversation_id = make_id("conv")
        self._listening = Listening(
            outbox=outbox,
            history=history,
            ear=ear,
            eye=eye,
            profile=profile,
            limits=self._limits,
            config=self._config,
            turns=self,
        )
        sight = self._listening.sight
        self._creation = ItemCreation(outbox, history, ear, eye, sight, profile, self._limits)
        self._input = ResponseInput(history, self._creation, self._limits)
        self._briefing = Briefing(outbox)
        self._truncations = Truncations(outbox, history)
        self._transcripts = Transcripts(outbox, history, profile)
        self._silence = Silence(ear)
        self._replies = Replies(
            outbox,
            history,
            mouth,
            self._truncations,
            conversation_id,
            self._limits,
            new_mouth,
            rates,
            self._silence,
        )
        self._acts = self._table_of_acts()
        outbox.command(truncation_command(self._config))
        self._greet(conversation_id)

    @property
    def instructions(self) -> str:
        """The system message now in force; the conversation is opened with it."""
        return self._config.instructions

    @property
    def tools(self) -> tuple[str, ...]:
        """The function tools now in force; the conversation is opened with them."""
        return self._config.function_tools.texts

    @property
    def judges_turns(self) -> bool:
        """Whether a little audio may take long (tens of milliseconds): a model ends the turns."""
        return self._listening.judges_turns

    @property
    def voice(self) -> str | None:
        """The voice now in force; the conversation is opened with it."""
        return self._config.voice

    def receive_event(self, frame: str | bytes) -> None:
        """Take one client frame; a mistake in it becomes an `error` event."""
        event_id = None
        try:
            value = client.decoded(frame, self._limits)
            event_id = client.event_id_of(value)
            event = client.parsed(value, len(frame), self._limits)
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
        return {"session": self._echo(), "item_ids": self._history.shown_ids}

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
            client.OutputAudioClear: self._clear_output,
            client.ItemCreate: self._create_item,
            client.ItemRetrieve: self._retrieve_item,
            client.ItemDelete: self._delete_item,
            client.ItemTruncate: self._truncate_item,
            client.ResponseCreate: self._create_response,
            client.ResponseCancel: lambda event: self._replies.cancel(event.response_id),
        }

    # --- session --------------------------------------------------------------------------------

    def _first_config(self) -> SessionConfig:
        return default_config(self._profile)

    def _updated(self, config: SessionConfig, patch: dict[str, Any]) -> SessionConfig:
        return updated(config, patch, self._profile, self._limits)

    def _greet(self, conversation_id: str) -> None:
        self._outbox.event("session.created", session=self._echo())
        conversation = {"id": conversation_id, "object": "realtime.conversation"}
        self._outbox.event("conversation.created", conversation=conversation)

    def _update_session(self, event: client.SessionUpdate) -> None:
        before = self._config
        after = self._updated(before, event.session)
        if after.voice != before.voice and self._replies.has_spoken:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise ProtocolError("cannot_update_voice", message, "session.audio.output.voice")
        self._listening.configure(after)
        self._config = after
        self._briefing.tell(before, after, event.event_id)
        if after.truncation != before.truncation:
            self._outbox.command(truncation_command(after))
        self._outbox.event("session.updated", session=self._echo())

    def _take_briefing(self, event: InstructionsUpdated | InstructionsRefused) -> None:
        before = self._config
        self._config = self._briefing.answered(event, before)
        if self._config is not before:
            self._outbox.event("session.updated", session=self._echo())

    def _echo(self) -> dict[str, Any]:
        return session_object(
            self._config,
            session_id=self.session_id,
            expires_at_s=self._expires_at_s,
            denoises=self._listening.denoises,
            has_formats=self._has_formats,
        )

    def _take_fault(self, event: EngineFault) -> None:
        item_id, failure = event.item_id, event.failure
        if item_id is not None and self._truncations.failed(item_id, failure):
            return
        self._outbox.fault(failure.code, failure.message)
        if item_id is None or self._listening.lose(item_id, failure):
            return
        if self._history.find(item_id) and not self._replies.makes(item_id):
            # The engine does not hold it, so it is no part of what will be answered.
            self._history.remove(item_id)
            self._outbox.event("conversation.item.deleted", item_id=item_id)

    def _lose(self, failure: Failure) -> None:
        self._lost = failure
        self._replies.all_failed(failure)
        self._transcripts.all_failed(failure)
        self._truncations.all_failed(failure)
        self._outbox.fault(failure.code, failure.message)
        for _ in self._outbox.take_commands():
            pass  # there is nobody left to carry them out

    # --- the user's turns -----------------------------------------------------------------------

    def speech_began(self) -> None:
        """Somebody speaks into a reply, perhaps."""
        detection = self._config.audio.input.turn_detection
        if detection is not None and detection.interrupt_response:
            self._replies.interrupt()

    def turn_ended(self, item: Item, *, by_voice: bool) -> None:
        """A turn is an item now: its words are asked for, and an answer if the ear ended it."""
        if self._config.audio.input.transcription is not None:
            self._transcripts.request(item)
        detection = self._config.audio.input.turn_detection
        if by_voice and detection is not None and detection.create_response:
            try:
                self._replies.create(self._spec(None))
            except ProtocolError as error:
                self._outbox.error(error, None)

    def _clear_output(self, event: client.OutputAudioClear) -> None:
        raise CapabilityError(
            "output_audio_buffer.clear is for WebRTC; over WebSocket the client holds the sound. "
            "Send response.cancel and conversation.item.truncate.",
            "type",
        )

    # --- conversation and responses -------------------------------------------------------------

    def _create_item(self, event: client.ItemCreate) -> None:
        self._creation.create(event, self._listening.wire)

    def _retrieve_item(self, event: client.ItemRetrieve) -> None:
        item = self._history.find(event.item_id)
        if item is None:
            raise NoSuchItemError("retrieve", event.item_id)
        self._outbox.event("conversation.item.retrieved", item=item.wire())

    def _delete_item(self, event: client.ItemDelete) -> None:
        if self._history.find(event.item_id) is None:
            raise NoSuchItemError("delete", event.item_id)
        if self._replies.makes(event.item_id):
            message = f"Item '{event.item_id}' is still being made; cancel its response first."
            raise ProtocolError("invalid_value", message, "item_id")
        self._history.remove(event.item_id)
        self._outbox.command(DeleteItem(item_id=event.item_id))
        self._outbox.event("conversation.item.deleted", item_id=event.item_id)

    def _truncate_item(self, event: client.ItemTruncate) -> None:
        self._truncations.request(event, running_item_id=self._replies.item_id)
        self._silence.cut(event.item_id)

    def _spec(self, wishes: client.ResponseParams | None) -> ResponseSpec:
        return response_spec(wishes, self._config, self._profile, has_formats=self._has_formats)

    def _create_response(self, event: client.ResponseCreate) -> None:
        spec = self._spec(event.response)
        if spec.aside and event.response is not None:
            own = self._input.of(event.response, self._listening.wire)
            spec = replace(spec, input=own)
        elif len(self._history) >= self._limits.max_items:
            raise self._creation.full()
        self._replies.create(spec)
