"""A call's packets and pictures, as metrics: what is counted elsewhere is looked at now and then.

Knows their metrics and counts that only rise. Does not know aiortc, nor whose call it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.telemetry.metrics import CameraMetrics, LineMetrics

INTERVAL_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStats:
    """A look at a call's sound; counts are since its beginning.

    Attributes:
        reported: Which report of the peer this is; None if none has come.
        rtt_s: Round trip, when the peer's reports allow to tell.
        jitter_in_s: Of packets that come; None before any has.
        jitter_out_s: The same at the peer, by its report.
        received: Packets that came.
        lost_in: Packets that were given up.
        late: Packets that came when their time had passed.
        given: Packets that left the jitter buffer.
        held_s: Time they waited in it.
        sent: Packets that were sent.
        lost_out: Of these, those that the peer misses, by its report.
    """

    reported: object = None
    rtt_s: float | None = None
    jitter_in_s: float | None = None
    jitter_out_s: float | None = None
    received: int = 0
    lost_in: int = 0
    late: int = 0
    given: int = 0
    held_s: float = 0.0
    sent: int = 0
    lost_out: int = 0


class LineWatch:
    """One call's."""

    def __init__(self, metrics: LineMetrics, camera: CameraMetrics) -> None:
        self._metrics = metrics
        self._camera = camera
        self._last = LineStats()
        self._thinned = 0

    def connected(self, after_s: float) -> None:
        """The call is connected, so long after its offer."""
        self._metrics.connect.observe(after_s)

    def paced(self, late_s: float, skipped_frames: int) -> None:
        """A packet of speech was made so much later than due, and so many before it were not."""
        self._metrics.lateness.observe(late_s)
        if skipped_frames:
            self._metrics.skipped.inc(skipped_frames)

    def saw(self, *, is_kept: bool, thinned: int) -> None:
        """A picture came; `thinned` is how many of those kept were thrown away since the start."""
        self._camera.frames.inc()
        if is_kept:
            self._camera.sampled.inc()
        self._camera.dropped.labels("thinned").inc(thinned - self._thinned)
        self._thinned = thinned

    def look(self, stats: LineStats) -> None:
        """Adds what has happened since the last look."""
        metrics, last = self._metrics, self._last
        metrics.packets.labels("in").inc(_gain(last.received, stats.received))
        metrics.packets.labels("out").inc(_gain(last.sent, stats.sent))
        metrics.lost.labels("in").inc(_gain(last.lost_in, stats.lost_in))
        metrics.late.inc(_gain(last.late, stats.late))
        metrics.held.inc(_gain(last.given, stats.given))
        metrics.held_s.inc(_gain(last.held_s, stats.held_s))
        if stats.jitter_in_s is not None and stats.received > last.received:
            metrics.jitter.labels("in").observe(stats.jitter_in_s)
        if stats.reported is not None and stats.reported != last.reported:
            self._take_report(stats)
        self._last = stats

    def _take_report(self, stats: LineStats) -> None:
        self._metrics.lost.labels("out").inc(_gain(self._last.lost_out, stats.lost_out))
        if stats.rtt_s is not None:
            self._metrics.rtt.observe(max(0.0, stats.rtt_s))
        if stats.jitter_out_s is not None:
            self._metrics.jitter.labels("out").observe(stats.jitter_out_s)


def _gain(before: float, after: float) -> float:
    """What a count has gained; one that is smaller than before began anew."""
    return after - before if after >= before else max(0.0, after)
