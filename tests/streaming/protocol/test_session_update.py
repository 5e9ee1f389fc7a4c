"""session.update: merging, echoing, refusing."""

import numpy as np
import pytest

from streaming.media.codecs import encode
from streaming.media.formats import PCM_24K
from streaming.protocol.commands import AppendUserAudio, SetTruncation, UpdateInstructions
from streaming.protocol.engine_events import Failure, InstructionsRefused, InstructionsUpdated
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.session_options import SessionConfig
from tests.streaming.protocol.rig import LOUD, MANUAL, QUIET, Rig, b64, error_of, kinds


def test_session_created_comes_first_and_is_whole():
    rig = Rig()
    created, conversation = rig.opening
    assert created["type"] == "session.created"
    assert conversation["type"] == "conversation.created"
    session = created["session"]
    assert session["model"] == "omni-mini"
    assert session["instructions"] == "Be brief."
    assert session["output_modalities"] == ["audio"]
    assert session["audio"]["output"]["voice"] == "ljs"
    assert session["expires_at"] == 1_800_000_000
    assert session["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "create_response": True,
        "interrupt_response": True,
        "idle_timeout_ms": None,
    }
    assert session["x_not_applied"] == []


def test_opening_is_what_the_conversation_is_opened_with():
    rig = Rig()
    assert (rig.session.instructions, rig.session.voice) == ("Be brief.", "ljs")
    rig.update({"type": "realtime", "instructions": "Rhyme."})
    assert rig.session.instructions == "Rhyme."


def test_every_option_is_echoed():
    # An option that the echo forgets is one that a client believes to be unset.
    session = Rig().opening[0]["session"]
    rare = {"reasoning", "parallel_tool_calls"}
    assert set(SessionConfig.model_fields) - rare <= set(session)


def test_absent_is_unchanged():
    rig = Rig()
    rig.update({"type": "realtime", "instructions": "Rhyme."})
    session = rig.update(
        {"type": "realtime", "audio": {"input": {"turn_detection": {"threshold": 0.7}}}}
    )
    assert session["instructions"] == "Rhyme."
    assert session["audio"]["input"]["turn_detection"]["threshold"] == 0.7
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}


def test_another_kind_of_turn_detection_starts_from_its_defaults():
    rig = Rig()
    rig.update(
        {"type": "realtime", "audio": {"input": {"turn_detection": {"create_response": False}}}}
    )
    wanted = {"type": "semantic_vad", "eagerness": "low"}
    session = rig.update({"type": "realtime", "audio": {"input": {"turn_detection": wanted}}})
    assert session["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "low",
        "create_response": True,
        "interrupt_response": True,
    }
    assert session["x_not_applied"] == []


@pytest.mark.parametrize("option", ["turn_detection", "noise_reduction", "transcription"])
def test_null_clears(option):
    rig = Rig()
    value = {
        "turn_detection": {"type": "server_vad"},
        "noise_reduction": {"type": "near_field"},
        "transcription": {"model": "whisper-1"},
    }[option]
    rig.update({"type": "realtime", "audio": {"input": {option: value}}})
    session = rig.update({"type": "realtime", "audio": {"input": {option: None}}})
    assert session["audio"]["input"][option] is None


def test_empty_text_clears_instructions_and_null_brings_the_default_back():
    rig = Rig()
    assert rig.update({"type": "realtime", "instructions": ""})["instructions"] == ""
    assert rig.update({"type": "realtime", "instructions": None})["instructions"] == "Be brief."
    commands = rig.take_commands()
    assert [(c.instructions, c.tools) for c in commands] == [("", ()), ("Be brief.", ())]


def test_the_engine_hears_only_of_changed_instructions():
    rig = Rig()
    rig.update({"type": "realtime", "instructions": "Be brief.", "output_modalities": ["text"]})
    assert rig.take_commands() == []


def test_transcription_shows_rare_keys_only_when_set():
    # Pipecat raises a TypeError for a `delay` key that it did not send.
    rig = Rig()
    one = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    session = rig.update({"type": "realtime", **one})
    assert session["audio"]["input"]["transcription"] == {
        "model": "whisper-1",
        "language": None,
        "prompt": None,
    }
    two = {"audio": {"input": {"transcription": {"delay": "low", "language": "en"}}}}
    session = rig.update({"type": "realtime", **two})
    assert session["audio"]["input"]["transcription"]["delay"] == "low"
    assert session["audio"]["input"]["transcription"]["model"] == "whisper-1"
    assert session["x_not_applied"] == [
        "audio.input.transcription.language",
        "audio.input.transcription.delay",
    ]


@pytest.mark.parametrize(
    ("patch", "path"),
    [
        ({"tracing": "auto"}, "tracing"),
        ({"tracing": {"workflow_name": "w"}}, "tracing"),
        ({"reasoning": {"effort": "low"}}, "reasoning"),
        ({"include": ["item.input_audio_transcription.logprobs"]}, "include"),
    ],
)
def test_what_has_no_effect_is_accepted_and_said_so(patch, path):
    session = Rig().update({"type": "realtime", **patch})
    assert session["x_not_applied"] == [path]


@pytest.mark.parametrize("parallel", [True, False])
def test_parallel_tool_calls_are_echoed(parallel):
    session = Rig().update({"type": "realtime", "parallel_tool_calls": parallel})
    assert session["parallel_tool_calls"] is parallel
    assert session["x_not_applied"] == []


def noise_reduction(**wanted):
    return {"type": "realtime", "audio": {"input": {"noise_reduction": wanted}}}


def heard_hiss(*updates):
    """How loud (RMS) a steady hiss is that reaches the engine, after it has been learnt."""
    rig = Rig(manual=True)
    for update in updates:
        session = rig.update(update)
        assert session["x_not_applied"] == []
    hiss = np.random.default_rng(0).normal(0, 0.01, 3 * 24_000).astype(np.float32)
    rig.send("input_audio_buffer.append", audio=b64(encode(hiss, PCM_24K)))
    pcm = b"".join(c.pcm for c in rig.take_commands() if isinstance(c, AppendUserAudio))
    samples = np.frombuffer(pcm, "<f4")
    assert len(samples) > 2.9 * 16_000
    return float(np.sqrt(np.mean(samples[32_000:] ** 2)))


def test_noise_reduction_takes_noise_off_what_the_model_hears():
    loud = heard_hiss()
    near, far = (heard_hiss(noise_reduction(type=f"{kind}_field")) for kind in ("near", "far"))
    assert loud / near > 2.5
    assert near / far > 1.3
    strong = noise_reduction(type="near_field", strength=2.0)
    assert loud / heard_hiss(strong) > loud / far
    none = heard_hiss(noise_reduction(type="near_field", strength=0.0))
    assert none == pytest.approx(loud)
    off = {"type": "realtime", "audio": {"input": {"noise_reduction": None}}}
    assert heard_hiss(strong, off) == pytest.approx(loud)


def test_noise_reduction_that_cannot_be_had_is_said_so(monkeypatch):
    monkeypatch.setattr("streaming.turns.ear.is_available", lambda: False)
    rig = Rig()
    session = rig.update(noise_reduction(type="far_field"))
    assert session["audio"]["input"]["noise_reduction"] == {"type": "far_field"}
    assert session["x_not_applied"] == ["audio.input.noise_reduction"]
    rig.hear(LOUD, 500)


@pytest.mark.parametrize("wire", ["audio/pcmu", "audio/pcma"])
def test_telephone_formats_both_ways(wire):
    audio = {"input": {"format": {"type": wire}}, "output": {"format": {"type": wire}}}
    session = Rig().update({"type": "realtime", "audio": audio})
    assert session["audio"]["input"]["format"] == {"type": wire}
    assert session["audio"]["output"]["format"] == {"type": wire}


@pytest.mark.parametrize("voice", ["other", {"id": "other"}])
def test_a_voice_of_the_model(voice):
    session = Rig().update({"type": "realtime", "audio": {"output": {"voice": voice}}})
    assert session["audio"]["output"]["voice"] == "other"


def test_openai_voice_names_stand_for_the_first_voice():
    # The agents kits send one unasked; refusing it would lock them out.
    session = Rig().update({"type": "realtime", "audio": {"output": {"voice": "ash"}}})
    assert session["audio"]["output"]["voice"] == "ljs"


def test_the_model_is_fixed_and_the_echo_says_which():
    assert Rig().update({"type": "realtime", "model": "gpt-realtime"})["model"] == "omni-mini"


def test_voice_is_frozen_once_heard():
    rig = Rig()
    rig.spoken_reply()
    other = {"type": "realtime", "audio": {"output": {"voice": "other"}}}
    error = error_of(rig.send("session.update", session=other))
    assert error["code"] == "cannot_update_voice"
    same = {"type": "realtime", "audio": {"output": {"voice": "ljs"}}}
    assert rig.update(same)["audio"]["output"]["voice"] == "ljs"


def under_input(**value):
    return {"audio": {"input": value}}


def under_output(**value):
    return {"audio": {"output": value}}


WRONG = [
    ({"nonsense": 1}, "unknown_parameter", "session.nonsense"),
    ({"modalities": ["text"]}, "unknown_parameter", "session.modalities"),
    (
        {"output_modalities": ["text", "audio"]},
        "array_above_max_length",
        "session.output_modalities",
    ),
    ({"output_modalities": []}, "array_below_min_length", "session.output_modalities"),
    ({"output_modalities": ["smell"]}, "invalid_value", "session.output_modalities[0]"),
    ({"instructions": 7}, "invalid_type", "session.instructions"),
    ({"max_output_tokens": 0}, "integer_below_min_value", "session.max_output_tokens"),
    ({"max_output_tokens": 4097}, "integer_above_max_value", "session.max_output_tokens"),
    ({"max_output_tokens": True}, "invalid_type", "session.max_output_tokens"),
    ({"type": "transcription"}, "invalid_value", "session.type"),
    ({"type": None}, "invalid_value", "session.type"),
    ({"audio": 3}, "invalid_type", "session.audio"),
    (
        under_input(format={"type": "audio/pcm", "rate": 16000}),
        "invalid_value",
        "session.audio.input.format.rate",
    ),
    (under_input(format={"type": "audio/ogg"}), "invalid_value", "session.audio.input.format.type"),
    (
        under_input(format={}),
        "missing_required_parameter",
        "session.audio.input.format.type",
    ),
    (
        under_input(turn_detection={"type": "smart_turn"}),
        "invalid_value",
        "session.audio.input.turn_detection.type",
    ),
    (
        under_input(turn_detection={"silence_duration_ms": 500.5}),
        "invalid_type",
        "session.audio.input.turn_detection.silence_duration_ms",
    ),
    (
        under_input(turn_detection={"threshold": 1.5}),
        "decimal_above_max_value",
        "session.audio.input.turn_detection.threshold",
    ),
    (
        under_input(turn_detection={"eagerness": "low"}),
        "unknown_parameter",
        "session.audio.input.turn_detection.eagerness",
    ),
    (under_output(voice="nobody"), "invalid_value", "session.audio.output.voice"),
    (under_output(voice=7), "invalid_type", "session.audio.output.voice"),
    (under_output(speed=2), "decimal_above_max_value", "session.audio.output.speed"),
    (under_output(speed=0.2), "decimal_below_min_value", "session.audio.output.speed"),
    (
        {"tools": [{"type": "mcp", "server_label": "s"}]},
        "unsupported_value",
        "session.tools[0].type",
    ),
    (
        {"tools": [{"type": "function", "name": "f"}] * 2},
        "invalid_value",
        "session.tools[1].name",
    ),
    ({"tools": [{"type": "tool", "name": "f"}]}, "invalid_value", "session.tools[0].type"),
    ({"tools": [{"type": None, "name": "f"}]}, "invalid_value", "session.tools[0].type"),
    ({"tools": [{"type": "function", "name": "a b"}]}, "invalid_value", "session.tools[0].name"),
    (
        {"tool_choice": {"type": "function", "name": "f"}},
        "invalid_value",
        "session.tool_choice.name",
    ),
    ({"prompt": {"id": "p"}}, "unsupported_value", "session.prompt"),
]


@pytest.mark.parametrize(("patch", "code", "param"), WRONG)
def test_a_wrong_option_is_named_and_nothing_changes(patch, code, param):
    rig = Rig()
    before = rig.opening[0]["session"]
    session = {"type": "realtime", "instructions": "Changed."} | patch
    error = error_of(rig.send("session.update", event_id="mine", session=session))
    assert (error["code"], error["param"]) == (code, param)
    assert (error["type"], error["event_id"]) == ("invalid_request_error", "mine")
    assert rig.update({"type": "realtime"}) == before
    assert rig.take_commands() == []


def test_a_beta_name_is_told_its_new_one():
    rig = Rig()
    error = error_of(rig.send("session.update", session={"type": "realtime", "voice": "ljs"}))
    assert "session.audio.output.voice" in error["message"]


def test_an_unknown_voice_is_told_the_choices():
    patch = {"type": "realtime", **under_output(voice="nobody")}
    error = error_of(Rig().send("session.update", session=patch))
    assert "'nobody'" in error["message"]
    assert "'ljs', 'other'" in error["message"]


def test_type_is_required_in_every_update():
    error = error_of(Rig().send("session.update", session={"instructions": "x"}))
    assert (error["code"], error["param"]) == ("missing_required_parameter", "session.type")


def test_instructions_have_a_limit():
    rig = Rig(limits=Limits(max_text_chars=10))
    patch = {"type": "realtime", "instructions": "x" * 11}
    error = error_of(rig.send("session.update", session=patch))
    assert "11" in error["message"]
    assert "10 (max_text_chars)" in error["message"]


def test_a_text_model_promises_neither_ears_nor_voice():
    profile = ModelProfile(model_id="t", inputs=("text",), voices=(), instructions="")
    rig = Rig(profile=profile)
    session = rig.opening[0]["session"]
    assert session["output_modalities"] == ["text"]
    assert session["audio"]["input"]["turn_detection"] is None
    assert session["audio"]["output"]["voice"] is None
    for patch in (
        {"output_modalities": ["audio"]},
        under_input(turn_detection={"type": "server_vad"}),
    ):
        error = error_of(rig.send("session.update", session={"type": "realtime", **patch}))
        assert error["code"] == "unsupported_value"
    assert error_of(rig.hear(LOUD, 100))["code"] == "unsupported_value"


def test_turning_detection_off_in_mid_speech_keeps_the_turn():
    rig = Rig()
    assert kinds(rig.hear(QUIET, 200) + rig.hear(LOUD, 500)) == [
        "input_audio_buffer.speech_started"
    ]
    rig.update(MANUAL)
    rig.hear(QUIET, 1000)
    events = rig.send("input_audio_buffer.commit")
    assert kinds(events)[0] == "input_audio_buffer.committed"


@pytest.mark.parametrize(
    ("truncation", "ratio", "tokens"),
    [
        ("disabled", None, None),
        ({"type": "retention_ratio", "retention_ratio": 0.5}, 0.5, None),
        (
            {
                "type": "retention_ratio",
                "retention_ratio": 0.8,
                "token_limits": {"post_instructions": 900},
            },
            0.8,
            900,
        ),
    ],
)
def test_truncation_goes_to_the_engine(truncation, ratio, tokens):
    rig = Rig()
    rig.update({"type": "realtime", "truncation": truncation})
    assert rig.take_commands() == [SetTruncation(retention_ratio=ratio, items_tokens=tokens)]
    rig.update({"type": "realtime", "truncation": "auto"})
    assert rig.take_commands() == [SetTruncation(retention_ratio=1.0, items_tokens=None)]


def refuse(rig, command):
    return rig.engine(
        InstructionsRefused(
            update_id=command.update_id,
            failure=Failure(code="capacity", message="9 more tokens do not fit (context_tokens)"),
        )
    )


def told(rig, event_id=None, **session):
    """Updates the session; what the engine is told of it."""
    update = {"type": "realtime", **session}
    (event,) = rig.send("session.update", session=update, event_id=event_id)
    assert event["type"] == "session.updated"
    (command,) = rig.take_commands()
    assert isinstance(command, UpdateInstructions)
    return command


TOOL = {"type": "function", "name": "f"}
CHOICE = {"type": "function", "name": "f"}


def test_refused_instructions_are_an_error_and_those_before_are_back():
    rig = Rig()
    command = told(rig, "mine", instructions="Too long.", tools=[TOOL], tool_choice=CHOICE)
    rig.update({"type": "realtime", "max_output_tokens": 9})
    error, updated = refuse(rig, command)
    assert error["error"] == {
        "type": "invalid_request_error",
        "code": "capacity",
        "message": "Invalid 'session.instructions': 9 more tokens do not fit (context_tokens). "
        "The instructions and tools before them stay in force.",
        "param": "session.instructions",
        "event_id": "mine",
    }
    assert updated["type"] == "session.updated"
    session = updated["session"]
    assert (session["instructions"], session["tools"]) == ("Be brief.", [])
    assert (session["tool_choice"], session["max_output_tokens"]) == ("auto", 9)
    assert rig.session.instructions == "Be brief."
    assert rig.take_commands() == [], "the engine has them still"


def test_refused_tools_are_named():
    rig = Rig()
    error, updated = refuse(rig, told(rig, tools=[TOOL]))
    assert error["error"]["param"] == "session.tools"
    assert updated["session"]["tools"] == []


def test_instructions_that_were_taken_are_those_that_come_back():
    rig = Rig()
    first = told(rig, instructions="Be kind.")
    assert rig.engine(InstructionsUpdated(update_id=first.update_id)) == []
    second = told(rig, instructions="Too long.")
    assert refuse(rig, second)[1]["session"]["instructions"] == "Be kind."


def test_refused_instructions_that_were_replaced_meanwhile_change_nothing():
    rig = Rig()
    first, second = told(rig, instructions="Too long."), told(rig, instructions="Be kind.")
    assert kinds(refuse(rig, first)) == ["error"]
    assert rig.session.instructions == "Be kind."
    assert rig.engine(InstructionsUpdated(update_id=second.update_id)) == []


def test_a_choice_that_was_made_since_then_stays():
    rig = Rig()
    rig.engine(InstructionsUpdated(update_id=told(rig, tools=[TOOL]).update_id))
    command = told(rig, instructions="Too long.")
    rig.update({"type": "realtime", "tool_choice": "none"})
    assert refuse(rig, command)[1]["session"]["tool_choice"] == "none"
    command = told(rig, tools=[TOOL, {**TOOL, "name": "g"}])
    rig.update({"type": "realtime", "tool_choice": {**CHOICE, "name": "g"}})
    assert refuse(rig, command)[1]["session"]["tool_choice"] == "auto", "g is not among them"


def test_of_two_that_are_refused_neither_is_left():
    rig = Rig()
    first, second = told(rig, instructions="Too long."), told(rig, tools=[TOOL])
    assert kinds(refuse(rig, first)) == ["error"]
    _, updated = refuse(rig, second)
    assert (updated["session"]["instructions"], updated["session"]["tools"]) == ("Be brief.", [])
