"""What one conversation's moments come to, on a clock that the test turns."""

import pytest

from server.telemetry.content_log import ContentLog
from server.telemetry.names import TTFA_STAGES
from server.telemetry.player import Player
from server.telemetry.watch import ConversationWatch
from streaming.engine.messages.events import (
    AudioDelta,
    InputTranscript,
    ResponseDone,
    StageTimings,
    TextDelta,
    ToolCallDone,
)
from streaming.media.playout import SILENCE, Frame
from streaming.protocol import commands as said
from tests.server.telemetry.rig import Clock, Meters
from tests.server.webrtc.rig import tone

NAME = "conv"
REPLY = {"conversation_id": NAME, "response_id": "r"}
LOUD = tone(0.02)
FELT = {"transport": "websocket", "turn_detection": "server_vad"}
SOUND = {"output": {"format": {"type": "audio/pcm", "rate": 24_000}}}
TIMINGS = StageTimings(
    queue_s=0.01,
    prefill_s=0.03,
    first_text_s=0.06,
    first_code_s=0.07,
    first_chunk_s=0.10,
    first_wave_s=0.15,
    total_s=1.0,
)


def start(name="r"):
    return said.StartResponse(
        response_id=name,
        item_id=f"{name}-item",
        modality="audio",
        voice=None,
        instructions=None,
        max_output_tokens=None,
        tools=None,
        tool_choice="auto",
        function=None,
        parallel_tool_calls=True,
    )


class Talk:
    """A watch, its clock and its metrics."""

    def __init__(self, transport="websocket", *, interrupts=True, tracing=None, clock=None):
        self.clock, self.meters = clock or Clock(), Meters(tracing)
        self.watch = ConversationWatch(
            self.meters.recorder, transport, ContentLog(asked_for=False), self.clock
        )
        detection = {"type": "server_vad", "interrupt_response": interrupts}
        session = {"audio": {"input": {"turn_detection": detection}}}
        self.note({"type": "session.created", "session": session})
        self.watch.opened(NAME)
        self.transport = transport

    def at(self, seconds):
        self.clock.now_s = 100.0 + seconds
        return self

    def note(self, event):
        """An event goes out, and is on its way at once."""
        sent = self.watch.noted(event)
        if sent is not None:
            sent()

    def ask(self):
        self.watch.commanded(start())
        self.note({"type": "response.created", "response": {"id": "r", "audio": SOUND}})

    def sound(self, pcm):
        self.watch.heard(AudioDelta(**REPLY, pcm=pcm))
        if self.transport == "websocket":
            delta = "A" * (len(pcm) * 4 // 3)
            event = {"type": "response.output_audio.delta", "response_id": "r", "delta": delta}
            self.note(event)
        else:
            self.watch.pushed("r")

    def done(self, status="completed", **fields):
        self.watch.heard(ResponseDone(**REPLY, status=status, timings=TIMINGS, **fields))
        self.note({"type": "response.done", "response": {"id": "r"}})

    def value(self, name, **labels):
        return self.meters.value(name, **labels)

    def stages(self):
        name = "ttfa_stage_seconds_sum"
        return {
            stage: self.value(name, stage=stage, transport=self.transport) for stage in TTFA_STAGES
        }


def test_a_turns_stages_add_up_to_what_the_caller_felt():
    talk = Talk()
    talk.at(0.5).watch.speech_stopped(100.0, 2_000)
    talk.at(0.52).ask()
    talk.at(0.6).watch.heard(TextDelta(**REPLY, text="So"))
    talk.at(0.70).sound(tone(0.25))
    talk.at(1.6).done()
    felt = {"transport": "websocket", "turn_detection": "server_vad"}
    total_s = talk.value("ttfa_seconds_sum", **felt)
    assert talk.value("ttfa_seconds_count", **felt) == 1
    stages = talk.stages()
    assert stages == pytest.approx(
        {
            "endpointing": 0.5,
            "asking": 0.02,
            "queue": 0.04,  # 0.18 s from asking to the first sound, less what was worked on
            "prefill": 0.02,
            "first_text": 0.03,
            "first_codec_chunk": 0.04,
            "first_wave": 0.05,
            "send": 0.0,
            "leading_silence": stages["leading_silence"],
        }
    )
    assert sum(stages.values()) == pytest.approx(total_s)
    assert talk.value("vad_endpoint_delay_seconds_sum", turn_detection="server_vad") == 0.5


def test_silence_before_the_first_word_is_waited_for_too():
    talk = Talk()
    talk.at(0.5).watch.speech_stopped(100.0, 2_000)
    talk.ask()
    talk.at(0.7).sound(bytes(48_000 // 2))  # half a second of nothing, and it plays from now on
    talk.at(0.9).sound(LOUD)
    talk.done()
    assert talk.stages()["leading_silence"] == pytest.approx(0.5, abs=0.001)
    felt = {"transport": "websocket", "turn_detection": "server_vad"}
    assert talk.value("ttfa_seconds_sum", **felt) == pytest.approx(1.2, abs=0.001)


def test_a_reply_to_nothing_that_was_said_has_a_latency_but_no_felt_one():
    talk = Talk()
    talk.at(0.0).ask()
    talk.at(0.1).watch.heard(TextDelta(**REPLY, text="So"))
    talk.at(0.3).sound(LOUD)
    talk.at(0.4).done()
    assert talk.value("time_to_first_token_seconds_sum", transport="websocket") == pytest.approx(
        0.1
    )
    assert talk.value("audio_ttfp_seconds_sum", transport="websocket") == pytest.approx(0.3)
    felt = {"transport": "websocket", "turn_detection": "server_vad"}
    assert talk.value("ttfa_seconds_count", **felt) == 0


def test_each_text_of_a_reply_is_timed_from_the_one_before():
    talk = Talk()
    talk.ask()
    for at_s in (0.5, 0.52, 0.6):
        talk.at(at_s).watch.heard(TextDelta(**REPLY, text="so"))
    talk.done()
    name = "inter_token_latency_seconds"
    assert talk.value(f"{name}_count", transport="websocket") == 2
    assert talk.value(f"{name}_sum", transport="websocket") == pytest.approx(0.1)


def test_what_the_client_waits_before_it_asks_is_no_endpointing():
    talk = Talk()
    talk.at(0.5).watch.speech_stopped(100.0, 2_000)
    talk.at(6.5).ask()  # create_response: false
    talk.at(6.7).sound(LOUD)
    talk.done()
    stages = talk.stages()
    assert stages["endpointing"] == pytest.approx(0.5)
    assert stages["asking"] == pytest.approx(6.0)
    assert sum(stages.values()) == pytest.approx(talk.value("ttfa_seconds_sum", **FELT))


@pytest.mark.parametrize(
    ("role", "parts", "answered"),
    [
        ("user", (said.TextPart(text="typed"),), 0),
        ("user", (said.AudioPart(pcm=bytes(4)),), 0),
        ("system", (said.TextPart(text="what the client looked up"),), 1),
        ("user", (), 1),  # a picture, say, of what was asked about
    ],
)
def test_a_turn_behind_which_another_question_came_is_not_what_is_answered(role, parts, answered):
    talk = Talk()
    talk.at(0.5).watch.speech_stopped(100.0, 2_000)
    item = said.CreateItem(item_id="i", previous_item_id=None, role=role, parts=parts)
    talk.at(6.0).watch.commanded(item)
    talk.ask()
    talk.at(6.2).sound(LOUD)
    talk.done()
    assert talk.value("ttfa_seconds_count", **FELT) == answered


def called(talk, complete=True):
    call = {"item_id": "c", "name": "look", "arguments": "{}", "complete": complete}
    talk.watch.heard(ToolCallDone(**REPLY, **call))


def test_a_turn_that_is_answered_through_a_tool_is_felt_until_it_is_heard():
    talk = Talk()
    talk.at(0.5).watch.speech_stopped(100.0, 2_000)
    talk.ask()
    called(talk)
    talk.at(0.8).done()
    result = said.ToolResultPart(output="{}")
    talk.watch.commanded(
        said.CreateItem(item_id="i", previous_item_id=None, role="user", parts=(result,))
    )
    talk.at(2.5).ask()
    talk.at(2.7).sound(LOUD)
    talk.done()
    talk.ask()  # nobody said anything since
    talk.at(3.0).sound(LOUD)
    talk.done()
    assert talk.value("ttfa_seconds_count", **FELT) == 1
    assert talk.value("ttfa_seconds_sum", **FELT) == pytest.approx(2.7, abs=0.01)
    assert talk.stages()["asking"] == pytest.approx(2.0)


def test_a_call_after_some_words_leaves_nothing_to_answer():
    talk = Talk()
    talk.at(0.5).watch.speech_stopped(100.0, 2_000)
    for at_s in (0.7, 2.7):
        talk.ask()
        talk.at(at_s).sound(LOUD)
        called(talk)
        talk.done()
    assert talk.value("ttfa_seconds_sum", **FELT) == pytest.approx(0.7, abs=0.01)
    assert talk.value("ttfa_seconds_count", **FELT) == 1


def test_a_newer_turn_is_answered_and_not_the_one_before_the_call():
    talk = Talk()
    talk.at(0.5).watch.speech_stopped(100.0, 2_000)
    talk.ask()
    called(talk)
    talk.at(3.5).watch.speech_stopped(103.0, 2_000)
    talk.done()
    talk.ask()
    talk.at(3.7).sound(LOUD)
    talk.done()
    assert talk.value("ttfa_seconds_sum", **FELT) == pytest.approx(0.7, abs=0.01)


def test_a_turn_that_was_answered_is_not_answered_again():
    talk = Talk()
    talk.at(0.5).watch.speech_stopped(100.0, 2_000)
    for _ in range(2):
        talk.ask()
        talk.sound(LOUD)
        talk.done()
    felt = {"transport": "websocket", "turn_detection": "server_vad"}
    assert talk.value("ttfa_seconds_count", **felt) == 1
    assert talk.value("responses_total", status="completed", transport="websocket") == 2


def test_gaps_between_packets_that_a_player_cannot_bridge_are_underruns():
    player = Player()
    player.sent(1.0, 10.0)
    player.sent(1.0, 10.5)  # plays until 12.0
    assert player.plays(11.9)
    assert not player.plays(12.0)
    player.sent(1.0, 12.25)
    assert player.underrun_s == pytest.approx(0.25)
    player.sent(1.0, 13.0)
    assert player.underrun_s == pytest.approx(0.25)


def test_speech_into_a_reply_is_timed_until_the_client_is_told():
    talk = Talk()
    talk.at(0.0).ask()
    talk.at(0.2).sound(tone(5.0))
    talk.at(1.1).watch.speech_started(101.0)
    started = {"type": "input_audio_buffer.speech_started", "item_id": "q"}
    sent = talk.watch.noted(started)
    talk.watch.commanded(said.CancelResponse(response_id="r", heard_ms=None))
    talk.at(1.15)
    sent()
    talk.at(1.2).done("cancelled")
    assert talk.value("barge_ins_total", transport="websocket") == 1
    assert talk.value("barge_in_seconds_sum", transport="websocket") == pytest.approx(0.15)
    assert talk.value("cancel_seconds_sum") == pytest.approx(0.1)
    assert talk.value("responses_total", status="cancelled", transport="websocket") == 1


def test_speech_that_may_not_interrupt_is_no_barge_in():
    talk = Talk(interrupts=False)
    talk.at(0.0).ask()
    talk.at(0.2).sound(tone(5.0))
    talk.at(1.1).watch.speech_started(101.0)
    assert talk.value("barge_ins_total", transport="websocket") == 0


def test_speech_after_a_reply_was_heard_is_no_barge_in():
    talk = Talk()
    talk.at(0.0).ask()
    talk.at(0.2).sound(tone(1.0))
    talk.done()
    talk.at(1.3).watch.speech_started(101.2)
    assert talk.value("barge_ins_total", transport="websocket") == 0


def interrupted():
    talk = Talk()
    talk.at(0.0).ask()
    talk.at(0.2).sound(tone(5.0))
    talk.at(1.1).watch.speech_started(101.0)
    talk.note({"type": "input_audio_buffer.speech_started", "item_id": "q"})
    return talk


def false_interruptions(talk):
    return {
        reason: talk.value("false_interruptions_total", reason=reason, transport="websocket")
        for reason in ("short", "no_words", "dropped")
    }


def test_a_cough_is_a_false_interruption():
    talk = interrupted()
    talk.at(1.7).watch.speech_stopped(101.2, 200)
    assert false_interruptions(talk) == {"short": 1, "no_words": 0, "dropped": 0}


def test_speech_without_words_is_a_false_interruption():
    talk = interrupted()
    talk.at(2.7).watch.speech_stopped(102.2, 1_200)
    other = InputTranscript(conversation_id=NAME, item_id="p", text="")
    talk.watch.heard(other)
    assert sum(false_interruptions(talk).values()) == 0
    talk.watch.heard(InputTranscript(conversation_id=NAME, item_id="q", text=" "))
    talk.watch.heard(InputTranscript(conversation_id=NAME, item_id="q", text=" "))
    assert false_interruptions(talk) == {"short": 0, "no_words": 1, "dropped": 0}


def test_a_turn_that_the_client_throws_away_was_a_false_interruption():
    talk = interrupted()
    talk.note({"type": "input_audio_buffer.cleared"})
    assert false_interruptions(talk) == {"short": 0, "no_words": 0, "dropped": 1}


def test_a_turn_that_ended_cannot_be_thrown_away():
    talk = interrupted()
    talk.at(2.7).watch.speech_stopped(102.2, 1_200)
    talk.note({"type": "input_audio_buffer.cleared"})
    assert sum(false_interruptions(talk).values()) == 0


def played(pcm=LOUD, **fields):
    return Frame(pcm=pcm, **fields)


def test_a_loudspeaker_of_ours_says_what_was_heard_and_what_was_missing():
    talk = Talk("webrtc")
    talk.at(0.5).watch.speech_stopped(100.0, 2_000)
    talk.ask()
    talk.at(0.7).sound(tone(0.1))
    talk.done()
    talk.at(0.72).watch.played(played(SILENCE, started=("r",)))
    talk.at(0.74).watch.played(played())
    talk.at(0.76).watch.played(played(SILENCE, missing_ms=20.0))
    assert talk.value("responses_total", status="completed", transport="webrtc") == 0
    talk.at(0.78).watch.played(played(stopped=("r",)))
    talk.note({"type": "output_audio_buffer.stopped", "response_id": "r"})
    assert talk.value("responses_total", status="completed", transport="webrtc") == 1
    felt = {"transport": "webrtc", "turn_detection": "server_vad"}
    assert talk.value("ttfa_seconds_sum", **felt) == pytest.approx(0.74)
    stages = talk.stages()
    assert stages["send"] == pytest.approx(0.02)
    assert stages["leading_silence"] == pytest.approx(0.02)
    assert talk.value("audio_underrun_seconds_sum", transport="webrtc") == pytest.approx(0.02)


def test_a_loudspeaker_of_ours_is_timed_until_its_last_sound():
    talk = Talk("webrtc")
    talk.at(0.0).ask()
    talk.at(0.2).sound(tone(5.0))
    talk.at(0.3).watch.played(played(started=("r",)))
    talk.at(1.1).watch.speech_started(101.0)
    talk.watch.commanded(said.CancelResponse(response_id="r", heard_ms=None))
    talk.note({"type": "output_audio_buffer.cleared", "response_id": "r"})
    talk.note({"type": "input_audio_buffer.speech_started", "item_id": "q"})
    talk.at(1.12).watch.played(played())  # was on its way to the encoder already
    talk.at(1.14).watch.played(played(SILENCE))
    talk.at(1.16).watch.played(played(SILENCE))
    assert talk.value("barge_in_seconds_sum", transport="webrtc") == pytest.approx(0.12)
    assert talk.value("barge_in_seconds_count", transport="webrtc") == 1
    talk.done("cancelled")
    assert talk.value("responses_total", status="cancelled", transport="webrtc") == 1


def test_a_reply_that_a_loudspeaker_of_ours_never_had_is_over_when_its_end_is_told():
    talk = Talk("webrtc")
    talk.at(0.0).ask()
    talk.at(0.1).watch.commanded(said.CancelResponse(response_id="r", heard_ms=None))
    talk.at(0.2).watch.heard(AudioDelta(**REPLY, pcm=tone(0.5)))  # was on its way already
    talk.at(0.3).done("cancelled")
    assert talk.value("responses_total", status="cancelled", transport="webrtc") == 1
    assert talk.watch.state == "listening"


def test_the_betas_names_are_understood():
    talk = Talk()
    talk.note({"type": "session.updated", "session": {"turn_detection": {"type": "server_vad"}}})
    talk.at(0.5).watch.speech_stopped(100.0, 2_000)
    talk.watch.commanded(start())
    talk.note({"type": "response.created", "response": {"id": "r", "output_audio_format": "pcm"}})
    talk.at(0.7).watch.heard(AudioDelta(**REPLY, pcm=tone(0.5)))
    delta = "A" * (24_000 * 4 // 3)
    talk.note({"type": "response.audio.delta", "response_id": "r", "delta": delta})
    talk.at(1.1).watch.speech_started(101.0)  # into the half second that plays
    talk.done()
    assert talk.value("barge_ins_total", transport="websocket") == 1
    felt = {"transport": "websocket", "turn_detection": "server_vad"}
    assert talk.value("ttfa_seconds_sum", **felt) == pytest.approx(0.7, abs=0.01)


def test_a_session_that_ends_gives_up_what_was_under_way():
    talk = Talk()
    talk.at(0.0).ask()
    assert talk.value("sessions_active", transport="websocket") == 1
    assert talk.watch.state == "answering"
    talk.watch.ends("slow_reader")
    talk.at(9.0).watch.closed()
    talk.watch.closed()
    assert talk.value("sessions_active", transport="websocket") == 0
    ended = {"transport": "websocket", "reason": "slow_reader"}
    assert talk.value("sessions_ended_total", **ended) == 1
    assert talk.value("session_duration_seconds_sum", transport="websocket") == 9.0
    assert talk.value("responses_total", status="cancelled", transport="websocket") == 1


def test_a_reason_that_nobody_knows_is_other():
    talk = Talk()
    talk.watch.ends("a word of somebody's")
    talk.watch.closed()
    assert talk.value("sessions_ended_total", transport="websocket", reason="other") == 1
