"""Who runs next, on a clock that only the tests turn."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.engine.scheduler import (
    NEVER_S,
    Batch,
    Playout,
    Scheduler,
    SchedulerConfig,
    Stage,
    Work,
)
from streaming.errors import RefusedError

CONFIG = SchedulerConfig(max_conversations=8, first_packet_target_s=0.3, guard_s=0.4)


def work(name: str, stage: Stage, deadline_s: float, *, playing: bool = False) -> Work:
    return Work(conversation_id=name, stage=stage, deadline_s=deadline_s, playing=playing)


def pick(*works: Work, now_s: float = 0.0) -> Batch | None:
    return Scheduler(CONFIG).pick(works, now_s)


def test_nothing_to_do_is_none() -> None:
    assert pick() is None


def test_the_nearest_deadline_chooses_the_stage_and_mates_join() -> None:
    batch = pick(
        work("a", Stage.TALKER, 5.0),
        work("b", Stage.THINKER, 2.0),
        work("c", Stage.THINKER, 9.0),
        work("d", Stage.PREFILL, 3.0),
    )
    assert batch == Batch(stage=Stage.THINKER, conversation_ids=("b", "c"))


def test_of_one_deadline_the_stage_nearer_the_listener_runs() -> None:
    stages = [Stage.PREFILL, Stage.THINKER, Stage.TOKEN2WAV, Stage.TALKER]
    batch = pick(*(work("a", stage, 1.0) for stage in stages))
    assert batch is not None
    assert batch.stage is Stage.TOKEN2WAV


def test_a_stream_about_to_run_dry_goes_before_a_late_first_packet() -> None:
    late = work("new", Stage.PREFILL, 0.5)
    playing = work("old", Stage.TALKER, 1.3, playing=True)
    assert pick(late, playing, now_s=1.0) == Batch(stage=Stage.TALKER, conversation_ids=("old",))


def test_a_stream_with_a_full_buffer_lets_a_first_packet_pass() -> None:
    waiting = work("new", Stage.PREFILL, 1.2)
    playing = work("old", Stage.TALKER, 4.0, playing=True)
    assert pick(waiting, playing, now_s=1.0) == Batch(
        stage=Stage.PREFILL, conversation_ids=("new",)
    )


def test_what_nobody_waits_for_runs_last() -> None:
    transcript = work("a", Stage.TRANSCRIBE, NEVER_S)
    speaking = work("b", Stage.ENCODE, 1e9)
    assert pick(transcript, speaking) == Batch(stage=Stage.ENCODE, conversation_ids=("b",))
    assert pick(transcript) == Batch(stage=Stage.TRANSCRIBE, conversation_ids=("a",))


def test_batches_stay_within_their_bound_and_keep_the_most_urgent() -> None:
    batch = pick(*(work(f"c{i}", Stage.PREFILL, float(10 - i)) for i in range(8)))
    assert batch == Batch(stage=Stage.PREFILL, conversation_ids=("c7", "c6", "c5", "c4"))


@given(
    st.lists(
        st.builds(
            Work,
            conversation_id=st.sampled_from("abcdef"),
            stage=st.sampled_from(Stage),
            deadline_s=st.floats(0, 10),
            playing=st.booleans(),
        ),
        min_size=1,
        max_size=20,
    ),
    st.floats(0, 10),
)
def test_nothing_more_urgent_is_ever_left_behind(works: list[Work], now_s: float) -> None:
    batch = Scheduler(CONFIG).pick(works, now_s)
    assert batch is not None
    dry = [w for w in works if w.playing and w.deadline_s - now_s <= CONFIG.guard_s]
    first = min(dry or works, key=lambda w: w.deadline_s)
    chosen = [w for w in works if w.stage is batch.stage and w in (dry or works)]
    assert min(w.deadline_s for w in chosen) == first.deadline_s


def test_the_door_closes_at_the_limit_and_names_it() -> None:
    scheduler = Scheduler(CONFIG)
    scheduler.admit(7)
    with pytest.raises(RefusedError, match="8"):
        scheduler.admit(8)


def test_the_first_packet_is_due_a_target_after_the_turn() -> None:
    assert Scheduler(CONFIG).first_packet_deadline_s(2.0) == pytest.approx(2.3)


def test_playout_runs_dry_when_all_that_was_sent_is_played() -> None:
    playout = Playout()
    assert playout.dry_at_s == -math.inf
    playout.sent(0.5, 10.0)
    playout.sent(1.0, 10.2)
    assert playout.dry_at_s == pytest.approx(11.5)


def test_playout_starts_anew_after_a_gap() -> None:
    playout = Playout()
    playout.sent(0.5, 10.0)
    playout.sent(0.5, 11.0)
    assert playout.dry_at_s == pytest.approx(11.5)
