"""Chat completions: what a request means, and chunks that the official SDK and DashScope's read."""

import base64
import json

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from streaming.protocol.commands import TextPart, ToolCallPart, ToolResultPart
from streaming.protocol.completion_answer import CompletionAnswer
from streaming.protocol.completion_parts import SoundFile
from streaming.protocol.completion_request import parsed_request
from streaming.protocol.engine_events import (
    Failure,
    ReplyAudio,
    ReplyCall,
    ReplyCallDone,
    ReplyDone,
    ReplyText,
)
from streaming.protocol.errors import ProtocolError
from streaming.protocol.limits import Limits, ModelProfile
from tests.streaming.protocol.rig import PROFILE, USAGE

HELLO = {"role": "user", "content": "Hello."}
SPOKEN = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}


def parsed(*messages, limits=None, profile=PROFILE, **fields):
    body = {"model": "omni-mini", "messages": list(messages or [HELLO]), **fields}
    return parsed_request(body, profile, limits or Limits())


def refused(*messages, **fields):
    with pytest.raises(ProtocolError) as failure:
        parsed(*messages, **fields)
    return failure.value


# --- requests -------------------------------------------------------------------------------


def test_a_conversation_becomes_items():
    call = {"id": "k", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = parsed(
        {"role": "system", "content": "Be kind."},
        HELLO,
        {"role": "assistant", "content": [{"type": "text", "text": "Hi."}], "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "k", "content": "18"},
        {"role": "developer", "content": "Now rhyme."},
        {"role": "user", "content": [{"type": "text", "text": "And?"}]},
    )
    assert asked.instructions == "Be kind."
    assert [(item.role, item.parts, item.param) for item in asked.items] == [
        ("user", (TextPart(text="Hello."),), "messages[1].content"),
        ("assistant", (TextPart(text="Hi."),), "messages[2].content"),
        ("assistant", (ToolCallPart(name="f", arguments="{}"),), "messages[2].tool_calls[0]"),
        ("user", (ToolResultPart(output="18"),), "messages[3].content"),
        ("system", (TextPart(text="Now rhyme."),), "messages[4].content"),
        ("user", (TextPart(text="And?"),), "messages[5].content"),
    ]
    assert (asked.modality, asked.stream, asked.max_tokens) == ("text", False, None)


@pytest.mark.parametrize("prefix", ["", "data:;base64,", "data:audio/wav;base64,"])
def test_sound_in_base64_bare_or_as_a_data_url(prefix):
    data = prefix + base64.b64encode(b"RIFF").decode()
    part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    (item,) = parsed({"role": "user", "content": [part]}).items
    expected = "messages[0].content[0].input_audio.data"
    assert item.parts == (SoundFile(data=b"RIFF", kind="wav", param=expected),)


def test_options_of_a_spoken_answer_with_tools():
    choice = {"type": "function", "function": {"name": "f"}}
    asked = parsed(
        **SPOKEN, tools=[TOOL], tool_choice=choice, stream=True, max_completion_tokens=7,
        stream_options={"include_usage": True}, temperature=0.5, seed=1,
    )  # fmt: skip
    assert (asked.modality, asked.voice, asked.audio_format) == ("audio", "ljs", "pcm16")
    assert (asked.tools.choice, asked.tools.function) == ("required", "f")
    assert json.loads(asked.tools.texts[0])["function"] == {"name": "f", "parameters": {}}
    assert (asked.stream, asked.include_usage, asked.max_tokens) == (True, True, 7)
    assert asked.not_applied == ("temperature", "seed", "tools.strict")


@pytest.mark.parametrize(("wished", "several"), [(None, True), (True, True), (False, False)])
def test_whether_there_may_be_several_calls(wished, several):
    tool = {"type": "function", "function": {"name": "f"}}
    asked = parsed(HELLO, tools=[tool], parallel_tool_calls=wished)
    assert asked.parallel_tool_calls is several
    assert "parallel_tool_calls" not in asked.not_applied


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
VIDEO = {"type": "video", "video": ["data:image/png;base64,AAAA"]}
AWAY = {"type": "input_audio", "input_audio": {"data": "https://x/y.wav", "format": "wav"}}
FILM = {"type": "video_url"}
DETAILED = {"url": "data:video/mp4;base64,AAAA", "detail": "low"}
NOISE = {"type": "input_audio", "input_audio": {"data": "%%%", "format": "wav"}}


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"messages": []}, "array_below_min_length", "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "invalid_value", "messages"),
        ({"messages": [{"role": "user"}]}, "missing_required_parameter", "messages[0].content"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "invalid_value", "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "missing_required_parameter", "messages[0].role"),
        (
            {"messages": [HELLO, {"role": "tool", "tool_call_id": "k", "content": "18"}]},
            "invalid_tool_call_id",
            "messages[1].tool_call_id",
        ),
        ({"stop": "."}, "unsupported_value", "stop"),
        ({"stop": ["."]}, "unsupported_value", "stop"),
        ({"logprobs": True}, "unsupported_value", "logprobs"),
        ({"top_logprobs": 2}, "unsupported_value", "top_logprobs"),
        ({"logit_bias": {"5": -100}}, "unsupported_value", "logit_bias"),
        ({"stop": 5}, "invalid_type", "stop"),
        ({"frequency": 1}, "unknown_parameter", "frequency"),
        ({"n": 2}, "invalid_value", "n"),
        ({"response_format": {"type": "json_object"}}, "unsupported_value", "response_format.type"),
        ({"modalities": ["text", "audio"]}, "missing_required_parameter", "audio"),
        (
            SPOKEN | {"audio": {"voice": "x", "format": "wav"}},
            "invalid_value",
            "audio.voice",
        ),
        (
            SPOKEN | {"stream": True, "audio": {"voice": "ljs", "format": "mp3"}},
            "unsupported_value",
            "audio.format",
        ),
        ({"tools": [{"type": "function", "name": "f"}]}, "invalid_value", "tools[0]"),
        ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
        (
            SPOKEN | {"audio": {"voice": {"id": "ljs", "age": 9}, "format": "wav"}},
            "unknown_parameter",
            "audio.voice.age",
        ),
        (
            {"messages": [{"role": "user", "content": [FILM | {"video_url": DETAILED}]}]},
            "unknown_parameter",
            "messages[0].content[0].video_url.detail",
        ),
    ],
)
def test_what_is_wrong_or_not_served_is_named(fields, code, param):
    error = refused(**fields)
    assert (error.code, error.param) == (code, param)


def test_nothing_asked_of_an_option_that_is_not_served_is_no_mistake():
    names = ("stop", "logprobs", "top_logprobs", "logit_bias")
    for nothing in (dict.fromkeys(names), {"stop": [], "logprobs": False, "logit_bias": {}}):
        asked = parsed(HELLO, **nothing)
        assert asked.not_applied == ()


def test_a_result_follows_its_call():
    result = RESULT | {"content": "18"}
    error = refused(HELLO, result, CALLING)
    assert (error.code, error.param) == ("invalid_tool_call_id", "messages[1].tool_call_id")
    assert "'k'" in error.message
    parsed(HELLO, CALLING, result)


@pytest.mark.parametrize(
    ("part", "word"),
    [
        (IMAGE, "not images"),
        (VIDEO, "not videos"),
        (AWAY, "never fetched"),
        (NOISE, "base64"),
    ],
)
def test_what_cannot_be_read_is_said(part, word):
    error = refused({"role": "user", "content": [part]})
    assert word in error.message
    assert error.param.startswith("messages[0].content[0]")


def test_limits_are_named():
    error = refused({"role": "user", "content": "x" * 11}, limits=Limits(max_text_chars=10))
    assert "max_text_chars" in error.message
    assert "max_items" in refused(HELLO, HELLO, limits=Limits(max_items=1)).message
    deaf = ModelProfile(model_id="t", inputs=("text",), voices=(), instructions="")
    assert "no voice" in refused(**SPOKEN, profile=deaf).message
    part = {"type": "input_audio", "input_audio": {"data": "AAAA"}}
    assert "not audio" in refused({"role": "user", "content": [part]}, profile=deaf).message


@pytest.mark.parametrize(
    ("messages", "fields", "named"),
    [
        ([HELLO | {"name": "Ada"}], {}, ["messages.name"]),
        ([{"role": "system", "content": "Be kind.", "name": "boss"}, HELLO], {}, ["messages.name"]),
        (
            [HELLO, {"role": "assistant", "content": "Hi.", "name": "Bo", "audio": {"id": "a"}}],
            {},
            ["messages.audio", "messages.name"],
        ),
        ([HELLO], {"tools": [TOOL]}, ["tools.strict"]),
        ([HELLO], {"tools": [TOOL | {"function": {"name": "f", "strict": False}}]}, []),
        (
            [HELLO],
            {"stream": True, "stream_options": {"include_obfuscation": True}},
            ["stream_options.include_obfuscation"],
        ),
        ([HELLO], {"stream": True, "stream_options": {"include_obfuscation": False}}, []),
        ([HELLO], {"audio": SPOKEN["audio"]}, ["audio"]),
        ([HELLO], {"max_tokens": 5, "max_completion_tokens": 7}, ["max_tokens"]),
        ([HELLO], {"max_tokens": 5}, []),
    ],
)
def test_what_changes_nothing_is_named(messages, fields, named):
    assert list(parsed(*messages, **fields).not_applied) == named


def test_a_refusal_is_what_the_assistant_said():
    asked = parsed(HELLO, {"role": "assistant", "content": None, "refusal": "No."}, HELLO)
    assert asked.items[1].parts == (TextPart(text="No."),)
    asked = parsed(HELLO, {"role": "assistant", "content": "Well.", "refusal": "No."}, HELLO)
    assert asked.items[1].parts == (TextPart(text="Well."), TextPart(text="No."))


LONG = "x" * 100
CALLING = {
    "role": "assistant",
    "tool_calls": [{"id": "k", "function": {"name": "f", "arguments": LONG}}],
}
CALLED = {
    "role": "assistant",
    "tool_calls": [{"id": "k", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "k", "content": LONG}
LONG_TOOL = {"type": "function", "function": {"name": "f", "description": LONG}}


@pytest.mark.parametrize(
    ("messages", "fields", "param"),
    [
        ([{"role": "system", "content": LONG}, HELLO], {}, "messages[0].content"),
        ([HELLO, {"role": "developer", "content": LONG}], {}, "messages[1].content"),
        ([{"role": "user", "content": LONG}], {}, "messages[0].content"),
        (
            [{"role": "user", "content": [{"type": "text", "text": LONG[:50]}] * 2}],
            {},
            "messages[0].content",
        ),
        ([HELLO, {"role": "assistant", "content": LONG}], {}, "messages[1].content"),
        ([HELLO, CALLING], {}, "messages[1].tool_calls[0]"),
        ([HELLO, CALLED, RESULT], {}, "messages[2].content"),
        ([HELLO], {"tools": [LONG_TOOL]}, "tools[0]"),
    ],
)
def test_every_text_of_a_request_is_bounded(messages, fields, param):
    error = refused(*messages, **fields, limits=Limits(max_text_chars=99))
    assert (error.code, error.param) == ("string_above_max_length", param)
    assert "(max_text_chars)" in error.message
    parsed(*messages, **fields, limits=Limits(max_text_chars=200))


@pytest.mark.parametrize("tools", [{}, {"tools": [LONG_TOOL]}])
def test_all_texts_of_a_request_together_are_bounded(tools):
    messages = [{"role": "system", "content": LONG}, HELLO, CALLING, HELLO]
    error = refused(*messages, **tools, limits=Limits(max_request_chars=200))
    assert (error.code, error.param) == ("string_above_max_length", "messages")
    assert "(max_request_chars)" in error.message
    parsed(*messages, **tools, limits=Limits(max_request_chars=400))


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"type": "text"}, ".text"),
        ({"type": "text", "text": 5}, ".text"),
        ({"type": "text", "text": "x", "tone": 1}, ".tone"),
        ({"type": "input_audio", "input_audio": {}}, ".input_audio.data"),
        ({"type": "image_url", "image_url": {"url": 5}}, ".image_url.url"),
        ({"type": "image_url", "image_url": {"url": ""}, "user": 1}, ".user"),
        ({"type": "video", "video": ["", 5]}, ".video[1]"),
        ({"type": "smell"}, ".type"),
        (5, ""),
    ],
)
def test_the_place_of_a_mistake_is_the_clients(part, place):
    error = refused(HELLO, {"role": "user", "content": [part]})
    assert error.param == f"messages[1].content[0]{place}"


# --- answers --------------------------------------------------------------------------------

PCM = bytes(range(100)) * 3


def answer(**fields):
    return CompletionAnswer(
        parsed(**fields), completion_id="chatcmpl-1", model="omni-mini", created_s=1_800_000_000
    )


def events(*middle, status="completed", **done):
    return [*middle, ReplyDone(response_id="r", status=status, usage=USAGE, **done)]


SAID = [
    ReplyText(response_id="r", text="Hel"),
    ReplyAudio(response_id="r", pcm=PCM[:100]),
    ReplyText(response_id="r", text="lo."),
    ReplyAudio(response_id="r", pcm=PCM[100:]),
]


def chunks_of(made, said):
    chunks = [chunk for event in said for chunk in made.take(event)]
    return [ChatCompletionChunk.model_validate(chunk, strict=True) for chunk in chunks]


def test_a_written_stream():
    chunks = chunks_of(
        answer(stream=True, stream_options={"include_usage": True}), events(*SAID[::2])
    )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == "Hello."
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 7 + 50 + 3 + 25
    assert {chunk.id for chunk in chunks} == {"chatcmpl-1"}


def test_a_spoken_stream_as_the_official_sdk_reads_it():
    chunks = chunks_of(answer(stream=True, **SPOKEN), events(*SAID))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert all(delta.content is None for delta in deltas)
    audio = [delta.audio for delta in deltas if delta.audio]
    assert "".join(a.transcript or "" for a in audio) == "Hello."
    assert b"".join(base64.b64decode(a.data or "") for a in audio) == PCM
    assert audio[-1].expires_at == 1_800_000_000


def test_a_spoken_stream_as_dashscopes_users_read_it():
    spoken = SPOKEN | {"audio": {"voice": "Chelsie", "format": "wav"}}
    profile = ModelProfile(
        model_id="q", inputs=("text", "audio"), voices=("Chelsie",), instructions=""
    )
    made = CompletionAnswer(
        parsed(stream=True, profile=profile, **spoken),
        completion_id="chatcmpl-1", model="q", created_s=1,
    )  # fmt: skip
    deltas = [c.choices[0].delta for c in chunks_of(made, events(*SAID))]
    assert "".join(delta.content or "" for delta in deltas) == "Hello."
    joined = "".join(delta.audio.data or "" for delta in deltas if delta.audio)
    assert base64.b64decode(joined) == PCM


def test_a_whole_answer():
    made = answer(**SPOKEN, temperature=1)
    for event in events(*SAID):
        made.take(event)
    whole = made.whole(b"file")
    completion = ChatCompletion.model_validate(whole, strict=True)
    message = completion.choices[0].message
    assert (message.content, message.audio.transcript) == (None, "Hello.")
    assert base64.b64decode(message.audio.data) == b"file"
    assert completion.usage.prompt_tokens_details.cached_tokens == 5
    assert whole["x_not_applied"] == ["temperature"]


CALLED = [
    ReplyCall(response_id="r", item_id="item_1_call0", name="f", arguments=""),
    ReplyCall(response_id="r", item_id="item_1_call0", name="f", arguments='{"a": 1}'),
    ReplyCallDone(
        response_id="r", item_id="item_1_call0", name="f", arguments='{"a": 1}', complete=True
    ),
]


def test_calls_in_a_stream_and_whole():
    deltas = chunks_of(answer(stream=True, tools=[TOOL]), events(*CALLED))
    calls = [c for d in deltas for c in d.choices[0].delta.tool_calls or []]
    assert (calls[0].id, calls[0].function.name) == ("call_1_call0", "f")
    assert "".join(call.function.arguments for call in calls) == '{"a": 1}'
    assert deltas[-1].choices[0].finish_reason == "tool_calls"
    made = answer(tools=[TOOL])
    for event in events(*CALLED):
        made.take(event)
    (call,) = (
        ChatCompletion.model_validate(made.whole(b""), strict=True).choices[0].message.tool_calls
    )
    assert (call.function.name, call.function.arguments) == ("f", '{"a": 1}')


def test_an_answer_that_is_cut_short_says_length_and_one_that_failed_has_no_end():
    chunks = chunks_of(answer(stream=True), events(SAID[0], status="incomplete"))
    assert chunks[-1].choices[0].finish_reason == "length"
    failed = events(status="failed", failure=Failure(code="c", message="m"))
    assert chunks_of(answer(stream=True), failed) == []
