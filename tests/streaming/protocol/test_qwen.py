"""The dialect of Qwen-Omni-Realtime: its names, options and end, around the same session."""

import base64
import io
import itertools
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from streaming.media.formats import PCM_16K, AudioFormat
from streaming.media.mouth import Mouth
from streaming.protocol.commands import (
    AppendUserAudio,
    AppendUserFrame,
    CommitUserAudio,
    CreateItem,
    StartResponse,
    UpdateInstructions,
)
from streaming.protocol.engine_events import (
    InputTranscript,
    ReplyAudio,
    ReplyCall,
    ReplyCallDone,
    ReplyDone,
    ReplyText,
)
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.ports import Ports
from streaming.protocol.qwen.events import ga_view
from streaming.protocol.qwen.options import ga_defaults
from streaming.protocol.qwen.session import QwenSession
from streaming.protocol.session import RealtimeSession
from streaming.turns.ear import Ear
from tests.streaming.protocol.rig import (
    LOUD,
    PROFILE,
    QUIET,
    USAGE,
    LoudnessActivity,
    b64,
    new_eye,
    tone,
)

SEES = ModelProfile(
    model_id="seer", inputs=("text", "audio", "image", "video"), voices=("ada",), instructions=""
)
MANUAL = {"turn_detection": None, "input_audio_transcription": None}
SDK_UPDATE = {  # as dashscope's `update_session` writes it
    "modalities": ["audio", "text"],
    "voice": "Cherry",
    "input_audio_format": "pcm16",
    "output_audio_format": "pcm16",
    "input_audio_transcription": {"model": None},
    "turn_detection": {
        "type": "server_vad",
        "threshold": 0.2,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 800,
    },
}


class QwenRig:
    def __init__(self, *, profile: ModelProfile = PROFILE, limits: Limits | None = None) -> None:
        numbers = itertools.count()
        inner = RealtimeSession(
            profile=profile,
            ports=Ports(ear=Ear(LoudnessActivity), mouth=Mouth(), eye=new_eye()),
            limits=limits,
            defaults=ga_defaults(profile),
            make_id=lambda prefix: f"{prefix}_{next(numbers)}",
        )
        self.session = QwenSession(inner, profile, limits or Limits())
        self.opening = self.session.events_to_send()
        self.take_commands()

    def send(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        self.session.receive_event(orjson.dumps({"type": kind, **fields}))
        return self.session.events_to_send()

    def update(self, **options: Any) -> dict[str, Any]:
        (event,) = self.send("session.update", session=options)
        assert event["type"] == "session.updated", event
        return event["session"]

    def engine(self, event: Any) -> list[dict[str, Any]]:
        self.session.receive_engine(event)
        return self.session.events_to_send()

    def hear(self, level: float, ms: int, wire: AudioFormat = PCM_16K) -> list[dict[str, Any]]:
        audio = tone(level, ms, wire)
        step = wire.rate_hz // 10 * 2
        return [
            event
            for at in range(0, len(audio), step)
            for event in self.send("input_audio_buffer.append", audio=b64(audio[at : at + step]))
        ]

    def take_commands(self) -> list[Any]:
        return list(self.session.commands())

    def started(self) -> StartResponse:
        (start,) = [c for c in self.take_commands() if isinstance(c, StartResponse)]
        return start


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def error_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    (event,) = events
    assert event["type"] == "error", event
    assert set(event["error"]) == {"type", "code", "message", "param"}
    return event["error"]


def test_the_greeting_is_the_flat_session_alone():
    made = QwenRig()
    (created,) = made.opening
    assert created["type"] == "session.created"
    session = created["session"]
    assert session["object"] == "realtime.session"
    assert session["model"] == "omni-mini"
    assert session["modalities"] == ["text", "audio"]
    assert (session["input_audio_format"], session["output_audio_format"]) == ("pcm", "pcm")
    assert session["input_audio_transcription"] == {"model": "gummy-realtime-v1"}
    assert session["turn_detection"] | {"idle_timeout_ms": None} == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 800,
        "create_response": True,
        "interrupt_response": True,
        "idle_timeout_ms": None,
    }
    assert (session["tools"], session["tool_choice"]) == ([], "auto")


def test_what_the_kit_sends_is_taken_and_echoed():
    made = QwenRig()
    session = made.update(**SDK_UPDATE, temperature=0.9, max_tokens=16384, seed=1)
    assert session["voice"] == "ljs", "a voice of the hosted models stands for the first one"
    assert session["turn_detection"]["threshold"] == 0.2
    assert session["modalities"] == ["text", "audio"]
    assert session["temperature"] == 0.9
    assert session["max_tokens"] == "inf"
    assert session["x_not_applied"] == ["max_tokens", "seed", "temperature"]
    session = made.update(modalities=["text"], instructions="Be kind.", max_tokens=64)
    assert (session["modalities"], session["max_tokens"]) == (["text"], 64)
    (command,) = made.take_commands()
    assert isinstance(command, UpdateInstructions)
    assert (command.instructions, command.tools) == ("Be kind.", ())
    assert made.update(turn_detection=None)["turn_detection"] is None
    assert made.update(turn_detection={"type": "semantic_vad"})["turn_detection"]["type"] == (
        "semantic_vad"
    )


STRICT = {"type": "function", "function": {"name": "f", "strict": True}}


@pytest.mark.parametrize(
    ("option", "named"),
    [
        (
            {"turn_detection": {"type": "semantic_vad", "threshold": 0.5}},
            ["turn_detection.threshold"],
        ),
        (
            {
                "turn_detection": {
                    "type": "semantic_vad",
                    "silence_duration_ms": 400,
                    "prefix_padding_ms": 100,
                }
            },
            ["turn_detection.prefix_padding_ms", "turn_detection.silence_duration_ms"],
        ),
        ({"turn_detection": {"threshold": -0.5}}, ["turn_detection.threshold"]),
        ({"turn_detection": {"threshold": 0.1, "silence_duration_ms": 400}}, []),
        (
            {"input_audio_transcription": {"language": "de", "corpus": {"text": "x"}}},
            ["input_audio_transcription.corpus", "input_audio_transcription.language"],
        ),
        ({"max_tokens": 4097}, ["max_tokens"]),
        ({"max_tokens": 4096}, []),
        ({"tools": [STRICT]}, ["tools.strict"]),
        (
            {"audio": {"input": {"format": {"type": "pcm", "bits": 16, "sample_rate": 8000}}}},
            ["audio.input.format.bits"],
        ),
        ({"enable_search": False, "temperature": None}, []),
        ({"video": {"input": {}}}, ["video"]),
    ],
)
def test_an_option_that_changes_nothing_is_named_until_it_is_taken_back(option, named):
    made = QwenRig()
    assert made.update(**option)["x_not_applied"] == named
    assert made.update(instructions="Be kind.")["x_not_applied"] == named, "it is still in force"
    assert made.update(**dict.fromkeys(option))["x_not_applied"] == []


def test_strict_tools_of_one_response_are_refused():
    made = QwenRig()
    error = error_of(made.send("response.create", response={"tools": [STRICT]}))
    assert (error["code"], error["param"]) == (
        "unsupported_value",
        "response.tools[0].function.strict",
    )


def test_sound_is_16_khz_and_other_rates_are_said():
    made = QwenRig()
    made.update(**MANUAL)
    made.hear(LOUD, 1000)
    assert heard_ms(made) == 1000
    sdk_format = {"input": {"format": {"type": "pcm", "sample_rate": 48000, "speech_rate": 1.2}}}
    assert made.update(audio=sdk_format)["x_input_sample_rate"] == 48_000
    made.hear(LOUD, 1000, AudioFormat(encoding="pcm16", rate_hz=48_000))
    assert heard_ms(made) == 1000
    assert made.update(sample_rate=8000)["x_input_sample_rate"] == 8_000


def heard_ms(made: QwenRig) -> int:
    made.send("input_audio_buffer.commit")
    commands = made.take_commands()
    assert any(isinstance(c, CommitUserAudio) for c in commands)
    heard = sum(len(c.pcm) for c in commands if isinstance(c, AppendUserAudio))
    return round(heard / 64)


def test_a_detected_turn_and_its_answer_have_the_dialects_names():
    made = QwenRig()
    events = made.hear(LOUD, 1000) + made.hear(QUIET, 1500)
    assert kinds(events) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
        "response.created",
    ]
    response = events[-1]["response"]
    assert response["modalities"] == ["text", "audio"]
    assert response["voice"] == "ljs"
    assert "audio" not in response
    commands = made.take_commands()
    (start,) = [c for c in commands if isinstance(c, StartResponse)]
    name = start.response_id
    item_id = next(c.item_id for c in commands if isinstance(c, CommitUserAudio))
    events = made.engine(ReplyText(response_id=name, text="Hi."))
    events += made.engine(ReplyAudio(response_id=name, pcm=bytes(4800)))
    events += made.engine(ReplyDone(response_id=name, status="completed", usage=USAGE))
    events += made.engine(InputTranscript(item_id=item_id, text="Hello"))
    assert kinds(events) == [
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
        "response.audio_transcript.delta",
        "response.audio.delta",
        "response.audio.done",
        "response.audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
        "conversation.item.input_audio_transcription.completed",
    ]
    done = events[-2]["response"]
    assert done["output"][0]["content"] == [{"type": "audio", "transcript": "Hi."}]
    assert done["usage"]["input_tokens_details"]["audio_tokens"] == 50
    assert done["usage"]["output_tokens_details"]["text_tokens"] == 3
    assert done["usage"]["total_tokens"] == 85
    assert len({event["event_id"] for event in events}) == len(events)


def test_a_written_answer_asked_for_as_the_kit_asks():
    made = QwenRig()
    made.update(**MANUAL)
    text = {"type": "input_text", "text": "Hello."}
    made.send("conversation.item.create",
              item={"type": "message", "role": "user", "content": [text]})  # fmt: skip
    response = {"instructions": None, "modalities": ["text"]}
    made.send("response.create", response=response)
    start = made.started()
    assert (start.modality, start.instructions) == ("text", None)
    events = made.engine(ReplyText(response_id=start.response_id, text="Hi."))
    assert kinds(events)[-1] == "response.text.delta"
    part = events[-2]["part"]
    assert part["type"] == "text"


@pytest.mark.parametrize(("wished", "bound"), [(64, 64), (4096, 4096), (5000, None)])
def test_a_bound_of_one_response_is_that_of_a_session(wished, bound):
    made = QwenRig()
    made.send("response.create", response={"max_tokens": wished})
    assert made.take_commands()[-1].max_output_tokens == bound


def test_a_wrong_bound_is_named_as_the_client_named_it():
    error = error_of(QwenRig().send("response.create", response={"max_tokens": 0}))
    assert error["param"] == "response.max_tokens"


def test_tools_are_nested_and_their_results_flat():
    made = QwenRig()
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    session = made.update(**MANUAL, tools=[tool])
    assert session["tools"] == [tool]
    (told,) = made.take_commands()
    assert orjson.loads(told.tools[0])["function"]["name"] == "f"
    made.send("response.create")
    name = made.started().response_id
    call = {"response_id": name, "item_id": "i_call0", "name": "f", "arguments": "{}"}
    events = made.engine(ReplyCall(**call))
    events += made.engine(ReplyCallDone(**call, complete=True))
    events += made.engine(ReplyDone(response_id=name, status="completed", usage=USAGE))
    done = next(e for e in events if e["type"] == "response.function_call_arguments.done")
    output = {"type": "function_call_output", "call_id": done["call_id"], "output": "4"}
    assert kinds(made.send("conversation.item.create", item=output)) == [
        "conversation.item.created"
    ]
    assert any(isinstance(c, CreateItem) for c in made.take_commands())


def test_frames_join_the_turn():
    made = QwenRig(profile=SEES)
    made.update(**MANUAL)
    file = io.BytesIO()
    Image.fromarray(np.full((40, 60, 3), 9, np.uint8)).save(file, "JPEG")
    image = base64.b64encode(file.getvalue()).decode()
    made.hear(LOUD, 200)
    assert made.send("input_image_buffer.append", image=image) == []
    made.hear(LOUD, 500)
    made.send("input_audio_buffer.commit")
    frames = [c for c in made.take_commands() if isinstance(c, AppendUserFrame)]
    assert len(frames) == 2


def test_a_watch_of_the_ga_protocol_can_follow_it():
    made = QwenRig()
    (created,) = made.opening
    assert ga_view(created)["session"]["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    made.update(**MANUAL)
    (response,) = made.send("response.create")
    assert ga_view(response)["response"]["audio"]["output"]["format"]["type"] == "audio/pcm"
    name = made.started().response_id
    events = made.engine(ReplyAudio(response_id=name, pcm=bytes(4800)))
    assert kinds([ga_view(event) for event in events])[-1] == "response.output_audio.delta"


# --- the end ----------------------------------------------------------------------------------


def test_a_session_with_nothing_under_way_is_finished_at_once():
    made = QwenRig()
    assert kinds(made.send("session.finish")) == ["session.finished"]
    assert error_of(made.send("response.create"))["code"] == "session_finished"


def test_a_session_is_finished_when_all_was_answered_and_transcribed():
    made = QwenRig()
    made.hear(LOUD, 1000)
    made.hear(QUIET, 1500)
    commands = made.take_commands()
    (start,) = [c for c in commands if isinstance(c, StartResponse)]
    item_id = next(c.item_id for c in commands if isinstance(c, CommitUserAudio))
    assert made.send("session.finish") == []
    assert error_of(made.send("input_audio_buffer.append", audio=""))["code"] == "session_finished"
    done = ReplyDone(response_id=start.response_id, status="completed", usage=USAGE)
    assert kinds(made.engine(done)) == ["response.done"]
    last = made.engine(InputTranscript(item_id=item_id, text="Hello"))
    assert kinds(last)[-1] == "session.finished"


# --- mistakes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"modalities": ["audio"]}, "invalid_value", "session.modalities"),
        ({"modalities": "text"}, "invalid_type", "session.modalities"),
        ({"output_modalities": ["text"]}, "unknown_parameter", "session.output_modalities"),
        ({"input_audio_format": "opus"}, "invalid_value", "session.input_audio_format"),
        ({"voice": "nobody"}, "invalid_value", "session.audio.output.voice"),
        ({"turn_detection": {"type": "server_vad", "threshold": 2}}, "decimal_above_max_value",
         "session.turn_detection.threshold"),
        ({"turn_detection": {"type": "server_vad", "silence_duration_ms": 100}},
         "integer_below_min_value", "session.turn_detection.silence_duration_ms"),
        ({"audio": {"output": {"format": {"type": "pcm", "sample_rate": 48000}}}},
         "unsupported_value", "session.audio.output.format.sample_rate"),
        ({"audio": {"input": {"format": {"type": "wav"}}}}, "unsupported_value",
         "session.audio.input.format.type"),
        ({"tools": [{"type": "function", "name": "f"}]}, "invalid_value", "session.tools[0]"),
        (None, "invalid_type", "session"),
    ],
)  # fmt: skip
def test_a_wrong_update_is_named_and_changes_nothing(session, code, param):
    made = QwenRig()
    before = made.update()
    error = error_of(made.send("session.update", session=session))
    assert (error["code"], error["param"]) == (code, param)
    assert made.update() == before


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("conversation.item.truncate", {}, "invalid_value"),
        ("conversation.item.retrieve", {"item_id": "x"}, "invalid_value"),
        ("output_audio_buffer.clear", {}, "invalid_value"),
        ("input_audio_buffer.append", {"audio": 7}, "invalid_type"),
        ("input_audio_buffer.append", {"audio": "%"}, "invalid_value"),
        ("input_audio_buffer.append", {"audio": "AAAA"}, "invalid_value"),
        ("input_audio_buffer.commit", {}, "input_audio_buffer_commit_empty"),
        ("input_image_buffer.append", {"image": "AAAA"}, "unsupported_value"),
        ("response.cancel", {}, "response_cancel_not_active"),
        ("response.create", {"response": []}, "invalid_type"),
        ("response.create", {"response": {"max_tokens": 0}}, "integer_below_min_value"),
        ("response.create", {"response": {"max_tokens": "inf"}}, "invalid_type"),
        ("response.create", {"response": {"modalities": [1, "text"]}}, "invalid_value"),
        ("conversation.item.create", {"item": 7}, "invalid_type"),
        (
            "conversation.item.create",
            {"item": {"role": "user", "content": [{"type": "input_audio", "audio": ""}]}},
            "unsupported_value",
        ),
    ],
)
def test_a_wrong_event_is_told_without_the_clients_id(kind, fields, code):
    error = error_of(QwenRig().send(kind, event_id="mine", **fields))
    assert error["code"] == code
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("frame", [b"{", b"[]", b'"x"', b"{}", b'{"type": 7}', b"\xff"])
def test_a_frame_that_is_no_event_is_told(frame):
    made = QwenRig()
    made.session.receive_event(frame)
    assert error_of(made.session.events_to_send())["type"] == "invalid_request_error"


def test_large_events_are_bounded():
    made = QwenRig(limits=Limits(max_options_bytes=200, max_event_bytes=400))
    error = error_of(made.send("session.update", session={"instructions": "x" * 200}))
    assert "200 (max_options_bytes)" in error["message"]
    error = error_of(made.send("session.update", session={"instructions": "x" * 400}))
    assert "400 (max_event_bytes)" in error["message"]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False)
    | st.text(max_size=4)
    | st.sampled_from(["text", "audio", "pcm", "function", "server_vad", "message", "user"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "role", "content", "function", "name", "text", "format", "input",
                         "output", "threshold", "modalities", "tools", "voice", "audio"]),
        inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@given(
    kind=st.sampled_from(["session.update", "conversation.item.create", "response.create",
                          "input_audio_buffer.append", "input_image_buffer.append",
                          "session.finish"]),
    fields=st.dictionaries(
        st.sampled_from(["session", "item", "response", "audio", "image", "event_id"]), values
    ),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_no_event_breaks_the_session(kind, fields):
    made = QwenRig()
    made.send(kind, **fields)
    assert made.send("no.such.event")[-1]["type"] == "error"
