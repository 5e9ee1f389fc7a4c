"""A live camera's pictures on their way into the user's turns.

Knows when each was taken, in audio received, and which of them belong to the open turn: while it is
spoken, one for each tick of an even pace, so that a camera that stalls or races changes nothing;
what was seen in silence comes before the turn, thinned to a budget of tokens. A turn whose pictures
have used up their share of the context, or whose camera is off, goes on without. What is seen after
that, or by a camera that begins when its turn is well under way, is shown behind the turn's sound,
thinned in the same way. Does not decode pictures.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from streaming.media.video import Album, Pixels, VideoFrame, frame_tokens, thinned
from streaming.protocol.commands import AppendUserFrame, ShowUserVideo, VideoPart
from streaming.protocol.limits import Limits
from streaming.protocol.outbox import Outbox
from streaming.protocol.wire_image import frame_of

# The latest pictures are kept one by one, and older ones, thinned, for a minute.
MAX_RECENT = 16
MAX_OLD = 16
LOOK_BACK_MS = 60_000
# A camera whose last picture is older than this when speech begins is not live.
LIVE_MS = 1_500
# The engine takes a turn's video from its beginning on, and can begin it as late as this.
LATEST_BEGIN_MS = 2_000
# A camera that shows nothing new for so long is off, and its turn goes on without.
STALL_MS = 3_000


class Sight:
    """The pictures of one session; at most one turn is open.

    Args:
        outbox: takes the commands.
        limits: pace of a turn's video, and the budget of what is seen in silence.
        position_ms: audio received.
    """

    def __init__(self, outbox: Outbox, limits: Limits, position_ms: Callable[[], int]) -> None:
        self._outbox = outbox
        self._fps = limits.frames_per_second
        self._budget_tokens = limits.quiet_video_tokens
        self._filmed_tokens = limits.filmed_turn_tokens
        self._left_tokens = 0.0
        self._filmed_until_ms: float | None = None  # where the pictures of a filmed turn end
        self._position_ms = position_ms
        self._old = Album(MAX_OLD)
        self._left_out = 0
        self._recent: deque[VideoFrame] = deque()
        self._item_id: str | None = None
        self._start_ms = 0
        self._ticks = 0
        self._is_filmed = False

    @property
    def thinned(self) -> int:
        """Pictures that were left out to keep to a number or a budget."""
        return self._old.thinned + self._left_out

    def receive(self, pixels: Pixels) -> None:
        """Takes a picture that was taken now."""
        self._recent.append(VideoFrame(pixels=pixels, at_ms=self._position_ms()))
        if len(self._recent) > MAX_RECENT:
            self._old.add(self._recent.popleft())

    def open(self, item_id: str, start_ms: int) -> None:
        """A turn begins, at `start_ms` of the audio received."""
        self._item_id, self._start_ms = item_id, start_ms
        self._ticks, self._is_filmed = 0, False
        self._left_tokens, self._filmed_until_ms = float(self._filmed_tokens), None
        self._show([*self._old.take(), *self._take_until(start_ms)])

    def grow(self, heard_ms: int, until_ms: int) -> None:
        """The turn has `heard_ms` of sound and is about to have `until_ms`: what is seen then."""
        if self._item_id is None:
            return
        if not self._is_filmed:
            latest_ms = self._recent[-1].at_ms if self._recent else None
            is_live = latest_ms is not None and latest_ms >= self._start_ms - LIVE_MS
            if not is_live or heard_ms >= LATEST_BEGIN_MS:
                return
            self._is_filmed = True
        while (tick_ms := self._ticks * 1000 / self._fps) < until_ms:
            self._ticks += 1
            if self._filmed_until_ms is None:
                self._film(self._item_id, self._start_ms + tick_ms)

    def _film(self, item_id: str, moment_ms: float) -> None:
        """Gives the turn what is seen at a moment; once there is none, it gets no more.

        The pace is even: what comes after a gap would be taken for what was seen in it.
        """
        seen = self._seen_at(moment_ms)
        self._left_tokens -= frame_tokens(seen)
        if seen.at_ms < moment_ms - STALL_MS:
            self._filmed_until_ms = moment_ms
            return
        if self._left_tokens < 0:
            self._filmed_until_ms = float(seen.at_ms)
            return
        frame = frame_of(seen.pixels)
        self._outbox.command(
            AppendUserFrame(item_id=item_id, frame=frame, frames_per_second=self._fps)
        )

    def close(self) -> None:
        """The turn is about to be committed."""
        since_ms = self._filmed_until_ms if self._is_filmed else float(self._start_ms)
        if since_ms is not None:
            self._show([frame for frame in self._recent if frame.at_ms >= since_ms])
        # Only the last one is still of use: as what the next turn begins with.
        self._recent = deque(list(self._recent)[-1:] if self._is_filmed else ())
        self._old.take()
        self._item_id = None

    def drop(self) -> None:
        """The turn is given up; what was seen in it may belong to the next."""
        self._item_id = None

    def take(self) -> VideoPart | None:
        """What was seen since the last turn, for one that is not spoken."""
        if self._item_id is not None:
            return None
        frames = [*self._old.take(), *self._recent]
        self._recent.clear()
        return self._silent(frames, self._position_ms())

    def _take_until(self, start_ms: int) -> list[VideoFrame]:
        """The recent pictures of before, without the one that a filmed turn begins with."""
        before = [frame for frame in self._recent if frame.at_ms <= start_ms]
        if before and self._recent[-1].at_ms >= start_ms - LIVE_MS:
            before.pop()
        for _ in before:
            self._recent.popleft()
        return before

    def _show(self, frames: Sequence[VideoFrame]) -> None:
        video = self._silent(frames, self._start_ms)
        if video is not None and self._item_id is not None:
            self._outbox.command(ShowUserVideo(item_id=self._item_id, video=video))

    def _silent(self, frames: Sequence[VideoFrame], end_ms: int) -> VideoPart | None:
        """A silent video of some of these, at their own pace."""
        kept = [frame for frame in frames if frame.at_ms >= end_ms - LOOK_BACK_MS]
        if not kept:
            return None
        most = max(1, int(self._budget_tokens / max(map(frame_tokens, kept))))
        kept = thinned(kept, most)
        self._left_out += len(frames) - len(kept)
        span_ms = kept[-1].at_ms - kept[0].at_ms
        pace = (len(kept) - 1) * 1000 / span_ms if span_ms else self._fps
        return VideoPart(
            frames=tuple(frame_of(frame.pixels) for frame in kept),
            frames_per_second=min(pace, self._fps),
        )

    def _seen_at(self, at_ms: float) -> VideoFrame:
        """The latest picture of that moment, or the first one after it."""
        earlier = [frame for frame in self._recent if frame.at_ms <= at_ms]
        return earlier[-1] if earlier else self._recent[0]
