"""Input transcription: asked on the side, told when it comes."""

from streaming.protocol.commands import CommitUserAudio, RequestTranscript
from streaming.protocol.engine_events import (
    EngineFault,
    Failure,
    InputTranscript,
    InputTranscriptDelta,
    TranscriptFailed,
    TranscriptToken,
)
from streaming.protocol.limits import ModelProfile
from tests.streaming.protocol.rig import LOUD, Rig, kinds

ASKED = {"audio": {"input": {"transcription": {"model": "any"}, "turn_detection": None}}}


def committed(rig, ms=1500):
    rig.hear(LOUD, ms)
    rig.take_commands()
    return rig.send("input_audio_buffer.commit")


def test_off_unless_asked_for():
    rig = Rig(manual=True)
    committed(rig)
    assert not [c for c in rig.take_commands() if isinstance(c, RequestTranscript)]


def test_a_transcript():
    rig = Rig(session=ASKED)
    item_id = committed(rig)[0]["item_id"]
    assert rig.take_commands()[-2:] == [
        CommitUserAudio(item_id=item_id),
        RequestTranscript(item_id=item_id),
    ]
    (event,) = rig.engine(InputTranscript(item_id=item_id, text="What?"))
    assert event["type"] == "conversation.item.input_audio_transcription.completed"
    assert (event["item_id"], event["content_index"], event["transcript"]) == (item_id, 0, "What?")
    assert event["usage"] == {"type": "duration", "seconds": 1.5}
    (retrieved,) = rig.send("conversation.item.retrieve", item_id=item_id)
    assert retrieved["item"]["content"] == [{"type": "input_audio", "transcript": "What?"}]


def test_a_transcript_comes_in_pieces_and_then_whole():
    rig = Rig(session=ASKED)
    item_id = committed(rig)[0]["item_id"]
    (event,) = rig.engine(InputTranscriptDelta(item_id=item_id, text="Wh"))
    assert event["type"] == "conversation.item.input_audio_transcription.delta"
    assert (event["item_id"], event["content_index"], event["delta"]) == (item_id, 0, "Wh")
    assert len(rig.engine(InputTranscript(item_id=item_id, text="What?"))) == 1
    assert rig.engine(InputTranscriptDelta(item_id=item_id, text="late")) == []


TOKENS = (
    TranscriptToken(octets=tuple(b"What"), log_prob=-0.5),
    TranscriptToken(octets=(0xC3,), log_prob=-1.5),
    TranscriptToken(octets=(0xA9,), log_prob=-0.25),
)
LOGPROBS = [
    {"token": "What", "logprob": -0.5, "bytes": [87, 104, 97, 116]},
    {"token": "\ufffd", "logprob": -1.5, "bytes": [0xC3]},
    {"token": "\ufffd", "logprob": -0.25, "bytes": [0xA9]},
]


def test_how_sure_each_token_was_is_told_to_those_who_ask():
    rig = Rig(session=ASKED)
    echo = rig.update({"type": "realtime", "include": ["item.input_audio_transcription.logprobs"]})
    assert echo["x_not_applied"] == []
    item_id = committed(rig)[0]["item_id"]
    (delta,) = rig.engine(InputTranscriptDelta(item_id=item_id, text="What", tokens=TOKENS[:1]))
    assert delta["logprobs"] == LOGPROBS[:1]
    (whole,) = rig.engine(InputTranscript(item_id=item_id, text="Whaté", tokens=TOKENS))
    assert whole["logprobs"] == LOGPROBS


def test_and_to_nobody_else():
    rig = Rig(session=ASKED)
    item_id = committed(rig)[0]["item_id"]
    (delta,) = rig.engine(InputTranscriptDelta(item_id=item_id, text="What", tokens=TOKENS[:1]))
    (whole,) = rig.engine(InputTranscript(item_id=item_id, text="Whaté", tokens=TOKENS))
    assert "logprobs" not in delta
    assert "logprobs" not in whole


def test_it_never_waits_for_the_reply_nor_the_reply_for_it():
    rig = Rig(session=ASKED)
    item_id = committed(rig)[0]["item_id"]
    response_id, _ = rig.respond()
    rig.speak(response_id)
    assert kinds(rig.engine(InputTranscript(item_id=item_id, text="What?"))) == [
        "conversation.item.input_audio_transcription.completed"
    ]
    assert rig.done(response_id)[-1]["response"]["status"] == "completed"


def test_a_transcript_of_a_deleted_item_is_still_told():
    rig = Rig(session=ASKED)
    item_id = committed(rig)[0]["item_id"]
    rig.send("conversation.item.delete", item_id=item_id)
    (event,) = rig.engine(InputTranscript(item_id=item_id, text="What?"))
    assert event["transcript"] == "What?"


def test_failed():
    rig = Rig(session=ASKED)
    item_id = committed(rig)[0]["item_id"]
    failure = Failure(code="busy", message="too busy")
    (event,) = rig.engine(TranscriptFailed(item_id=item_id, failure=failure))
    assert event["type"] == "conversation.item.input_audio_transcription.failed"
    assert (event["error"]["code"], event["error"]["message"]) == ("busy", "too busy")


def test_a_model_that_cannot_says_so_for_each_item():
    profile = ModelProfile(
        model_id="m",
        inputs=("text", "audio"),
        voices=("v",),
        instructions="",
        transcribes=False,
    )
    rig = Rig(profile=profile, session=ASKED)
    events = committed(rig)
    assert kinds(events)[-1] == "conversation.item.input_audio_transcription.failed"
    assert events[-1]["error"]["code"] == "transcription_unavailable"
    assert not [c for c in rig.take_commands() if isinstance(c, RequestTranscript)]


def test_an_answer_that_nobody_asked_for():
    assert Rig().engine(InputTranscript(item_id="x", text="?")) == []


def test_lost_with_the_engine():
    rig = Rig(session=ASKED)
    committed(rig)
    failure = Failure(code="engine_lost", message="gone")
    assert kinds(rig.engine(EngineFault(failure=failure))) == [
        "conversation.item.input_audio_transcription.failed",
        "error",
    ]
