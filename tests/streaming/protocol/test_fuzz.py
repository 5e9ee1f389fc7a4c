"""Hostile and random input: nothing raises, nothing is lost, and both sides stay in step."""

import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streaming.protocol.client_events import CLIENT_EVENTS
from streaming.protocol.engine_events import (
    Failure,
    InputTranscript,
    InstructionsRefused,
    InstructionsUpdated,
    ItemTruncated,
    ReplyAudio,
    ReplyCall,
    ReplyCallDone,
    ReplyDone,
    ReplyText,
)
from streaming.protocol.limits import Limits
from streaming.protocol.wire_json import MAX_DEPTH
from tests.streaming.protocol.models import ClientModel, EngineModel
from tests.streaming.protocol.rig import LOUD, QUIET, USAGE, Rig, b64, kinds, text_item, tone

FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=10) | st.sampled_from(["type", "id", "audio"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        *("session", "audio", "item", "item_id", "previous_item_id", "response", "response_id"),
        *("content_index", "audio_end_ms", "event_id"),
    ]
)
# What options and items are made of, so that random objects come close to right ones.
WORDS = st.sampled_from(
    [
        *("type", "realtime", "audio", "input", "output", "format", "audio/pcm", "rate", "voice"),
        *("turn_detection", "server_vad", "threshold", "transcription", "model", "prompt"),
        *("instructions", "output_modalities", "max_output_tokens", "inf", "tools", "metadata"),
        *("message", "role", "user", "content", "input_text", "text", "conversation"),
    ]
)
NEAR = st.recursive(
    WORDS | st.none() | st.integers(-2, 5000) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=15,
)

# A field that is nested, in texts: Python cannot write all of them.
DEEP = st.builds(
    lambda kind, field, opening, depth: f'{{"type":"{kind}","{field}":{nested(*opening, depth)}}}',
    st.sampled_from(sorted(CLIENT_EVENTS)),
    FIELDS,
    st.sampled_from([("[", "]"), ('{"tools":[', "]}"), ('{"session":', "}")]),
    st.integers(30, 1_100),
)


def nested(opening, closing, depth):
    return opening * depth + "0" + closing * depth


@FEW
@given(DEEP)
def test_random_depths(frame):
    rig = Rig()
    assert kinds(rig.raw(frame)) == ["error"]
    rig.respond()


@pytest.mark.parametrize("depth", [5, 20, 58, 59, 60, 100, 300])
@pytest.mark.parametrize("option", ["tracing", "reasoning", "parameters"])
def test_options_of_any_depth(option, depth):
    rig = Rig()
    value = {"a": json.loads(nested('{"a":', "}", depth))}
    session = {option: value}
    if option == "parameters":
        session = {"tools": [{"type": "function", "name": "f", "parameters": value}]}
    frame = json.dumps({"type": "session.update", "session": {"type": "realtime", **session}})
    (event,) = rig.raw(frame)
    is_deep = frame.count("[") + frame.count("{") > MAX_DEPTH
    assert is_deep == (event["type"] == "error" and "64 levels" in event["error"]["message"])
    rig.respond()


@FEW
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_random_frames(frame):
    rig = Rig()
    assert kinds(rig.raw(frame)) == ["error"]
    rig.respond()


@FEW
@given(JSON)
def test_random_json(value):
    rig = Rig()
    assert kinds(rig.raw(json.dumps(value))) == ["error"]
    rig.respond()


@FEW
@given(st.sampled_from(sorted(CLIENT_EVENTS)), st.dictionaries(FIELDS, JSON | NEAR, max_size=5))
def test_random_fields_of_known_events(kind, fields):
    rig = Rig()
    fields.pop("type", None)
    events = rig.raw(json.dumps({"type": kind, **fields}))
    # An append of audio that says nothing is the one event without an answer.
    assert events or kind == "input_audio_buffer.append"
    assert rig.add()


@FEW
@given(NEAR)
def test_random_options(options):
    rig = Rig()
    session = {"type": "realtime", **options} if isinstance(options, dict) else options
    (event,) = rig.send("session.update", session=session, event_id="mine")
    assert event["type"] in ("session.updated", "error")
    (event,) = rig.send("response.create", response=options, event_id="mine")
    assert event["type"] in ("response.created", "error")


class SessionMachine(RuleBasedStateMachine):
    """A client that does anything, an engine that answers at any time or late."""

    @initialize(manual=st.booleans(), transcribed=st.booleans(), interrupting=st.booleans())
    def open(self, manual, transcribed, interrupting):
        self.rig = Rig(limits=Limits(max_items=8, max_turn_ms=3000))
        self.engine, self.client = EngineModel(), ClientModel()
        self.engine.told = self.rig.session.instructions
        self.numbers = itertools.count()
        self.asked_cuts = self.asked_deletes = self.late_errors = 0
        detection = {"type": "server_vad", "interrupt_response": interrupting}
        audio = {
            "turn_detection": None if manual else detection,
            "transcription": {"model": "m"} if transcribed else None,
        }
        self.rig.update({"type": "realtime", "audio": {"input": audio}})

    def _settle(self, events):
        for event in events:
            self.client.take(event)
        for command in self.rig.take_commands():
            self.engine.carry_out(command)

    def _send(self, kind, **fields):
        event_id = f"client_{next(self.numbers)}"
        events = self.rig.send(kind, event_id=event_id, **fields)
        self._settle(events)
        errors = [e for e in events if e["type"] == "error"]
        return bool(errors) and errors[0]["error"]["event_id"] == event_id, events

    def _some_item(self, place):
        return self.client.items[place % len(self.client.items)] if self.client.items else "nope"

    # --- the client ---

    @rule(level=st.sampled_from([LOUD, QUIET]), ms=st.sampled_from([5, 90, 400, 900]))
    def speak(self, level, ms):
        self._send("input_audio_buffer.append", audio=b64(tone(level, ms)))

    @rule()
    def commit(self):
        failed, events = self._send("input_audio_buffer.commit")
        assert failed or "input_audio_buffer.committed" in kinds(events)

    @rule()
    def clear(self):
        failed, events = self._send("input_audio_buffer.clear")
        assert not failed
        assert kinds(events) == ["input_audio_buffer.cleared"]

    @rule(manual=st.booleans())
    def change_turn_detection(self, manual):
        detection = None if manual else {"type": "server_vad"}
        session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        failed, events = self._send("session.update", session=session)
        assert not failed
        assert kinds(events) == ["session.updated"]

    @rule(name=st.sampled_from(["Ada", "Bob"]))
    def change_instructions(self, name):
        session = {"type": "realtime", "instructions": f"You are {name}."}
        assert kinds(self._send("session.update", session=session)[1]) == ["session.updated"]

    @rule(telephone=st.booleans())
    def change_formats(self, telephone):
        wire = {"type": "audio/pcmu"} if telephone else {"type": "audio/pcm", "rate": 24000}
        session = {"type": "realtime", "audio": {"output": {"format": wire}}}
        assert not self._send("session.update", session=session)[0]

    @rule(place=st.integers(0, 10), how=st.sampled_from(["last", "root", "behind", "nope"]))
    def create_item(self, place, how):
        where = {"last": None, "root": "root", "behind": self._some_item(place), "nope": "nope"}[
            how
        ]
        failed, events = self._send(
            "conversation.item.create", item=text_item(), previous_item_id=where
        )
        assert failed or kinds(events) == ["conversation.item.added", "conversation.item.done"]

    @rule(place=st.integers(0, 10))
    def delete_item(self, place):
        item_id = self._some_item(place)
        failed, events = self._send("conversation.item.delete", item_id=item_id)
        # What a cancelled reply has made is deleted at its end.
        now = [] if self.engine.is_cancelling(item_id) else ["conversation.item.deleted"]
        assert failed or kinds(events) == now
        self.asked_deletes += not failed

    @rule(place=st.integers(0, 10))
    def retrieve_item(self, place):
        failed, events = self._send("conversation.item.retrieve", item_id=self._some_item(place))
        assert failed or kinds(events) == ["conversation.item.retrieved"]

    @rule(place=st.integers(0, 10), end_ms=st.sampled_from([0, 100, 5000]))
    def truncate_item(self, place, end_ms):
        failed, events = self._send(
            "conversation.item.truncate",
            item_id=self._some_item(place),
            content_index=0,
            audio_end_ms=end_ms,
        )
        assert failed or events == []
        self.asked_cuts += not failed

    @rule(written=st.booleans())
    def create_response(self, written):
        response = {"output_modalities": ["text" if written else "audio"]}
        was_running = self.client.running
        failed, events = self._send("response.create", response=response)
        assert failed or kinds(events) == ["response.created"] or was_running

    @rule()
    def cancel(self):
        was_running = self.client.running
        failed, events = self._send("response.cancel")
        assert failed == (was_running is None)
        assert failed or events == []

    # --- the engine ---

    @precondition(lambda self: self.engine.reply)
    @rule(ms=st.sampled_from([20, 500]))
    def reply(self, ms):
        reply = self.engine.reply
        reply.begun = True
        self._settle(self.rig.engine(ReplyText(response_id=reply.response_id, text="word ")))
        if reply.modality == "audio":
            pcm = tone(LOUD, ms)
            self._settle(self.rig.engine(ReplyAudio(response_id=reply.response_id, pcm=pcm)))

    @precondition(lambda self: self.engine.reply)
    @rule(complete=st.booleans())
    def call(self, complete):
        fields = {
            "response_id": self.engine.reply.response_id,
            "item_id": self.engine.call(),
            "name": "f",
            "arguments": "{}",
        }
        self._settle(self.rig.engine(ReplyCall(**fields)))
        self._settle(self.rig.engine(ReplyCallDone(**fields, complete=complete)))

    @precondition(lambda self: self.engine.reply)
    @rule(status=st.sampled_from(["completed", "cancelled", "incomplete", "failed"]))
    def end_reply(self, status):
        response_id = self.engine.reply.response_id
        self.engine.end_reply(status)
        done = ReplyDone(response_id=response_id, status=status, usage=USAGE)
        events = self.rig.engine(done)
        # A cut that waited for the end may turn out to be longer than what an earlier one left.
        self.late_errors += kinds(events).count("error")
        self._settle(events)

    @precondition(lambda self: self.engine.to_cut)
    @rule()
    def cut(self):
        item_id = self.engine.to_cut.pop(0)
        self._settle(self.rig.engine(ItemTruncated(item_id=item_id, text="")))

    @precondition(lambda self: self.engine.to_transcribe)
    @rule()
    def transcribe(self):
        item_id = self.engine.to_transcribe.pop(0)
        self._settle(self.rig.engine(InputTranscript(item_id=item_id, text="what")))

    @precondition(lambda self: self.engine.to_brief)
    @rule(fits=st.booleans(), latest=st.booleans())
    def brief(self, fits, latest):
        # What is refused at once is so before what waits for a reply's end.
        command = self.engine.to_brief.pop(-1 if latest and not fits else 0)
        if fits:
            self.engine.told = command.instructions
            answer = InstructionsUpdated(update_id=command.update_id)
        else:
            failure = Failure(code="capacity", message="too long")
            answer = InstructionsRefused(update_id=command.update_id, failure=failure)
        events = self.rig.engine(answer)
        assert ("error" in kinds(events)) is not fits
        self._settle(events)

    # --- what holds ---

    @invariant()
    def the_session_shows_what_the_engine_was_told(self):
        if hasattr(self, "engine") and not self.engine.to_brief:
            assert self.rig.session.instructions == self.engine.told

    @invariant()
    def both_run_the_same_response(self):
        if hasattr(self, "engine"):
            running = self.engine.reply.response_id if self.engine.reply else None
            assert self.client.running == running

    @invariant()
    def what_the_client_knows_has_the_engine_in_the_same_order(self):
        if hasattr(self, "engine"):
            known = [item for item in self.engine.items if item in self.client.items]
            assert self.client.items == known

    def teardown(self):
        if not hasattr(self, "engine"):
            return
        while self.engine.reply:
            self.end_reply("completed")
        while self.engine.to_cut:
            self.cut()
        while self.engine.to_transcribe:
            self.transcribe()
        counts = self.client.counts
        assert counts.get("response.created", 0) == counts.get("response.done", 0)
        unseen = set(self.engine.items) - set(self.client.items)
        assert unseen <= {self.engine.open_turn}, "an item that only the engine has"
        told = counts.get("conversation.item.truncated", 0)
        assert told + self.late_errors == self.asked_cuts
        assert counts.get("conversation.item.deleted", 0) == self.asked_deletes


TestSessionMachine = SessionMachine.TestCase
TestSessionMachine.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
