"""What server events mean for a turn, told by scripts of events at given moments."""

import asyncio
import base64

import numpy as np
import pytest

from clients.python.errors import ServerSaidError
from clients.python.sources import Recording
from clients.python.turn import TurnLog, ask_aloud, ask_typed
from tests.virtual_time import on_virtual_time


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


class SlowLine:
    """A server behind a line that takes no more than it gives: each send lasts `send_s`.

    Its answer comes `answer_s` after the reply was asked for.
    """

    def __init__(self, *, send_s, answer_s=0.5):
        self.send_s = send_s
        self.answer_s = answer_s
        self.asked = asyncio.Event()
        self.events = [created("r"), words("Yes."), delta(2400), done("r")]

    async def send(self, kind, **fields):
        await asyncio.sleep(self.send_s)
        if kind == "response.create":
            self.asked.set()

    async def append_audio(self, pcm):
        await self.send("input_audio_buffer.append", audio=pcm)

    async def receive(self):
        await self.asked.wait()
        if len(self.events) == 4:
            await asyncio.sleep(self.answer_s)
        return self.events.pop(0)


def question(duration_s, silence_s=0.0):
    samples = np.ones(round((duration_s + silence_s) * 24_000), np.int16)
    return Recording(samples=samples, speech_end_samples=round(duration_s * 24_000))


@pytest.mark.parametrize("silence_s", [0.0, 0.3])
@pytest.mark.parametrize("send_s", [0.0, 0.01, 0.1])
def test_the_wait_counts_from_when_the_speech_ended_however_long_it_takes_to_send(
    send_s, silence_s
):
    async def turn():
        began_s = asyncio.get_running_loop().time()
        line = SlowLine(send_s=send_s)
        report = await ask_aloud(
            line, question(1.02, silence_s), push_to_talk=True, transcript=False
        )
        return report, asyncio.get_running_loop().time() - began_s

    report, took_s = on_virtual_time(turn())
    assert report.first_audio_s == pytest.approx(took_s - 1.02)
    assert report.first_text_s == pytest.approx(took_s - 1.02)
    assert took_s >= 1.02 + silence_s + 2 * send_s + 0.5 - 1e-9


def test_a_loop_that_was_busy_when_the_speech_ended_does_not_shorten_the_wait():
    async def turn():
        loop = asyncio.get_running_loop()
        # Somebody else has the loop from just before the last frame is due.
        loop.call_at(loop.time() + 0.99, lambda: setattr(loop, "now_s", loop.now_s + 3))
        return await ask_aloud(
            SlowLine(send_s=0.0), question(1.0), push_to_talk=True, transcript=False
        )

    assert on_virtual_time(turn()).first_audio_s == pytest.approx(0.99 + 3 - 1.0 + 0.5)


def test_what_is_typed_counts_from_before_it_is_sent():
    async def turn():
        return await ask_typed(SlowLine(send_s=0.1), "What is it?")

    assert on_virtual_time(turn()).first_audio_s == pytest.approx(0.1 + 0.1 + 0.5)
