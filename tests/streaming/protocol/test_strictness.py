"""What real clients trip over, row by row, in each event of a conversation with everything in it.

The rig validates each event as the official SDK (strictly) and openai-agents do; what stands here
are the rows that other kits stumble on: the JS validator, and kits that read fields unasked.
"""

import typing

import pytest
from agents.realtime.openai_realtime import AllRealtimeServerEvents

from streaming.protocol.engine_events import (
    EngineFault,
    Failure,
    InputTranscript,
    InputTranscriptDelta,
    ItemTruncated,
    ReplyCall,
    ReplyCallDone,
    ReplyText,
    TranscriptFailed,
    TranscriptToken,
)
from streaming.protocol.limits import ModelProfile
from tests.streaming.protocol.rig import LOUD, QUIET, Rig, kinds, text_item
from tests.streaming.protocol.test_sight import image, url

SEES = ModelProfile(
    model_id="seer",
    inputs=("text", "audio", "image", "video"),
    voices=("ada",),
    instructions="Be brief.",
)
TOOL = {"type": "function", "name": "f", "description": "F.", "parameters": {"type": "object"}}
EVERYTHING = {
    "type": "realtime",
    "instructions": "Hum.",
    "tools": [TOOL],
    "max_output_tokens": 100,
    "truncation": {"type": "retention_ratio", "retention_ratio": 0.5},
    "tracing": "auto",
    "include": ["item.input_audio_transcription.logprobs"],
    "audio": {
        "input": {
            # of no strength: the tones here are steady, as noise is
            "noise_reduction": {"type": "near_field", "strength": 0.0},
            "transcription": {"model": "whisper-1", "language": "en"},
            "turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000},
        },
        "output": {"voice": "alloy", "speed": 1.25},
    },
}


class Recorder(Rig):
    """Keeps every event, those that `drain` leaves out too."""

    def __init__(self, **options) -> None:
        self.all = []
        super().__init__(**options)

    def drain(self):
        take = self.session.events_to_send
        waiting = take()
        self.all += waiting
        self.session.events_to_send = lambda: waiting
        try:
            return super().drain()
        finally:
            self.session.events_to_send = take


@pytest.fixture(scope="module")
def conversation():
    """Every server event that a WebSocket client can see."""
    rig = Recorder(profile=SEES)
    rig.update(EVERYTHING)
    item_id = spoken_turn(rig)
    call_and_result(rig)
    written_and_shown(rig)
    silence_and_mistakes(rig, item_id)
    rig.engine(EngineFault(failure=Failure(code="engine_lost", message="it died")))
    return rig.all


def spoken_turn(rig) -> str:
    """A turn by voice, its transcript, an answer that is interrupted and cut."""
    rig.hear(LOUD, 800)
    events = rig.hear(QUIET, 1500)
    item_id = next(e["item_id"] for e in events if e["type"].endswith("committed"))
    tokens = (TranscriptToken(octets=tuple(b"Hello"), log_prob=-0.1),)
    rig.engine(InputTranscriptDelta(item_id=item_id, text="Hel", tokens=tokens))
    rig.engine(InputTranscript(item_id=item_id, text="Hello", tokens=tokens))
    (response_id,) = (e["response"]["id"] for e in events if e["type"] == "response.created")
    rig.speak(response_id, "Once upon", 2000)
    rig.hear(LOUD, 500)
    answer = rig.done(response_id, "cancelled")
    spoken = next(e["item"]["id"] for e in answer if e["type"] == "conversation.item.done")
    rig.send("conversation.item.truncate", item_id=spoken, content_index=0, audio_end_ms=700)
    for _ in range(2):  # to what was sent when it was interrupted, and to what was played
        rig.engine(ItemTruncated(item_id=spoken, text="Once"))
    rig.send("input_audio_buffer.clear")
    return item_id


def call_and_result(rig) -> None:
    response_id, _ = rig.respond(metadata={"client_event_id": "evt_1"})
    rig.speak(response_id, "Let me see.", 400)
    call = {"response_id": response_id, "item_id": "i_call0", "name": "f"}
    rig.engine(ReplyCall(**call, arguments='{"a":'))
    rig.engine(ReplyCallDone(**call, arguments='{"a": 1}', complete=True))
    events = rig.done(response_id)
    (call_id,) = (i["call_id"] for i in events[-1]["response"]["output"] if "call_id" in i)
    result = {"type": "function_call_output", "call_id": call_id, "output": "4"}
    rig.send("conversation.item.create", item=result)


def written_and_shown(rig) -> None:
    rig.send("conversation.item.create", item=text_item("Be kind.", role="system"))
    rig.send("conversation.item.create", item=text_item("Hm.", role="assistant"))
    seen = {"type": "message", "role": "user", "content": [image(url(5), detail="low")]}
    (added, _) = rig.send("conversation.item.create", item=seen, previous_item_id="root")
    response_id, _ = rig.respond(output_modalities=["text"], max_output_tokens=1)
    rig.engine(ReplyText(response_id=response_id, text="A"))
    rig.done(response_id, "incomplete", reason="max_output_tokens")
    rig.send("response.create", response={"conversation": "none", "output_modalities": ["text"]})
    rig.send("conversation.item.retrieve", item_id=added["item"]["id"])
    rig.send("conversation.item.delete", item_id=added["item"]["id"])


def silence_and_mistakes(rig, item_id) -> None:
    rig.take_commands()
    events = rig.hear(QUIET, 8000)
    for event in events:
        if event["type"] == "input_audio_buffer.timeout_triggered":
            failure = Failure(code="capacity", message="busy")
            rig.engine(TranscriptFailed(item_id=event["item_id"], failure=failure))
        if event["type"] == "response.created":
            failure = Failure(code="internal_error", message="it failed")
            rig.done(event["response"]["id"], "failed", failure=failure)
    rig.send("response.cancel", event_id="mine")
    rig.send("conversation.item.retrieve", item_id="nobody", event_id="mine")
    rig.send("input_audio_buffer.commit")
    rig.raw("{")


def of(events, *types):
    found = [event for event in events if event["type"] in types]
    assert found, types
    return found


def parts(events):
    for event in events:
        items = [event["item"]] if "item" in event else event.get("response", {}).get("output", [])
        for item in items:
            yield from ((item, part) for part in item.get("content", []))


def kinds_of(annotation):
    """Every event type in a union of models, however it is nested."""
    if hasattr(annotation, "model_fields"):
        yield from typing.get_args(annotation.model_fields["type"].annotation)
    for inner in typing.get_args(annotation):
        yield from kinds_of(inner)


def test_every_kind_of_event_that_a_socket_can_get_is_there(conversation):
    known = set(kinds_of(AllRealtimeServerEvents))
    never = ("mcp", "output_audio_buffer.", "dtmf", ".segment", "conversation.item.created")
    wanted = {kind for kind in known if not any(word in kind for word in never)}
    assert len(wanted) > 30
    assert wanted <= set(kinds(conversation)), wanted - set(kinds(conversation))


def test_speech_always_has_the_key_of_its_words(conversation):
    spoken = [p for _, p in parts(conversation) if p["type"] in ("input_audio", "output_audio")]
    assert spoken
    assert all("transcript" in part for part in spoken)


def test_parts_are_called_audio_and_content_output_audio(conversation):
    kinds_of_parts = {
        event["part"]["type"]
        for event in of(conversation, "response.content_part.added", "response.content_part.done")
    }
    assert kinds_of_parts == {"audio", "text"}
    for event in of(conversation, "response.content_part.added"):
        assert isinstance(event["part"].get("transcript", event["part"].get("text")), str)
    answered = {part["type"] for item, part in parts(conversation) if item["role"] == "assistant"}
    assert answered == {"output_audio", "output_text"}


def test_sessions_have_canonical_values_only(conversation):
    for event in of(conversation, "session.created", "session.updated"):
        session = event["session"]
        heard, spoken = session["audio"]["input"], session["audio"]["output"]
        assert session["type"] == "realtime"
        assert heard["format"] == spoken["format"] == {"type": "audio/pcm", "rate": 24000}
        assert heard["turn_detection"]["type"] in ("server_vad", "semantic_vad")
        assert heard["turn_detection"]["interrupt_response"] is True
        assert isinstance(spoken["voice"], str)
        assert isinstance(session["tool_choice"], str)
        assert "delay" not in (heard["transcription"] or {})
    assert set(of(conversation, "session.updated")[0]["session"]["x_not_applied"]) == {
        "audio.input.transcription.language",
        "tracing",
    }


def test_items_are_added_and_done_and_never_created(conversation):
    added = [e["item"]["id"] for e in of(conversation, "conversation.item.added")]
    done = [e["item"]["id"] for e in of(conversation, "conversation.item.done")]
    assert sorted(added) == sorted(done)
    assert len(set(added)) == len(added)
    assert all("previous_item_id" in e for e in of(conversation, "conversation.item.added"))
    statuses = {e["item"]["status"] for e in conversation if "item" in e}
    assert statuses <= {"in_progress", "completed", "incomplete"}


def test_an_item_is_added_before_anything_is_said_of_it(conversation):
    known = set()
    for event in conversation:
        if event["type"] == "response.output_item.added":
            known.add(event["item"]["id"])
        elif event["type"].startswith("response.") and "item_id" in event:
            assert event["item_id"] in known, event["type"]


def test_transcripts_have_their_usage_and_calls_their_name(conversation):
    for event in of(conversation, "conversation.item.input_audio_transcription.completed"):
        assert event["usage"]["type"] == "duration"
    for event in of(conversation, "response.function_call_arguments.done"):
        assert event["name"] == "f"


def test_times_are_whole_and_every_event_has_an_id_of_its_own(conversation):
    for event in conversation:
        assert all(type(v) is int for name, v in event.items() if name.endswith("_ms"))
    ids = [event["event_id"] for event in conversation]
    assert len(set(ids)) == len(ids)


def test_ends_have_the_reasons_that_clients_know(conversation):
    ends = [event["response"] for event in of(conversation, "response.done")]
    details = [end["status_details"] for end in ends]
    assert {end["status"] for end in ends} == {"completed", "cancelled", "incomplete", "failed"}
    for end, detail in zip(ends, details, strict=True):
        if end["status"] == "completed":
            assert detail is None
        else:
            assert detail["type"] == end["status"]
            assert detail.get("reason") in (
                None, "turn_detected", "client_cancelled", "max_output_tokens", "content_filter"
            )  # fmt: skip
    failed = [d["error"] for d in details if d and "error" in d]
    assert all({"type", "code", "message"} <= set(error) for error in failed)


def test_metadata_comes_back_and_usage_has_its_details(conversation):
    ends = [event["response"] for event in of(conversation, "response.done", "response.created")]
    assert {"client_event_id": "evt_1"} in [end["metadata"] for end in ends]
    counted = [end["usage"] for end in ends if end["usage"]]
    for usage in counted:
        inputs, outputs = usage["input_token_details"], usage["output_token_details"]
        kinds_of_input = ("text_tokens", "audio_tokens", "image_tokens")
        assert usage["input_tokens"] == sum(inputs[name] for name in kinds_of_input)
        assert usage["output_tokens"] == outputs["text_tokens"] + outputs["audio_tokens"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        cached = inputs["cached_tokens_details"]
        assert inputs["cached_tokens"] == sum(cached[name] for name in kinds_of_input)


def test_mistakes_have_the_codes_that_kits_forgive(conversation):
    codes = {event["error"]["code"] for event in of(conversation, "error")}
    assert {
        "response_cancel_not_active",
        "item_retrieve_invalid_item_id",
        "input_audio_buffer_commit_empty",
        "invalid_json",
    } <= codes
    cancel = next(
        e["error"] for e in of(conversation, "error")
        if e["error"]["code"] == "response_cancel_not_active"
    )  # fmt: skip
    assert cancel["message"].startswith("Cancellation failed")
    assert cancel["event_id"] == "mine"
