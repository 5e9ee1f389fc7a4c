"""The input audio buffer: the user's open turn, from its first sample to its commit.

Knows one turn at a time and how much audio it has. Does not know voice activity, what a turn
leads to (`session` decides), or samples.
"""

from __future__ import annotations

from streaming.media.formats import AudioFormat
from streaming.protocol.commands import (
    AppendUserAudio,
    CommitUserAudio,
    DropUserAudio,
    PauseUserAudio,
    StartUserAudio,
)
from streaming.protocol.engine_events import Failure
from streaming.protocol.errors import ProtocolError
from streaming.protocol.items import Content, Item
from streaming.protocol.limits import Limits
from streaming.protocol.shared import Shared
from streaming.protocol.sight import Sight

# Every rate of the wire divides this one, so that buffered time adds up exactly.
TICKS_HZ = 48_000
BYTES_PER_MS = 16 * 4  # of float32 at 16 kHz


class InputBuffer:
    """The turn that is being spoken. A turn begins with its first audio or with speech.

    Attributes:
        turn: How many turns are over: committed, dropped or refused.
    """

    def __init__(self, shared: Shared, sight: Sight) -> None:
        self._outbox = shared.outbox
        self._history = shared.history
        self._limits = shared.limits
        self._sight = sight
        self._item_id: str | None = None
        self._size_bytes = 0
        self._received_ticks = 0
        self._refusal: ProtocolError | None = None  # why the open turn is not taken
        self.turn = 0

    def receive(self, size_bytes: int, audio_format: AudioFormat) -> None:
        """Count wire audio that belongs to the turn whatever is in it.

        Raises:
            ProtocolError: It is more than the buffer may hold; it is not counted.
        """
        samples = size_bytes // audio_format.bytes_per_sample
        ticks = self._received_ticks + samples * TICKS_HZ // audio_format.rate_hz
        total_ms = ticks * 1000 // TICKS_HZ
        if total_ms > self._limits.max_turn_ms:
            raise ProtocolError(
                "input_audio_buffer_full",
                f"The input audio buffer would hold {total_ms}ms, more than "
                f"{self._limits.max_turn_ms}ms (max_turn_ms); commit or clear it.",
                "audio",
            )
        self._received_ticks = ticks

    def end_refused(self) -> ProtocolError | None:
        """End the open turn if it was refused, and say why it was; None if it was not."""
        refusal = self._refusal
        if refusal is not None:
            self._reset()
        return refusal

    def check_commit(self) -> None:
        """Raises ProtocolError if there is too little to commit."""
        # Some of what was received is still in the resampler; some of a turn was not counted.
        received_ms = self._received_ticks * 1000 // TICKS_HZ
        held_ms = max(received_ms, self._open_ms)
        if held_ms < self._limits.min_commit_ms:
            raise ProtocolError(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{self._limits.min_commit_ms}ms of audio, but buffer only has {held_ms:.2f}ms "
                "of audio.",
            )

    def add(self, pcm: bytes, position_ms: int) -> None:
        """Audio of the turn, up to `position_ms`; the turn opens with it if it was not open."""
        self._open(position_ms - len(pcm) // BYTES_PER_MS)
        if self._item_id is not None:
            heard_ms = self._open_ms
            self._size_bytes += len(pcm)
            self._sight.grow(heard_ms, self._open_ms)
            self._outbox.command(AppendUserAudio(item_id=self._item_id, pcm=pcm))

    def start(self, audio_start_ms: int) -> None:
        """Speech began."""
        self._open(audio_start_ms)
        if self._item_id is not None:
            self._outbox.event(
                "input_audio_buffer.speech_started",
                audio_start_ms=audio_start_ms,
                item_id=self._item_id,
            )

    def pause(self) -> None:
        """Silence began."""
        if self._item_id is not None:
            self._outbox.command(PauseUserAudio(item_id=self._item_id))

    def stop(self, audio_end_ms: int) -> bool:
        """Speech ended; says whether there is a turn to commit."""
        if self._item_id is None:
            self._reset()
            return False
        self._outbox.event(
            "input_audio_buffer.speech_stopped", audio_end_ms=audio_end_ms, item_id=self._item_id
        )
        return True

    def time_out(self, audio_start_ms: int, audio_end_ms: int, pcm: bytes) -> bool:
        """Nothing was said for too long: the silence is a turn; says whether there is room."""
        self.add(pcm, audio_end_ms)
        if self._item_id is None:
            self._reset()
            return False
        self._outbox.event(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=audio_start_ms,
            audio_end_ms=audio_end_ms,
            item_id=self._item_id,
        )
        return True

    def commit(self) -> Item:
        """Make the open turn an item of the conversation; there must be one."""
        assert self._item_id is not None
        item_id = self._item_id
        content = Content(kind="input_audio", audio_ms=self._open_ms)
        item = Item(item_id=item_id, role="user", content=[content])
        self._history.show(item)
        previous = self._history.shown_before(item_id)
        self._outbox.event(
            "input_audio_buffer.committed", item_id=item_id, previous_item_id=previous
        )
        for kind in ("conversation.item.added", "conversation.item.done"):
            self._outbox.event(kind, item=item.wire(), previous_item_id=previous)
        self._sight.close()
        self._outbox.command(CommitUserAudio(item_id=item_id))
        self._reset()
        return item

    def clear(self) -> None:
        """Drop the open turn, if there is one."""
        if self._item_id is not None:
            self._history.remove(self._item_id)
            self._sight.drop()
            self._outbox.command(DropUserAudio(item_id=self._item_id))
        self._reset()

    def lose(self, item_id: str, failure: Failure) -> bool:
        """The engine gave an item up; says if it is the open turn, whose rest is then ignored."""
        if item_id != self._item_id:
            return False
        self._history.remove(item_id)
        self._sight.drop()
        self._item_id = None
        self._size_bytes = 0
        message = f"The turn was given up while it was spoken: {failure.message}"
        self._refusal = ProtocolError(failure.code, message)
        return True

    @property
    def _open_ms(self) -> int:
        """Audio of the open turn; 0 if none is open."""
        return self._size_bytes // BYTES_PER_MS

    def _open(self, start_ms: int) -> None:
        if self._item_id is not None or self._refusal is not None:
            return
        if len(self._history) >= self._limits.max_items:
            # Said once for the whole turn: an error for each chunk of it would drown the client.
            self._refusal = conversation_full(self._limits)
            self._outbox.error(self._refusal, None)
            return
        self._item_id = self._outbox.make_id("item")
        self._history.reserve(self._item_id)
        self._outbox.command(StartUserAudio(item_id=self._item_id))
        self._sight.open(self._item_id, start_ms)

    def _reset(self) -> None:
        self._item_id = None
        self._size_bytes = 0
        self._received_ticks = 0
        self._refusal = None
        self.turn += 1


def conversation_full(limits: Limits) -> ProtocolError:
    """The error for one item too many."""
    return ProtocolError(
        "conversation_full",
        f"The conversation holds {limits.max_items} items (max_items); delete some first.",
    )
