"""What server events mean for a turn, told by scripts of events at given moments."""

import base64

import numpy as np
import pytest

from clients.python.errors import ServerSaidError
from clients.python.turn import TurnLog


def delta(samples):
    pcm = np.full(samples, 7, np.int16).tobytes()
    return {"type": "response.output_audio.delta", "delta": base64.b64encode(pcm).decode()}


def words(text):
    return {"type": "response.output_audio_transcript.delta", "delta": text}


def created(name):
    return {"type": "response.created", "response": {"id": name}}


def done(name, status="completed", **more):
    return {"type": "response.done", "response": {"id": name, "status": status, **more}}


def run(log, *script):
    for moment_s, event in script:
        log.take(event, moment_s)
    return log


def test_a_whole_turn_is_summed_up():
    log = run(
        TurnLog(speech_ended_s=10.0, question_sent=True),
        (9.0, {"type": "input_audio_buffer.speech_started"}),
        (10.5, {"type": "input_audio_buffer.speech_stopped"}),
        (10.6, created("r")),
        (10.8, words("It is ")),
        (11.0, delta(24_000)),
        (11.1, words("Paris.")),
        (12.5, delta(12_000)),
        (12.6, done("r", usage={"total_tokens": 3})),
        (
            13.0,
            {
                "type": "conversation.item.input_audio_transcription.completed",
                "transcript": " what is it ",
            },
        ),
    )
    assert log.answered
    assert log.transcript_closed
    report = log.report()
    assert report.answer_transcript == "It is Paris."
    assert report.question_transcript == "what is it"
    assert report.first_text_s == pytest.approx(0.8)
    assert report.first_audio_s == pytest.approx(1.0)
    assert report.speech_s == pytest.approx(1.5)
    assert report.speech_rtf == pytest.approx((12.5 - 10.6) / 1.5)
    assert (report.underruns, report.underrun_s) == (1, pytest.approx(0.5))
    assert len(report.samples) == 36_000
    figures = report.figures()
    assert "samples" not in figures
    assert figures["usage"] == {"total_tokens": 3}
    assert "It is Paris." in report.table()


def test_a_reply_broken_off_by_more_speech_is_forgotten():
    log = run(
        TurnLog(speech_ended_s=0.0, question_sent=True),
        (1.0, created("first")),
        (1.1, words("No")),
        (1.2, delta(10)),
        (1.3, {"type": "input_audio_buffer.speech_started"}),
        (1.3, done("first", "cancelled")),
        (1.4, {"type": "input_audio_buffer.speech_stopped"}),
    )
    assert not log.answered
    run(log, (2.0, created("second")), (2.1, words("Yes")), (2.2, done("second")))
    assert log.answered
    assert log.report().answer_transcript == "Yes"
    assert len(log.report().samples) == 0
    assert log.report().first_audio_s is None


def test_the_turn_is_not_over_before_the_question_is():
    log = run(TurnLog(), (1.0, created("r")), (1.1, done("r")))
    assert not log.answered


def test_errors_and_failed_replies_are_raised_with_their_code():
    error = {"type": "error", "error": {"code": "model_not_found", "message": "no model"}}
    with pytest.raises(ServerSaidError, match="no model") as failure:
        TurnLog().take(error, 0.0)
    assert failure.value.code == "model_not_found"
    details = {"error": {"type": "server_error", "message": "engine lost"}}
    with pytest.raises(ServerSaidError, match="engine lost") as failure:
        TurnLog().take(done("r", "failed", status_details=details), 0.0)
    assert failure.value.code == "server_error"
