"""Due times on a clock that the test turns."""

from streaming.media.pacing import Pacer


def test_frames_are_due_every_20_ms_from_the_first():
    pacer = Pacer()
    assert [round(pacer.next(5.0).at_s, 3) for _ in range(4)] == [5.0, 5.02, 5.04, 5.06]


def test_after_a_short_stall_frames_catch_up_and_nothing_drifts():
    pacer, now, sent = Pacer(), 0.0, []
    for number in range(100):
        due = pacer.next(now)
        assert due.skipped_frames == 0
        now = max(now, due.at_s)
        if number == 50:
            now += 0.130
        sent.append(now)
    assert abs(sent[49] - 49 * 0.020) < 1e-9
    assert abs(sent[99] - 99 * 0.020) < 1e-9


def test_after_a_long_stall_old_frames_are_left_out():
    pacer = Pacer()
    pacer.next(0.0)
    due = pacer.next(1.0)
    assert due.skipped_frames == 49
    assert abs(due.at_s - 1.0) < 0.020 + 1e-9
    assert pacer.next(1.0).skipped_frames == 0
