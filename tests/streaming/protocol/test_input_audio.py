"""The input audio buffer: push-to-talk and server VAD."""

import pytest

from streaming.protocol.commands import (
    AppendUserAudio,
    CancelResponse,
    CommitUserAudio,
    DropUserAudio,
    PauseUserAudio,
    StartResponse,
    StartUserAudio,
)
from streaming.protocol.engine_events import EngineFault, Failure
from streaming.protocol.limits import Limits
from streaming.turns.errors import NoJudgeError
from tests.streaming.protocol.rig import (
    LOUD,
    QUIET,
    Rig,
    b64,
    error_of,
    heard_ms,
    kinds,
    tone,
)

TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]


def vad(**options):
    return {"audio": {"input": {"turn_detection": {"type": "server_vad", **options}}}}


# --- push to talk ---------------------------------------------------------------------------


def test_pushed_audio_reaches_the_engine_while_it_arrives():
    rig = Rig(manual=True)
    assert rig.hear(QUIET, 1000) == []
    start, *audio = rig.take_commands()
    assert isinstance(start, StartUserAudio)
    assert {command.item_id for command in audio} == {start.item_id}
    assert 940 <= heard_ms(audio) <= 1000, "all but what the resampler holds back"


def test_commit_hands_out_the_last_sample_and_makes_an_item():
    rig = Rig(manual=True)
    rig.hear(LOUD, 1000)
    committed, added, done = rig.send("input_audio_buffer.commit")
    commands = rig.take_commands()
    item_id = commands[0].item_id
    assert committed["type"] == "input_audio_buffer.committed"
    assert (committed["item_id"], committed["previous_item_id"]) == (item_id, None)
    assert (added["type"], done["type"]) == ("conversation.item.added", "conversation.item.done")
    assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert heard_ms(commands) == 1000
    assert commands[-1] == CommitUserAudio(item_id=item_id), "no response unless asked for"


def test_two_turns_follow_each_other():
    rig = Rig(manual=True)
    ids = []
    for _ in range(2):
        rig.hear(LOUD, 200)
        ids.append(rig.send("input_audio_buffer.commit")[0]["item_id"])
    assert rig.add()["id"] not in ids
    rig.hear(LOUD, 200)
    committed = rig.send("input_audio_buffer.commit")[0]
    assert committed["previous_item_id"] not in (None, *ids)


@pytest.mark.parametrize("ms", [0, 99])
def test_a_commit_needs_100_ms(ms):
    rig = Rig(manual=True)
    if ms:
        rig.hear(LOUD, ms)
    error = error_of(rig.send("input_audio_buffer.commit", event_id="c"))
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert error["event_id"] == "c"
    assert f"only has {ms}.00ms" in error["message"]
    rig.hear(LOUD, 101)
    assert kinds(rig.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"


def test_another_least_may_be_set():
    rig = Rig(manual=True, limits=Limits(min_commit_ms=300))
    rig.hear(LOUD, 299)
    assert "300ms" in error_of(rig.send("input_audio_buffer.commit"))["message"]


def test_exactly_100_ms_are_enough():
    # The resampler has given out less than that by then.
    rig = Rig(manual=True)
    rig.hear(LOUD, 100)
    rig.send("input_audio_buffer.commit")
    assert heard_ms(rig.take_commands()) == 100


def test_clear_forgets_the_turn():
    rig = Rig(manual=True)
    rig.hear(LOUD, 500)
    assert kinds(rig.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    commands = rig.take_commands()
    assert commands[-1] == DropUserAudio(item_id=commands[0].item_id)
    error = error_of(rig.send("input_audio_buffer.commit"))
    assert error["code"] == "input_audio_buffer_commit_empty"


def test_clear_of_nothing_is_confirmed_too():
    rig = Rig(manual=True)
    assert kinds(rig.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert rig.take_commands() == []


def test_the_buffer_is_bounded_and_lives_on():
    rig = Rig(manual=True, limits=Limits(max_turn_ms=1000))
    rig.hear(LOUD, 1000)
    error = error_of(rig.hear(LOUD, 100))
    assert error["code"] == "input_audio_buffer_full"
    assert "1000ms (max_turn_ms)" in error["message"]
    assert "1100ms" in error["message"]
    rig.send("input_audio_buffer.commit")
    assert heard_ms(rig.take_commands()) == 1000
    assert rig.hear(LOUD, 100) == []


@pytest.mark.parametrize(
    ("audio", "says"),
    [("???", "base64"), ("QQ", "base64"), ("é", "base64"), (b64(b"abc"), "16-bit")],
)
def test_bad_audio_is_refused(audio, says):
    rig = Rig(manual=True)
    error = error_of(rig.send("input_audio_buffer.append", audio=audio, event_id="e"))
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", "audio", "e")
    assert says in error["message"]
    assert rig.take_commands() == []


def test_empty_audio_is_nothing():
    rig = Rig(manual=True)
    assert rig.send("input_audio_buffer.append", audio="") == []
    assert rig.take_commands() == []


@pytest.mark.parametrize("wire", ["audio/pcmu", "audio/pcma"])
def test_telephone_audio_is_as_long_as_it_was(wire):
    from streaming.media.formats import PCMA, PCMU

    rig = Rig(manual=True, session={"audio": {"input": {"format": {"type": wire}}}})
    audio = tone(LOUD, 1000, PCMU if wire == "audio/pcmu" else PCMA)
    rig.send("input_audio_buffer.append", audio=b64(audio))
    rig.send("input_audio_buffer.commit")
    assert heard_ms(rig.take_commands()) == 1000


def test_a_format_may_change_in_mid_turn():
    rig = Rig(manual=True)
    rig.hear(LOUD, 500)
    rig.update({"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcmu"}}}})
    from streaming.media.formats import PCMU

    rig.send("input_audio_buffer.append", audio=b64(tone(LOUD, 500, PCMU)))
    rig.send("input_audio_buffer.commit")
    assert heard_ms(rig.take_commands()) == 1000


# --- server VAD -----------------------------------------------------------------------------


def test_a_spoken_turn_in_the_order_that_clients_rely_on():
    rig = Rig()
    events = rig.hear(QUIET, 1000) + rig.hear(LOUD, 1000) + rig.hear(QUIET, 700)
    assert kinds(events) == [*TURN, "response.created"]
    started, stopped, committed, added, _, created = events
    assert 600 <= started["audio_start_ms"] <= 700, "300 ms of padding"
    assert 2500 <= stopped["audio_end_ms"] <= 2600, "the silence included"
    ids = {started["item_id"], stopped["item_id"], committed["item_id"], added["item"]["id"]}
    assert len(ids) == 1
    assert created["response"]["status"] == "in_progress"


def test_commands_of_a_spoken_turn():
    rig = Rig()
    rig.hear(QUIET, 1000)
    assert rig.take_commands() == [], "silence is nobody's turn"
    rig.hear(LOUD, 1000)
    rig.hear(QUIET, 700)
    commands = rig.take_commands()
    order = [type(c) for c in commands if not isinstance(c, AppendUserAudio)]
    assert order == [StartUserAudio, PauseUserAudio, CommitUserAudio, StartResponse]
    after_pause = commands[[type(c) for c in commands].index(PauseUserAudio) :]
    assert heard_ms(after_pause) == 0, "silence would undo what the engine did in the pause"
    assert 1400 <= heard_ms(commands) <= 1500, "padding, speech and the silence up to the pause"


def test_a_short_silence_is_part_of_the_turn():
    rig = Rig()
    events = rig.hear(LOUD, 500) + rig.hear(QUIET, 300) + rig.hear(LOUD, 500) + rig.hear(QUIET, 600)
    assert kinds(events) == [*TURN, "response.created"]
    assert 1400 <= heard_ms(rig.take_commands()) <= 1500


def test_create_response_false_leaves_the_answer_to_the_client():
    rig = Rig(session=vad(create_response=False))
    assert kinds(rig.hear(LOUD, 500) + rig.hear(QUIET, 700)) == TURN


def test_silence_duration_is_heeded():
    rig = Rig(session=vad(silence_duration_ms=200, create_response=False))
    assert kinds(rig.hear(LOUD, 500) + rig.hear(QUIET, 300)) == TURN


class ScriptedJudge:
    """Says what it is told of each pause, in order."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def probability(self, samples):
        return self.answers.pop(0)


def semantic(*answers, **options):
    detection = {"type": "semantic_vad", **options}
    session = {"audio": {"input": {"turn_detection": detection}}}
    return Rig(session=session, new_judge=lambda: ScriptedJudge(*answers))


def test_a_turn_that_sounds_whole_ends_soon():
    rig = semantic(0.9)
    assert kinds(rig.hear(LOUD, 500) + rig.hear(QUIET, 300)) == [*TURN, "response.created"]


@pytest.mark.parametrize(("eagerness", "wait_ms"), [("high", 2000), ("auto", 4000), ("low", 8000)])
def test_a_turn_that_does_not_is_waited_for_as_its_eagerness_says(eagerness, wait_ms):
    rig = semantic(0.1, eagerness=eagerness)
    assert kinds(rig.hear(LOUD, 500) + rig.hear(QUIET, wait_ms - 100)) == TURN[:1]
    assert kinds(rig.hear(QUIET, 300)) == [*TURN[1:], "response.created"]


def test_semantic_vad_without_its_model_is_refused_and_nothing_changes():
    def missing():
        raise NoJudgeError("Smart Turn's weights are not installed")

    rig = Rig(new_judge=missing)
    patch = {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
    error = error_of(rig.send("session.update", session={"type": "realtime", **patch}))
    assert (error["code"], error["param"]) == (
        "unsupported_value",
        "session.audio.input.turn_detection.type",
    )
    session = rig.update({"type": "realtime"})
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"


def test_silence_after_a_reply_becomes_a_turn_and_an_answer():
    rig = Rig(session=vad(idle_timeout_ms=5000))
    rig.hear(QUIET, 1000)
    response_id, _ = rig.respond()
    rig.speak(response_id, ms=2000)
    rig.done(response_id)
    rig.take_commands()
    # Two seconds until the reply has been heard, and five of silence.
    assert rig.hear(QUIET, 6900) == []
    events = rig.hear(QUIET, 200)
    assert kinds(events) == [
        "input_audio_buffer.timeout_triggered",
        *TURN[2:],
        "response.created",
    ]
    timeout = events[0]
    assert timeout["item_id"] == events[1]["item_id"]
    assert timeout["audio_end_ms"] - timeout["audio_start_ms"] == pytest.approx(5000, abs=32)
    assert timeout["audio_start_ms"] == pytest.approx(3000, abs=64)
    assert heard_ms(rig.take_commands()) == pytest.approx(5000, abs=32)


def idles_after_a_short_reply(rig):
    """Two seconds until the reply has been heard, and five of silence."""
    response_id, _ = rig.respond()
    rig.speak(response_id, ms=2000)
    rig.done(response_id)
    assert rig.hear(QUIET, 6900) == []
    assert "input_audio_buffer.timeout_triggered" in kinds(rig.hear(QUIET, 200))


@pytest.mark.parametrize("status", ["cancelled", "completed"])
def test_what_a_cancelled_reply_had_still_to_play_is_not_waited_for(status):
    rig = Rig(session=vad(idle_timeout_ms=5000))
    response_id, _ = rig.respond()
    rig.speak(response_id, ms=60_000)
    rig.hear(QUIET, 5000)
    rig.send("response.cancel")
    rig.done(response_id, status)  # the engine may be through before it sees the cancel
    rig.take_commands()
    idles_after_a_short_reply(rig)


def test_what_a_failed_reply_had_sent_is_played_before_the_next():
    rig = Rig(session=vad(idle_timeout_ms=5000))
    response_id, _ = rig.respond()
    rig.speak(response_id, ms=3000)
    rig.done(response_id, "failed", failure=Failure(code="c", message="m"))
    rig.spoken_reply(ms=2000)
    assert rig.hear(QUIET, 9900) == []
    assert "input_audio_buffer.timeout_triggered" in kinds(rig.hear(QUIET, 200))


def test_what_a_user_spoke_into_is_not_waited_for():
    rig = Rig(session=vad(idle_timeout_ms=5000, create_response=False))
    rig.spoken_reply(ms=60_000)
    rig.hear(LOUD, 500)
    rig.hear(QUIET, 700)
    idles_after_a_short_reply(rig)


def test_what_a_client_cut_off_is_not_waited_for():
    rig = Rig(session=vad(idle_timeout_ms=5000, create_response=False, interrupt_response=False))
    item_id = rig.spoken_reply(ms=60_000)
    rig.hear(QUIET, 500)
    rig.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=400)
    idles_after_a_short_reply(rig)


def test_a_reply_is_heard_at_its_own_speed():
    rig = Rig(session=vad(idle_timeout_ms=5000))
    response_id, _ = rig.respond()
    rig.update({"type": "realtime", "audio": {"output": {"speed": 0.25}}})
    rig.speak(response_id, ms=2000)
    rig.done(response_id)
    assert rig.hear(QUIET, 6900) == []
    assert "input_audio_buffer.timeout_triggered" in kinds(rig.hear(QUIET, 200))


def test_a_response_aside_that_ends_changes_nothing_in_the_silence():
    rig = Rig(session=vad(idle_timeout_ms=5000))
    (created,) = rig.send(
        "response.create", response={"conversation": "none", "output_modalities": ["text"]}
    )
    aside = created["response"]["id"]
    rig.spoken_reply(ms=2000)
    rig.send("response.cancel", response_id=aside)
    rig.done(aside, "cancelled")
    assert rig.hear(QUIET, 6900) == []
    assert "input_audio_buffer.timeout_triggered" in kinds(rig.hear(QUIET, 200))


def test_a_user_who_speaks_or_a_reply_that_was_cancelled_starts_no_timeout():
    rig = Rig(session=vad(idle_timeout_ms=5000, create_response=False))
    response_id, _ = rig.respond()
    rig.done(response_id)
    rig.hear(LOUD, 500)
    assert "input_audio_buffer.timeout_triggered" not in kinds(rig.hear(QUIET, 7000))
    response_id, _ = rig.respond()
    rig.send("response.cancel")
    rig.done(response_id, "cancelled")
    assert rig.hear(QUIET, 7000) == []


def test_a_commit_while_speaking_ends_the_turn_there():
    rig = Rig()
    rig.hear(LOUD, 1000)
    events = rig.send("input_audio_buffer.commit")
    assert kinds(events) == TURN[2:]
    commands = rig.take_commands()
    assert heard_ms(commands) == 1000
    assert isinstance(commands[-1], CommitUserAudio)
    assert rig.hear(QUIET, 1000) == [], "the turn is over and does not end twice"


def test_a_commit_of_silence_is_empty():
    rig = Rig()
    rig.hear(QUIET, 1000)
    error = error_of(rig.send("input_audio_buffer.commit"))
    assert error["code"] == "input_audio_buffer_commit_empty"


def test_clear_while_speaking_drops_the_turn_and_speech_opens_another():
    rig = Rig()
    (started,) = rig.hear(LOUD, 500)
    rig.send("input_audio_buffer.clear")
    (again,) = rig.hear(LOUD, 500)
    assert again["type"] == "input_audio_buffer.speech_started"
    assert again["item_id"] != started["item_id"]
    assert again["audio_start_ms"] >= 500, "what was cleared does not come back as padding"


def test_a_turn_without_end_is_ended_by_its_limit():
    rig = Rig(limits=Limits(max_turn_ms=2000), session=vad(create_response=False))
    events = rig.hear(LOUD, 5000)
    assert kinds(events).count("input_audio_buffer.committed") == 2
    sizes = [c for c in rig.take_commands() if isinstance(c, AppendUserAudio)]
    assert 4900 <= heard_ms(sizes) <= 5000, "nothing between the turns is lost"


# --- barge-in -------------------------------------------------------------------------------


def test_speech_cancels_the_reply():
    rig = Rig()
    response_id, _ = rig.respond()
    rig.speak(response_id)
    assert kinds(rig.hear(LOUD, 200)) == ["input_audio_buffer.speech_started"]
    assert CancelResponse(response_id=response_id, heard_ms=None) in rig.take_commands()
    events = rig.done(response_id, "cancelled")
    assert events[-1]["response"]["status_details"] == {
        "type": "cancelled",
        "reason": "turn_detected",
    }


def test_interrupt_response_false_lets_the_reply_go_on():
    rig = Rig(session=vad(interrupt_response=False))
    response_id, _ = rig.respond()
    rig.hear(LOUD, 500)
    assert not [c for c in rig.take_commands() if isinstance(c, CancelResponse)]
    events = rig.hear(QUIET, 700)
    assert kinds(events) == [*TURN[1:], "error"]
    assert events[-1]["error"]["code"] == "conversation_already_has_active_response"
    assert rig.done(response_id)[-1]["response"]["status"] == "completed"


def test_the_answer_waits_for_the_cancelled_reply_to_end():
    rig = Rig()
    response_id, _ = rig.respond()
    rig.speak(response_id)
    assert kinds(rig.hear(LOUD, 500) + rig.hear(QUIET, 700)) == TURN
    assert not [c for c in rig.take_commands() if isinstance(c, StartResponse)]
    events = rig.done(response_id, "cancelled")
    assert kinds(events)[-2:] == ["response.done", "response.created"]
    assert isinstance(rig.take_commands()[-1], StartResponse)


def test_speech_again_cancels_the_answer_that_still_waited():
    rig = Rig()
    first, _ = rig.respond()
    rig.speak(first)
    rig.hear(LOUD, 500)
    rig.hear(QUIET, 700)
    rig.hear(LOUD, 500)
    rig.take_commands()
    events = rig.done(first, "cancelled")
    assert kinds(events)[-3:] == ["response.done", "response.created", "response.done"]
    done = events[-1]["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["output"] == []
    commands = rig.take_commands()
    assert not [c for c in commands if isinstance(c, StartResponse)], "the user is speaking"


def test_a_turn_that_the_engine_gives_up():
    rig = Rig(session=vad(create_response=False))
    (started,) = rig.hear(LOUD, 500)
    failure = Failure(code="capacity", message="the context is full")
    fault = EngineFault(failure=failure, item_id=started["item_id"], fatal=False)
    assert error_of(rig.engine(fault))["code"] == "capacity"
    rig.take_commands()
    assert rig.hear(LOUD, 500) + rig.hear(QUIET, 700) == [], "the rest of the turn is ignored"
    assert rig.take_commands() == []
    assert kinds(rig.hear(LOUD, 500)) == ["input_audio_buffer.speech_started"]


def test_a_full_conversation_says_so_once_a_turn():
    rig = Rig(limits=Limits(max_items=1), session=vad(create_response=False))
    rig.add()
    rig.take_commands()
    events = rig.hear(LOUD, 1000) + rig.hear(QUIET, 700)
    assert kinds(events) == ["error"]
    assert "1 items (max_items)" in events[0]["error"]["message"]
    assert rig.take_commands() == []
    assert kinds(rig.hear(LOUD, 1000)) == ["error"]


def test_a_full_conversation_refuses_a_pushed_turn_too():
    rig = Rig(limits=Limits(max_items=1), manual=True)
    rig.add()
    rig.take_commands()
    assert kinds(rig.hear(LOUD, 500)) == ["error"], "once, not for each chunk"
    error = error_of(rig.send("input_audio_buffer.commit", event_id="mine"))
    assert (error["code"], error["event_id"]) == ("conversation_full", "mine")
    assert rig.take_commands() == []


def test_a_pushed_turn_that_was_refused_is_over_with_its_commit():
    rig = Rig(limits=Limits(max_items=1), manual=True)
    item_id = rig.add()["id"]
    rig.hear(LOUD, 505)
    rig.send("conversation.item.delete", item_id=item_id)
    assert error_of(rig.send("input_audio_buffer.commit"))["code"] == "conversation_full"
    rig.take_commands()
    error = error_of(rig.send("input_audio_buffer.commit"))
    assert error["code"] == "input_audio_buffer_commit_empty", "said once"
    assert rig.hear(LOUD, 500) == []
    assert kinds(rig.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"
    assert heard_ms(rig.take_commands()) == 500, "nothing of the refused turn"


def test_a_pushed_turn_that_the_engine_gave_up_says_why_when_it_is_committed():
    rig = Rig(manual=True)
    rig.hear(LOUD, 500)
    item_id = rig.take_commands()[0].item_id
    failure = Failure(code="context_full", message="The context is full.")
    rig.engine(EngineFault(failure=failure, item_id=item_id, fatal=False))
    assert rig.hear(LOUD, 500) == []
    error = error_of(rig.send("input_audio_buffer.commit"))
    assert error["code"] == "context_full"
    assert "The context is full." in error["message"]
    assert rig.hear(LOUD, 500) == []
    assert kinds(rig.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"


def test_a_turn_that_was_given_up_does_not_take_the_first_turn_of_a_detector():
    rig = Rig(manual=True)
    rig.hear(LOUD, 500)
    item_id = rig.take_commands()[0].item_id
    rig.engine(EngineFault(failure=Failure(code="x", message="y"), item_id=item_id, fatal=False))
    detection = {"turn_detection": {"type": "server_vad"}}
    rig.update({"type": "realtime", "audio": {"input": detection}})
    events = rig.hear(QUIET, 500) + rig.hear(LOUD, 1000) + rig.hear(QUIET, 1500)
    assert kinds(events)[:2] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
    ]


def test_silence_under_detection_is_not_in_the_buffer_when_it_is_turned_off():
    rig = Rig(limits=Limits(max_turn_ms=1000))
    rig.hear(QUIET, 2000)
    rig.update({"type": "realtime", "audio": {"input": {"turn_detection": None}}})
    error = error_of(rig.send("input_audio_buffer.commit"))
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert rig.hear(LOUD, 1000) == []
    assert kinds(rig.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"
