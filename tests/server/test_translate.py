"""Every command has its engine message and every engine message its meaning; nothing is lost."""

from dataclasses import fields
from typing import get_args, get_type_hints

import pytest

from model.mel import SAMPLE_RATE_HZ
from server.translate import (
    SAME_COMMANDS,
    SAME_EVENTS,
    SAME_PARTS,
    response_aside,
    to_engine,
    to_protocol,
)
from streaming.engine.messages.commands import CopyItem, OpenConversation
from streaming.engine.messages.content import (
    INPUT_SAMPLE_RATE_HZ,
    AudioPart,
    Frame,
    ImagePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    VideoPart,
)
from streaming.engine.messages.events import (
    ConversationOpened,
    ConversationRefused,
    EngineLoading,
    EngineReady,
    Event,
    InputTranscript,
    InputTranscriptDelta,
    InstructionsRefused,
    InstructionsUpdated,
    Pong,
    ResponseDone,
    ResponseError,
    StageTimings,
    TranscriptToken,
    Usage,
)
from streaming.engine.messages.load import EngineLoad
from streaming.media.resample import MODEL_RATE_HZ
from streaming.protocol import commands as said
from streaming.protocol import engine_events as heard

# What each engine message is for, where it is no business of a session.
BEFORE_OR_BESIDE = {
    EngineLoading,
    EngineReady,
    EngineLoad,
    ConversationOpened,
    ConversationRefused,
    Pong,
}
FRAME = said.Frame(pixels=b"rgb", rows=1, columns=1)
SAME_FRAME = Frame(pixels=b"rgb", rows=1, columns=1)
VALUES = {
    "item_id": "item",
    "tokens": (TranscriptToken(octets=(104,), log_prob=-1.0),),
    "response_id": "resp",
    "previous_item_id": "before",
    "pcm": b"\x01\x02",
    "role": "user",
    "parts": (
        said.TextPart(text="hi"),
        said.AudioPart(pcm=b"abcd"),
        said.ImagePart(frame=FRAME),
        said.VideoPart(frames=(FRAME,), frames_per_second=0.5, pcm=b"efgh"),
        said.ToolCallPart(name="f", arguments="{}"),
        said.ToolResultPart(output="18"),
    ),
    "frame": FRAME,
    "frames_per_second": 2.0,
    "video": said.VideoPart(frames=(FRAME,), frames_per_second=0.5),
    "tools": ('{"type": "function"}',),
    "tool_choice": "required",
    "function": "f",
    "parallel_tool_calls": False,
    "name": "f",
    "arguments": "{}",
    "complete": True,
    "source_item_id": "source",
    "retention_ratio": 0.5,
    "items_tokens": 9,
    "copies_items": True,
    "command": said.CopyItem(item_id="item", source_item_id="source"),
    "audio_end_ms": 70,
    "heard_ms": 30,
    "instructions": "be brief",
    "modality": "text",
    "voice": "v",
    "max_output_tokens": 9,
    "text": "words",
    "conversation_id": "conv",
    "status": "completed",
    "reason": "why",
    "update_id": "update",
    "error": None,
    "code": "c",
    "message": "m",
    "fatal": True,
    "usage": Usage(input_text_tokens=1, input_audio_tokens=2, output_audio_tokens=3),
    "timings": StageTimings(),
}


def example(kind):
    return kind(**{field.name: VALUES[field.name] for field in fields(kind)})


def test_every_command_becomes_a_message_of_this_conversation():
    made = [to_engine(example(kind), "conv") for kind in get_args(said.Command)]
    beside = {OpenConversation, CopyItem}
    for message in made:
        expected = "conv/resp" if type(message) in beside else "conv"
        assert message.conversation_id == expected
    assert len({type(message) for message in made}) == len(made)


def test_what_both_sides_say_in_the_same_words_has_the_same_fields():
    for table in (SAME_COMMANDS, SAME_PARTS, SAME_EVENTS):
        for ours, theirs in table.items():
            here, there = get_type_hints(ours), get_type_hints(theirs)
            assert set(here) ^ set(there) <= {"conversation_id"}, ours
            for name in set(here) & set(there):
                # The engine's instructions may be None, which a session never says.
                same = here[name] == there[name]
                assert same or (ours, name) == (said.UpdateInstructions, "instructions")


def test_nothing_of_what_is_the_same_is_lost():
    for table, translated in (
        (SAME_COMMANDS, lambda command: to_engine(command, "conv")),
        (SAME_EVENTS, to_protocol),
    ):
        for ours, theirs in table.items():
            made = translated(example(ours))
            assert type(made) is theirs
            assert made == example(theirs)


def test_an_item_keeps_its_parts_and_its_place():
    item = to_engine(example(said.CreateItem), "conv")
    assert item.parts == (
        TextPart(text="hi"),
        AudioPart(pcm=b"abcd"),
        ImagePart(frame=SAME_FRAME),
        VideoPart(frames=(SAME_FRAME,), frames_per_second=0.5, pcm=b"efgh"),
        ToolCallPart(name="f", arguments="{}"),
        ToolResultPart(output="18"),
    )
    assert (item.previous_item_id, item.role) == ("before", "user")
    front = said.CreateItem(item_id="i", previous_item_id=None, role="user", parts=())
    assert to_engine(front, "conv").previous_item_id == "root"


def test_what_a_camera_saw_keeps_its_place():
    frame = to_engine(example(said.AppendUserFrame), "conv")
    assert (frame.item_id, frame.frame, frame.frames_per_second) == ("item", SAME_FRAME, 2.0)
    shown = to_engine(example(said.ShowUserVideo), "conv")
    assert shown.video == VideoPart(frames=(SAME_FRAME,), frames_per_second=0.5)


def test_a_response_keeps_its_choices():
    respond = to_engine(example(said.StartResponse), "conv")
    assert respond.modalities == ("text",)
    assert (respond.max_output_tokens, respond.instructions) == (9, "be brief")
    assert respond.voice == "v"
    assert respond.tools == VALUES["tools"]
    assert (respond.tool_choice, respond.function) == ("required", "f")
    assert respond.parallel_tool_calls is False


def test_a_response_aside_has_a_conversation_that_knows_its_parent():
    opening = to_engine(example(said.OpenAside), "conv")
    assert (opening.parent_id, opening.copies_items) == ("conv", True)
    assert response_aside(opening.conversation_id) == "resp"
    assert response_aside("conv") is None
    copy = to_engine(example(said.Aside), "conv")
    assert (copy.source_id, copy.source_item_id) == ("conv", "source")
    cancel = said.Aside(response_id="resp", command=example(said.CancelResponse))
    assert to_engine(cancel, "conv").conversation_id == "conv/resp"


def test_every_message_about_a_conversation_reaches_its_session():
    for kind in get_args(Event):
        if kind in BEFORE_OR_BESIDE:
            continue
        event = to_protocol(example(kind))
        assert isinstance(event, get_args(heard.EngineEvent)), kind


def test_instructions_and_their_answer_bear_the_same_name():
    update = to_engine(example(said.UpdateInstructions), "conv")
    assert (update.update_id, update.instructions) == ("update", "be brief")
    assert to_protocol(example(InstructionsUpdated)).update_id == "update"
    refused = to_protocol(example(InstructionsRefused))
    assert refused.update_id == "update"
    assert refused.failure == heard.Failure(code="c", message="m")


@pytest.mark.parametrize("kind", [InputTranscriptDelta, InputTranscript])
def test_a_transcript_keeps_how_sure_its_tokens_are(kind):
    token = TranscriptToken(octets=(104, 105), log_prob=-0.5)
    told = to_protocol(kind(conversation_id="c", item_id="item", text="hi", tokens=(token,)))
    assert told.text == "hi"
    assert told.tokens == (heard.TranscriptToken(octets=(104, 105), log_prob=-0.5),)


def test_a_reply_that_failed_says_why():
    error = ResponseError(code="c", message="m")
    done = ResponseDone(conversation_id="conv", response_id="r", status="failed", error=error)
    assert to_protocol(done).failure == heard.Failure(code="c", message="m")
    assert to_protocol(example(ResponseDone)).usage.input_audio_tokens == 2


def test_samples_cross_at_the_rate_that_the_networks_hear():
    assert INPUT_SAMPLE_RATE_HZ == MODEL_RATE_HZ == SAMPLE_RATE_HZ
