"""Sessions that only write down: their options, their turns, and what they do not do."""

import pytest

from streaming.protocol.commands import (
    CommitUserAudio,
    DeleteItem,
    RequestTranscript,
    StartUserAudio,
)
from streaming.protocol.engine_events import (
    Failure,
    InputTranscript,
    InputTranscriptDelta,
    TranscriptFailed,
)
from streaming.protocol.errors import ProtocolError
from streaming.protocol.limits import ModelProfile
from streaming.protocol.transcription_session import MAX_KEPT, TranscriptionSession
from tests.streaming.protocol.rig import LOUD, QUIET, Rig, error_of, kinds, text_item

TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]
MANUAL = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}


def writing(**options):
    return Rig(kind=TranscriptionSession, **options)


def spoken_turn(rig):
    """A turn by voice; its item's id."""
    events = rig.hear(LOUD, 800) + rig.hear(QUIET, 1000)
    assert kinds(events) == TURN
    return events[-1]["item"]["id"]


def test_it_begins_with_its_own_session_object_and_nothing_else():
    (created,) = writing().opening
    session = created["session"]
    assert created["type"] == "session.created"
    assert (session["type"], session["object"]) == (
        "transcription",
        "realtime.transcription_session",
    )
    assert session["expires_at"] == 1_800_000_000
    heard = session["audio"]["input"]
    assert session["audio"].keys() == {"input"}
    assert heard["transcription"]["model"] == "omni-mini"
    assert heard["turn_detection"]["type"] == "server_vad"
    assert heard["turn_detection"]["create_response"] is False
    assert heard["turn_detection"]["interrupt_response"] is False
    assert session["x_not_applied"] == []


def test_a_turn_is_written_down_and_never_answered():
    rig = writing()
    item_id = spoken_turn(rig)
    commands = rig.take_commands()
    assert [type(c) for c in commands if type(c) in (CommitUserAudio, RequestTranscript)] == [
        CommitUserAudio,
        RequestTranscript,
    ]
    assert type(commands[-1]) is RequestTranscript
    (delta,) = rig.engine(InputTranscriptDelta(item_id=item_id, text="Hel"))
    assert (delta["type"], delta["delta"]) == (
        "conversation.item.input_audio_transcription.delta",
        "Hel",
    )
    (completed,) = rig.engine(InputTranscript(item_id=item_id, text="Hello"))
    assert completed["transcript"] == "Hello"
    assert completed["usage"] == {"type": "duration", "seconds": pytest.approx(0.95, abs=0.2)}
    # It needs no place in the context any more, and can still be asked for.
    assert rig.take_commands() == [DeleteItem(item_id=item_id)]
    (retrieved,) = rig.send("conversation.item.retrieve", item_id=item_id)
    assert retrieved["item"]["content"][0]["transcript"] == "Hello"


def test_a_turn_that_fails_is_said_so_and_let_go():
    rig = writing()
    item_id = spoken_turn(rig)
    rig.take_commands()
    failure = Failure(code="transcription_failed", message="too long")
    (failed,) = rig.engine(TranscriptFailed(item_id=item_id, failure=failure))
    assert failed["type"] == "conversation.item.input_audio_transcription.failed"
    assert failed["error"]["message"] == "too long"
    assert rig.take_commands() == [DeleteItem(item_id=item_id)]


def test_the_client_may_end_the_turns():
    rig = writing()
    assert rig.update(MANUAL)["audio"]["input"]["turn_detection"] is None
    rig.hear(LOUD, 500)
    events = rig.send("input_audio_buffer.commit")
    assert kinds(events) == TURN[2:]


def test_without_transcription_the_turns_are_only_cut():
    rig = writing()
    session = rig.update({"type": "transcription", "audio": {"input": {"transcription": None}}})
    assert session["audio"]["input"]["transcription"] is None
    item_id = spoken_turn(rig)
    commands = rig.take_commands()
    assert commands[-1] == DeleteItem(item_id=item_id)
    assert not any(isinstance(command, RequestTranscript) for command in commands)


def test_it_goes_on_without_end_in_bounded_memory():
    rig = writing()
    rig.update(MANUAL)
    for _ in range(MAX_KEPT + 6):
        rig.hear(LOUD, 100)
        item_id = rig.send("input_audio_buffer.commit")[-1]["item"]["id"]
        rig.engine(InputTranscript(item_id=item_id, text="so"))
    assert len(rig.session.snapshot()["item_ids"]) == MAX_KEPT
    commands = rig.take_commands()
    started = [c.item_id for c in commands if isinstance(c, StartUserAudio)]
    deleted = [c.item_id for c in commands if isinstance(c, DeleteItem)]
    assert started == deleted


def test_a_client_may_delete_a_turn_before_and_after_it_is_written_down():
    rig = writing()
    first, second = spoken_turn(rig), spoken_turn(rig)
    rig.engine(InputTranscript(item_id=first, text="so"))
    rig.take_commands()
    for item_id, commands in [(first, []), (second, [DeleteItem(item_id=second)])]:
        (deleted,) = rig.send("conversation.item.delete", item_id=item_id)
        assert deleted["type"] == "conversation.item.deleted"
        assert rig.take_commands() == commands
    assert rig.engine(InputTranscript(item_id=second, text="late")) != []
    assert rig.take_commands() == []


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("response.create", {}),
        ("conversation.item.create", {"item": text_item()}),
        (
            "conversation.item.truncate",
            {"item_id": "item_1", "content_index": 0, "audio_end_ms": 5},
        ),
    ],
)
def test_what_is_for_conversations_is_refused_by_name(kind, fields):
    error = error_of(writing().send(kind, **fields))
    assert error["code"] == "unsupported_value"
    assert f"'{kind}'" in error["message"]


def test_there_is_nothing_to_cancel():
    assert error_of(writing().send("response.cancel"))["code"] == "response_cancel_not_active"


@pytest.mark.parametrize(
    ("patch", "code", "param"),
    [
        ({"type": "realtime"}, "invalid_value", "session.type"),
        ({}, "missing_required_parameter", "session.type"),
        ({"type": "transcription", "instructions": "x"}, "unknown_parameter", "instructions"),
        ({"type": "transcription", "audio": {"output": {}}}, "unknown_parameter", "audio.output"),
        (
            {"type": "transcription", "audio": {"input": {"turn_detection": {"type": "x"}}}},
            "invalid_value",
            "audio.input.turn_detection.type",
        ),
    ],
)
def test_other_options_are_refused_and_change_nothing(patch, code, param):
    rig = writing()
    error = error_of(rig.send("session.update", session=patch))
    assert error["code"] == code
    assert error["param"].endswith(param)
    assert rig.update({"type": "transcription"}) == rig.opening[0]["session"]


def test_a_conversation_does_not_become_one():
    error = error_of(Rig().send("session.update", session={"type": "transcription"}))
    assert (error["code"], error["param"]) == ("invalid_value", "session.type")


def test_options_are_merged_and_what_has_no_effect_is_said():
    defaults = {
        "type": "transcription",
        "audio": {"input": {"transcription": {"model": "whisper-1", "language": "en"}}},
        "include": ["item.input_audio_transcription.logprobs"],
    }
    rig = writing(defaults=defaults)
    session = rig.opening[0]["session"]
    assert session["audio"]["input"]["transcription"] == {
        "model": "whisper-1",
        "language": "en",
        "prompt": None,
    }
    detection = {"type": "server_vad", "idle_timeout_ms": 6000, "create_response": True}
    session = rig.update(
        {"type": "transcription", "audio": {"input": {"turn_detection": detection}}}
    )
    assert session["audio"]["input"]["turn_detection"]["create_response"] is False
    assert session["include"] == defaults["include"]
    assert set(session["x_not_applied"]) == {
        "audio.input.transcription.language",
        "audio.input.turn_detection.idle_timeout_ms",
    }
    assert rig.update({"type": "transcription", "include": None})["include"] is None


@pytest.mark.parametrize(
    ("inputs", "transcribes", "words"),
    [(("text",), True, "takes text, not audio"), (("text", "audio"), False, "cannot transcribe")],
)
def test_a_model_that_cannot_is_refused(inputs, transcribes, words):
    profile = ModelProfile(
        model_id="m", inputs=inputs, voices=(), instructions="", transcribes=transcribes
    )
    with pytest.raises(ProtocolError, match=words):
        writing(profile=profile)
