"""When the gateway is told how busy the engine is."""

from streaming.engine.reports import Reports


def test_at_most_one_a_second_while_there_is_news() -> None:
    reports = Reports()
    sent = []
    for tick in range(30):  # a busy loop, ten steps a second
        reports.note(changed=True)
        if reports.take(tick / 10):
            sent.append(tick)
    assert sent == [0, 10, 20]


def test_the_last_change_is_told_when_its_time_has_come() -> None:
    reports = Reports()
    reports.note(changed=True)
    assert reports.take(5.0)
    assert reports.wait_s(5.0) is None  # nothing new: wait for ever
    reports.note(changed=True)
    reports.note(changed=False)  # what has changed stays news
    assert not reports.take(5.25)
    assert reports.wait_s(5.25) == 0.75
    assert reports.take(6.0)
    assert reports.wait_s(6.0) is None
