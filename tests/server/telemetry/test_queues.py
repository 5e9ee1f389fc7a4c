"""How many events wait for their readers, at the moment at which somebody asks."""

from server.outbox import Outbox
from server.telemetry.content_log import ContentLog
from server.telemetry.queues import QueueCollector
from server.telemetry.watch import ConversationWatch
from tests.server.telemetry.rig import Meters

EVENT = {"type": "x"}


def conversation(meters, transport, waiting):
    watch = ConversationWatch(meters.recorder, transport, ContentLog(asked_for=False))
    outbox = Outbox(max_events=100, max_bytes=10_000)
    watch.outbox = outbox
    watch.opened(f"{transport} {waiting}")
    outbox.put([EVENT] * waiting)
    return watch, outbox


def samples(meters):
    families = QueueCollector(meters.journal.queues).collect()
    return {
        (sample.name.removeprefix("omnilive_"), sample.labels["transport"]): sample.value
        for family in families
        for sample in family.samples
    }


def test_what_waits_is_told_for_all_together_and_for_the_longest():
    meters = Meters()
    conversations = [
        conversation(meters, transport, waiting)
        for transport, waiting in (("websocket", 2), ("websocket", 5), ("webrtc", 1))
    ]
    assert samples(meters) == {
        ("send_queue_events", "websocket"): 7,
        ("send_queue_longest_events", "websocket"): 5,
        ("send_queue_events", "webrtc"): 1,
        ("send_queue_longest_events", "webrtc"): 1,
    }
    for watch, outbox in conversations:
        outbox.pop()
        watch.closed()
    assert set(samples(meters).values()) == {0}
