"""Items of the user on their way in: sound and pictures to blocks, blocks to the timeline.

Knows when a block is complete, what silence means for the part block, and how a video alternates
with its sound. Does not know the Thinker's cache: what it changes in the timeline it has cut there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from model.audio_encoder import audio_tokens
from model.mel import LogMel
from streaming.engine.conversation import Conversation
from streaming.engine.ground import Ground
from streaming.engine.incoming import LIVE, Hearing, Phase
from streaming.engine.item import Item
from streaming.engine.memory import Finish
from streaming.engine.messages.commands import UserFrame
from streaming.engine.messages.content import MediaPart, TextPart, VideoPart
from streaming.engine.parts import Parts
from streaming.engine.pieces import Piece
from streaming.engine.seeing import Eyes, Glimpse
from streaming.errors import BadPartError, ItemStateError, RefusedError


class Listener:
    """Takes samples and frames of many items, and encodes them.

    Args:
        ground: the encoders, the template and the caches.
    """

    def __init__(self, ground: Ground) -> None:
        audio = ground.model.config.thinker.audio
        self._device = ground.model.device
        self._tower = ground.model.thinker.audio_tower
        self._log_mel = LogMel(audio.num_mel_bins, audio.block_frames)
        self._block_tokens = audio_tokens(audio.block_frames)
        self._template = ground.template
        self._sounds = ground.sounds
        self._memory = ground.memory
        self._preempted = ground.preempted
        self._eyes = Eyes(ground)
        self._parts = Parts(ground.template, ground.sounds, self._log_mel, self._eyes)

    # What comes in.

    def start(self, conversation: Conversation, item: Item) -> Hearing:
        """Begins a spoken item, which is in the timeline already."""
        hearing = Hearing(item, self._sounds.begin(self._log_mel))
        conversation.hearing[item.item_id] = hearing
        return hearing

    def hear(self, conversation: Conversation, hearing: Hearing, pcm: bytes) -> None:
        """Takes more samples, float32 LE; what was guessed of the part block is taken back.

        Raises:
            BadPartError: Not float32, or not finite.
            RefusedError: More waits to be encoded than the context has room for.
        """
        self._check_waiting(conversation, hearing)
        self._retract(conversation, hearing)
        hearing.phase = Phase.SPEAKING
        self._parts.push(hearing, pcm)

    def see(self, conversation: Conversation, hearing: Hearing, shown: UserFrame) -> None:
        """Takes the next frame of the live sound's video, which may begin with it.

        Raises:
            BadPartError: No picture, or none that this checkpoint takes.
            ItemStateError: The sound has been going on for too long to begin a video.
            RefusedError: More waits to be encoded than the context has room for.
        """
        self._eyes.check(
            VideoPart(frames=(shown.frame,), frames_per_second=shown.frames_per_second)
        )
        if not shown.frames_per_second.is_integer():
            raise BadPartError(
                f"a live video has {shown.frames_per_second} frames a second; whole numbers will do"
            )
        self._check_waiting(conversation, hearing)
        if hearing.live is None and (hearing.blocks_encoded or hearing.blocks):
            raise ItemStateError("a video must begin within the first two seconds of its sound")
        self._retract(conversation, hearing)
        hearing.phase = Phase.SPEAKING
        if hearing.live is None:
            hearing.live = self._eyes.video(shown.frames_per_second, with_sound=True)
            if LIVE not in hearing.rest:
                hearing.sight = hearing.live
                self._reopen(conversation, hearing, hearing.live.pieces.opening())
        self._eyes.push(hearing.live, [shown.frame])

    def show(self, conversation: Conversation, hearing: Hearing, video: VideoPart) -> None:
        """Takes a silent video, before the sound if none of it has come, or else behind it.

        Raises:
            BadPartError: No video, or none that this checkpoint takes.
            RefusedError: Its opening has no room.
        """
        self._eyes.check(video)
        self._retract(conversation, hearing)
        has_begun = hearing.blocks_encoded or hearing.blocks or len(hearing.mel.pending)
        if has_begun or hearing.live or hearing.rest:
            hearing.rest.append(video)
            return
        hearing.rest.append(LIVE)
        hearing.sight = self._eyes.video(video.frames_per_second, with_sound=False)
        self._reopen(conversation, hearing, hearing.sight.pieces.opening())
        self._eyes.push(hearing.sight, video.frames)
        self._eyes.finish(hearing.sight)

    def pause(self, hearing: Hearing) -> None:
        """Silence has begun."""
        if hearing.phase is Phase.SPEAKING:
            hearing.phase = Phase.PAUSED

    def stop(self, hearing: Hearing) -> None:
        """Nothing more comes."""
        hearing.phase = Phase.STOPPED
        if hearing.guessed:
            return  # what was guessed is what it is
        if hearing.live is not None:
            self._eyes.finish(hearing.live)
        self._parts.end_sound(hearing)

    def check(self, part: MediaPart) -> None:
        """Raises BadPartError if a part cannot be encoded."""
        self._parts.check(part)

    def start_parts(
        self, conversation: Conversation, item: Item, parts: Sequence[TextPart | MediaPart]
    ) -> None:
        """Begins an opened item whose checked parts, at least one of them media, are all there.

        Raises:
            RefusedError: There is no room for what comes before the first media.
        """
        hearing = Hearing(item, self._sounds.begin(self._log_mel), phase=Phase.STOPPED)
        hearing.rest.extend(parts)
        self._extend(conversation, hearing, self._parts.next(hearing))
        conversation.hearing[item.item_id] = hearing
        if hearing.ended:  # all its sounds were empty
            self._complete(conversation, hearing)

    def waiting_tokens(self, hearing: Hearing) -> int:
        """About how many positions what has come will take, and is not encoded yet."""
        sights = {id(sight): sight for sight in (hearing.sight, hearing.live) if sight is not None}
        return len(hearing.blocks) * self._block_tokens + sum(
            map(self._eyes.tokens, sights.values())
        )

    # The two stages.

    def encode(self, conversations: Sequence[Conversation]) -> list[Finish]:
        """Encodes the next blocks of each conversation's first item that has any due.

        Returns:
            For each conversation, what puts the result into its timeline.
        """
        due = [next(h for h in c.hearing.values() if h.hears) for c in conversations]
        blocks = [self._next_blocks(hearing) for hearing in due]
        encoded = iter(
            self._tower.encode_blocks([block.to(self._device) for own in blocks for block in own])
        )
        vectors = [[next(encoded) for _ in own] for own in blocks]
        glimpses = [self._glimpses(hearing) for hearing in due]
        return [
            partial(self._finish, *row)
            for row in zip(conversations, due, vectors, glimpses, strict=True)
        ]

    def look(self, conversations: Sequence[Conversation]) -> list[Finish]:
        """Encodes the next picture of each conversation's first item that has any due.

        Returns:
            For each conversation, what puts the result into its timeline.
        """
        found: list[Finish] = []
        for conversation in conversations:
            hearing = next(h for h in conversation.hearing.values() if h.sees)
            assert hearing.sight is not None
            vectors = self._eyes.encode(hearing.sight.waiting[0])
            found.append(partial(self._seen, conversation, hearing, vectors))
        return found

    def _next_blocks(self, hearing: Hearing) -> list[Tensor]:
        if hearing.blocks:
            # Between two blocks of a video's sound there are pictures.
            most = self._sounds.blocks_a_pass if hearing.sight is None else 1
            return list(hearing.blocks)[:most]
        if hearing.phase is Phase.PAUSED:
            return self._log_mel.peek(hearing.mel)
        return []

    def _glimpses(self, hearing: Hearing) -> list[Glimpse]:
        """The pictures that a guess at the end takes besides those in the timeline."""
        if hearing.blocks or hearing.phase is not Phase.PAUSED or hearing.sight is None:
            return []
        sight = hearing.sight
        return [
            (self._eyes.encode(patches), patches.grid)
            for patches in (*sight.waiting, *self._eyes.unfinished(sight))
        ]

    def _seen(self, conversation: Conversation, hearing: Hearing, vectors: Tensor) -> None:
        sight = hearing.sight
        assert sight is not None
        piece = sight.pieces.picture(vectors, sight.waiting[0].grid)
        self._extend(conversation, hearing, [piece])
        sight.passed()
        if not sight.waiting and not sight.with_sound:
            self._go_on(conversation, hearing)

    def _finish(
        self,
        conversation: Conversation,
        hearing: Hearing,
        encoded: list[Tensor],
        glimpses: list[Glimpse],
    ) -> None:
        if hearing.blocks:
            for vectors in encoded:
                if len(vectors):
                    self._extend(conversation, hearing, self._sound(hearing, vectors))
            for _ in encoded:
                hearing.blocks.popleft()
            hearing.blocks_encoded += len(encoded)
            if hearing.blocks or hearing.sees or hearing.phase is not Phase.STOPPED:
                return
        if hearing.phase is Phase.PAUSED:
            guess = [*self._guess(hearing, encoded, glimpses), self._template.user_close]
            self._extend(conversation, hearing, guess, speculative=True)
            hearing.guessed = True
            self._memory.cut(conversation.slot, conversation.timeline.expect_answer(hearing.item))
        elif hearing.guessed:
            self._complete(conversation, hearing)
        else:
            self._go_on(conversation, hearing)

    def _sound(self, hearing: Hearing, vectors: Tensor) -> list[Piece]:
        sight = hearing.sight
        if sight is None:
            return self._sounds.block(hearing, vectors)
        return [sight.pieces.sound(vectors)]

    def _guess(
        self, hearing: Hearing, encoded: list[Tensor], glimpses: list[Glimpse]
    ) -> list[Piece]:
        """The end of the sound and of its video, as if nothing more came."""
        if hearing.sight is not None:
            return hearing.sight.end(hearing.blocks_encoded, encoded, glimpses)
        return self._sounds.guess(hearing, [vectors for vectors in encoded if len(vectors)])

    def _go_on(self, conversation: Conversation, hearing: Hearing) -> None:
        """Closes what is open, and opens what follows or ends the item."""
        self._extend(conversation, hearing, self._parts.follow(hearing))
        if hearing.ended:
            self._complete(conversation, hearing)

    def _complete(self, conversation: Conversation, hearing: Hearing) -> None:
        hearing.item.speculative = 0
        hearing.item.complete = True
        del conversation.hearing[hearing.item.item_id]
        self._memory.cut(conversation.slot, conversation.timeline.expect_answer(hearing.item))

    # The timeline.

    def _extend(
        self,
        conversation: Conversation,
        hearing: Hearing,
        pieces: list[Piece],
        *,
        speculative: bool = False,
    ) -> None:
        try:
            cut = conversation.timeline.extend(hearing.item, pieces, speculative=speculative)
        except RefusedError:
            hearing.is_stuck = True
            raise
        self._memory.cut(conversation.slot, cut)

    def _reopen(self, conversation: Conversation, hearing: Hearing, opening: Piece) -> None:
        self._memory.cut(conversation.slot, conversation.timeline.swap_last(hearing.item, opening))

    def _retract(self, conversation: Conversation, hearing: Hearing) -> None:
        if hearing.guessed:
            self._memory.cut(conversation.slot, conversation.timeline.retract(hearing.item))
            hearing.guessed = False
            self._preempted("speech_resumed")

    def _check_waiting(self, conversation: Conversation, hearing: Hearing) -> None:
        waiting, room = self.waiting_tokens(hearing), conversation.timeline.attainable_room
        if waiting > room:
            raise RefusedError(
                f"{waiting} tokens of sound and pictures wait and the context has room for {room}"
            )
