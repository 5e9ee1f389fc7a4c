"""A session on a line where the server plays the sound: barge-in, and the buffer's events."""

from dataclasses import replace

import numpy as np
import pytest

from streaming.media.formats import PCM_48K
from streaming.media.playout import Playout
from streaming.protocol.commands import (
    AppendUserAudio,
    CancelResponse,
    StartUserAudio,
    TruncateItem,
)
from streaming.protocol.engine_events import ItemTruncated, ReplyAudio, ReplyText
from streaming.protocol.errors import ProtocolError
from streaming.protocol.limits import Limits
from streaming.protocol.live import LiveMouth, LiveSession
from streaming.protocol.ports import Ports
from streaming.protocol.session import RealtimeSession
from streaming.turns.ear import Ear
from tests.streaming.protocol.rig import (
    LOUD,
    MANUAL,
    PROFILE,
    QUIET,
    LoudnessActivity,
    Rig,
    error_of,
    kinds,
    new_eye,
    tone,
)


class LiveRig(Rig):
    """The same, with a loudspeaker that plays when it is told to."""

    def __init__(self, *, session=None, limits=None, profile=PROFILE):
        self.playout, mouth = Playout(), LiveMouth()
        inner = RealtimeSession(
            profile=profile,
            ports=Ports(ear=Ear(LoudnessActivity), mouth=mouth, eye=new_eye()),
            limits=limits,
            expires_at_s=1_800_000_000,
            defaults=session,
        )
        self.session = LiveSession(inner, mouth, self.playout)
        self.opening = self.drain()
        self.take_commands()

    def play(self, ms):
        for _ in range(ms // 20):
            frame = self.playout.next_frame()
            self.session.receive_playout(frame.started, frame.stopped)
        return self.drain()

    def listen(self, level, ms):
        sound = tone(level, ms, PCM_48K)
        for at in range(0, len(sound), 1920):
            self.session.receive_audio(sound[at : at + 1920], PCM_48K)
        return self.drain()


def test_sound_goes_to_the_loudspeaker_and_not_to_the_wire():
    rig = LiveRig()
    response_id, _ = rig.respond()
    events = kinds(rig.speak(response_id, ms=1000))
    assert "response.output_audio.delta" not in events
    assert "response.output_audio_transcript.delta" in events
    assert rig.playout.waiting_ms == 1000


def test_a_format_of_the_wire_has_no_effect_on_a_line_and_that_is_said():
    telephone = {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}
    rig = LiveRig()
    assert rig.opening[0]["session"]["x_not_applied"] == []
    assert rig.update({"type": "realtime", **telephone})["x_not_applied"] == ["audio.output.format"]
    assert rig.session.snapshot()["session"]["x_not_applied"] == ["audio.output.format"]
    (created,) = rig.send("response.create", response=telephone)
    assert created["response"]["x_not_applied"] == ["audio.output.format"]
    rig.done(created["response"]["id"])
    plain = {"audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}}}}
    (created,) = rig.send("response.create", response=plain)
    assert created["response"]["x_not_applied"] == []


def test_speech_at_another_speed_is_played_to_its_end():
    rig = LiveRig(session={"type": "realtime", "audio": {"output": {"speed": 1.25}}})
    response_id, _ = rig.respond()
    rig.speak(response_id, ms=1000)
    assert rig.playout.waiting_ms < 800
    rig.done(response_id)
    assert rig.playout.waiting_ms == 800


def test_the_buffer_stops_behind_the_end_of_the_response():
    rig = LiveRig()
    response_id, _ = rig.respond()
    rig.speak(response_id, ms=100)
    assert kinds(rig.play(20)) == ["output_audio_buffer.started"]
    assert rig.play(200) == [], "it may be only late"
    assert kinds(rig.done(response_id))[-1] == "response.done"
    (stopped,) = rig.play(20)
    assert (stopped["type"], stopped["response_id"]) == ("output_audio_buffer.stopped", response_id)
    assert rig.play(100) == []


def test_a_user_who_speaks_into_a_running_reply_cuts_it_to_what_was_played():
    rig = LiveRig()
    response_id, item_id = rig.respond()
    rig.speak(response_id, "One two three.", ms=2000)
    rig.play(400)
    events = rig.listen(LOUD, 300)
    assert kinds(events) == ["input_audio_buffer.speech_started", "output_audio_buffer.cleared"]
    assert rig.playout.waiting_ms == 0
    commands = rig.take_commands()
    # The reply ends before anything of what cut it is heard by the engine.
    kinds_of = [type(command) for command in commands]
    assert kinds_of[:3] == [StartUserAudio, CancelResponse, AppendUserAudio]
    assert commands[1] == CancelResponse(response_id=response_id, heard_ms=None)
    assert kinds_of.count(CancelResponse) == 1
    # What the engine says before it has seen the cancel is not played.
    rig.engine(ReplyText(response_id=response_id, text=" Four."))
    rig.engine(ReplyAudio(response_id=response_id, pcm=tone(LOUD, 500)))
    assert rig.playout.waiting_ms == 0
    events = rig.done(response_id, "cancelled")
    assert events[-1]["response"]["status_details"]["reason"] == "turn_detected"
    cuts = [command for command in rig.take_commands() if isinstance(command, TruncateItem)]
    assert cuts[-1] == TruncateItem(item_id=item_id, audio_end_ms=400)
    for cut in cuts:
        events = rig.engine(ItemTruncated(item_id=cut.item_id, text="One"))
    assert kinds(events) == ["conversation.item.truncated"]
    assert events[0]["audio_end_ms"] == 400


def test_a_reply_that_is_made_but_not_played_is_cut_too():
    rig = LiveRig()
    item_id = rig.spoken_reply(ms=2000)
    rig.play(1000)
    events = kinds(rig.listen(LOUD, 300))
    assert events == ["input_audio_buffer.speech_started", "output_audio_buffer.cleared"]
    assert TruncateItem(item_id=item_id, audio_end_ms=1000) in rig.take_commands()


def test_a_reply_that_was_heard_to_its_end_is_not_cut():
    rig = LiveRig()
    rig.spoken_reply(ms=400)
    rig.play(600)
    assert kinds(rig.listen(LOUD, 300)) == ["input_audio_buffer.speech_started"]
    assert not [command for command in rig.take_commands() if isinstance(command, TruncateItem)]


def test_where_speech_does_not_interrupt_the_reply_goes_on():
    detection = {"type": "server_vad", "interrupt_response": False}
    rig = LiveRig(session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}})
    rig.spoken_reply(ms=2000)
    rig.play(400)
    assert kinds(rig.listen(LOUD, 300)) == ["input_audio_buffer.speech_started"]
    assert rig.playout.waiting_ms == 1600


def test_a_client_clears_the_buffer():
    rig = LiveRig()
    response_id, item_id = rig.respond()
    rig.speak(response_id, ms=2000)
    rig.play(200)
    (cleared,) = rig.send("output_audio_buffer.clear")
    assert cleared == {
        "type": "output_audio_buffer.cleared",
        "event_id": cleared["event_id"],
        "response_id": response_id,
    }
    rig.engine(ReplyAudio(response_id=response_id, pcm=tone(LOUD, 500)))
    assert rig.playout.waiting_ms == 0, "the rest of the reply is not played"
    rig.done(response_id)
    assert rig.take_commands()[-1] == TruncateItem(item_id=item_id, audio_end_ms=200)
    assert rig.play(100) == []


def test_interrupt_as_the_browser_kit_does_it():
    """`response.cancel`, then `output_audio_buffer.clear`, whether anything is played or not."""
    rig = LiveRig()
    assert rig.send("output_audio_buffer.clear") == []
    response_id, _ = rig.respond()
    rig.speak(response_id, ms=1000)
    assert rig.send("response.cancel") == []
    assert kinds(rig.send("output_audio_buffer.clear")) == ["output_audio_buffer.cleared"]
    assert kinds(rig.send("output_audio_buffer.clear")) == ["output_audio_buffer.cleared"]


def test_an_item_that_was_deleted_meanwhile_is_no_error():
    rig = LiveRig()
    item_id = rig.spoken_reply(ms=1000)
    rig.send("conversation.item.delete", item_id=item_id)
    assert kinds(rig.send("output_audio_buffer.clear")) == ["output_audio_buffer.cleared"]


def test_a_client_cannot_use_the_layers_own_event_ids():
    rig = LiveRig()
    error = error_of(rig.send("conversation.item.delete", item_id="nobody", event_id="live_1"))
    assert error["event_id"] == "live_1"


def test_with_push_to_talk_a_turn_begins_with_the_first_sound():
    rig = LiveRig(session=MANUAL)
    assert rig.listen(QUIET, 1000) == []
    assert rig.take_commands() == []
    rig.listen(LOUD, 500)
    assert isinstance(rig.take_commands()[0], StartUserAudio)
    assert kinds(rig.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"
    rig.take_commands()
    rig.listen(QUIET, 500)
    assert rig.take_commands() == []


def test_a_turn_without_end_is_refused_once():
    rig = LiveRig(session=MANUAL, limits=Limits(max_turn_ms=1000))
    error = error_of(rig.listen(LOUD, 2000))
    assert error["code"] == "input_audio_buffer_full"
    assert kinds(rig.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert rig.listen(LOUD, 500) == []
    assert kinds(rig.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"


def test_an_answer_that_is_refused_does_not_stop_the_microphone():
    detection = {"type": "server_vad", "interrupt_response": False}
    rig = LiveRig(session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}})
    response_id, _ = rig.respond()
    rig.speak(response_id, ms=2000)
    error = (rig.listen(LOUD, 300) + rig.listen(QUIET, 700))[-1]["error"]
    assert error["code"] == "conversation_already_has_active_response"
    rig.done(response_id)
    assert kinds(rig.listen(LOUD, 300)) == ["input_audio_buffer.speech_started"]


def test_a_full_conversation_does_not_stop_the_microphone():
    rig = LiveRig(limits=Limits(max_items=1))
    item_id = rig.add()["id"]
    error = error_of(rig.listen(LOUD, 300) + rig.listen(QUIET, 700))
    assert error["code"] == "conversation_full"
    rig.send("conversation.item.delete", item_id=item_id)
    assert kinds(rig.listen(LOUD, 300)) == ["input_audio_buffer.speech_started"]


def test_a_turn_that_was_too_long_does_not_stop_the_detector_of_turns():
    rig = LiveRig(session=MANUAL, limits=Limits(max_turn_ms=1000))
    assert error_of(rig.listen(LOUD, 2000))["code"] == "input_audio_buffer_full"
    rig.send("input_audio_buffer.clear")
    assert error_of(rig.listen(LOUD, 2000))["code"] == "input_audio_buffer_full", "once a turn"
    detected = {"turn_detection": {"type": "server_vad"}}
    rig.update({"type": "realtime", "audio": {"input": detected}})
    assert "input_audio_buffer.speech_started" in kinds(rig.listen(LOUD, 300))


def test_a_model_without_ears_refuses_a_live_line_once():
    deaf = replace(PROFILE, inputs=("text",))
    rig = LiveRig(profile=deaf)
    assert error_of(rig.listen(LOUD, 500))["code"] == "unsupported_value"


def test_after_a_pushed_turn_that_was_refused_the_next_begins_with_its_sound():
    rig = LiveRig(session=MANUAL, limits=Limits(max_items=1))
    item_id = rig.add()["id"]
    assert error_of(rig.listen(LOUD, 300))["code"] == "conversation_full"
    assert error_of(rig.send("input_audio_buffer.commit"))["code"] == "conversation_full"
    rig.send("conversation.item.delete", item_id=item_id)
    rig.take_commands()
    assert rig.listen(QUIET, 300) == []
    assert rig.take_commands() == []
    assert rig.listen(LOUD, 300) == []
    assert kinds(rig.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"


def test_defaults_are_in_force_from_the_first_event():
    rig = LiveRig(session={"type": "realtime", "instructions": "Sing."})
    assert rig.session.instructions == "Sing."
    assert rig.opening[0]["session"]["instructions"] == "Sing."


@pytest.mark.parametrize("session", [{"type": "realtime", "speed": 9}, {"instructions": "x"}])
def test_wrong_defaults_are_refused(session):
    with pytest.raises(ProtocolError, match="session"):
        LiveRig(session=session)


@pytest.mark.parametrize("frame", [b'{"output_audio_buffer.clear', '"output_audio_buffer.clear"'])
def test_what_only_looks_like_a_clear_is_judged_by_the_session(frame):
    assert error_of(LiveRig().raw(frame))["code"] == "invalid_json"


def test_silence_is_told_from_sound():
    from streaming.media.codecs import is_silent

    assert is_silent(b"")
    assert is_silent(np.full(100, 30, dtype="<i2").tobytes())
    assert not is_silent(np.full(100, -40, dtype="<i2").tobytes())
