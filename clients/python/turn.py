"""One turn as the client lives it: a question goes out, words and speech come back.

`TurnLog` knows what each server event means for the turn, and no socket. `ask_aloud` and
`ask_typed` do the sending. Neither knows where sound comes from or goes to.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from clients.python.client import Event, RealtimeClient, server_said
from clients.python.errors import NoSpeechError
from clients.python.playout import Playout
from clients.python.report import TurnReport
from clients.python.sources import SAMPLE_RATE_HZ, Recording, frames

# How long after the whole question the server may take to say that it heard speech.
HEARING_TIMEOUT_S = 10.0
# How long to wait for the words of the question once the answer is complete.
TRANSCRIPT_TIMEOUT_S = 30.0

Listener = Callable[[bytes], None]


@dataclass(slots=True)
class TurnLog:
    """What has come in so far; a reply that was broken off is forgotten."""

    speech_ended_s: float | None = None
    heard_speech: bool = False
    speaking: bool = False
    question_sent: bool = False
    question: str | None = None
    transcript_closed: bool = False
    response_id: str | None = None
    response_created_s: float = 0.0
    first_text_s: float | None = None
    words: list[str] = field(default_factory=list)
    pcm: list[bytes] = field(default_factory=list)
    playout: Playout = field(default_factory=Playout)
    outcome: Event | None = None

    @property
    def answered(self) -> bool:
        """The question is out and its answer is complete."""
        return self.question_sent and not self.speaking and self.outcome is not None

    def take(self, event: Event, now_s: float) -> bytes | None:
        """Takes one server event; returns the speech it carries, if any.

        Raises:
            ServerSaidError: An `error` event, or a reply that failed.
        """
        match event["type"]:
            case "error":
                raise server_said(event["error"])
            case "input_audio_buffer.speech_started":
                self.heard_speech = self.speaking = True
                self.outcome = None
            case "input_audio_buffer.speech_stopped":
                self.speaking = False
            case "conversation.item.input_audio_transcription.completed":
                self.question = " ".join(filter(None, [self.question, event["transcript"].strip()]))
                self.transcript_closed = True
            case "conversation.item.input_audio_transcription.failed":
                self.transcript_closed = True
            case "response.created":
                self._begin(event["response"]["id"], now_s)
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                if self.first_text_s is None:
                    self.first_text_s = now_s
                self.words.append(event["delta"])
            case "response.output_audio.delta":
                pcm = base64.b64decode(event["delta"])
                self.pcm.append(pcm)
                self.playout.receive(len(pcm) / 2 / SAMPLE_RATE_HZ, now_s)
                return pcm
            case "response.done":
                self._end(event["response"])
        return None

    def report(self) -> TurnReport:
        """Sums the turn up; only when `answered`."""
        assert self.outcome is not None
        speech_s = self.playout.received_s
        last_s = self.playout.last_s
        return TurnReport(
            question_transcript=self.question,
            answer_transcript="".join(self.words).strip(),
            first_text_s=self._after_speech(self.first_text_s),
            first_audio_s=self._after_speech(self.playout.first_s),
            speech_s=speech_s,
            speech_rtf=None if last_s is None else (last_s - self.response_created_s) / speech_s,
            underruns=self.playout.underruns,
            underrun_s=self.playout.underrun_s,
            status=self.outcome["status"],
            usage=self.outcome.get("usage") or {},
            samples=np.frombuffer(b"".join(self.pcm), "<i2").astype(np.int16),
            sample_rate_hz=SAMPLE_RATE_HZ,
        )

    def _begin(self, response_id: str, now_s: float) -> None:
        self.response_id = response_id
        self.response_created_s = now_s
        self.first_text_s = None
        self.words, self.pcm, self.playout = [], [], Playout()
        self.outcome = None

    def _end(self, response: Event) -> None:
        if response["status"] == "failed":
            raise server_said((response.get("status_details") or {}).get("error") or {})
        # A cancelled reply was broken off because the question went on; another will come.
        if response["status"] != "cancelled" and response["id"] == self.response_id:
            self.outcome = response

    def _after_speech(self, moment_s: float | None) -> float | None:
        if moment_s is None or self.speech_ended_s is None:
            return None
        return moment_s - self.speech_ended_s


async def ask_aloud(
    client: RealtimeClient,
    question: Recording,
    *,
    push_to_talk: bool = False,
    transcript: bool = True,
    listener: Listener | None = None,
) -> TurnReport:
    """Streams a recorded question at the pace of speech and takes the whole answer.

    Args:
        client: An open conversation; its session has turn detection on, or off for `push_to_talk`.
        question: What is asked.
        push_to_talk: Commit the question and ask for the reply, not leaving it to the server.
        transcript: Wait for what the server heard (its session has input transcription on).
        listener: Gets the answer's speech as it comes.

    Raises:
        NoSpeechError: The server heard no speech.
        ServerSaidError: The server reported an error, or the reply failed.
        ConnectionFailed: The connection ended.
    """
    log = TurnLog(transcript_closed=not transcript)
    speak = asyncio.create_task(_speak(client, question, log, push_to_talk), name="speak")
    listen = asyncio.create_task(_listen(client, log, listener), name="listen")
    tasks = {speak, listen}
    try:
        while not listen.done():
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            tasks -= done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return log.report()


async def ask_typed(
    client: RealtimeClient, text: str, *, listener: Listener | None = None
) -> TurnReport:
    """Types a question and takes the whole answer; times count from before it is sent.

    Raises:
        ServerSaidError: The server reported an error, or the reply failed.
        ConnectionFailed: The connection ended.
    """
    content = [{"type": "input_text", "text": text}]
    now_s = asyncio.get_running_loop().time()
    await client.send(
        "conversation.item.create", item={"type": "message", "role": "user", "content": content}
    )
    await client.send("response.create")
    log = TurnLog(speech_ended_s=now_s, question_sent=True, transcript_closed=True, question=text)
    await _listen(client, log, listener)
    return log.report()


async def _speak(
    client: RealtimeClient, question: Recording, log: TurnLog, push_to_talk: bool
) -> None:
    """Sends the question, and behind it the silence that a microphone would send."""
    sent_samples = 0
    async for frame in frames(question.samples, then_silence=not push_to_talk):
        sent_samples += len(frame.pcm) // 2
        late_samples = sent_samples - question.speech_end_samples
        if log.speech_ended_s is None and late_samples >= 0:
            # The frame ends behind the speech: the speech ended that much earlier. It ended when
            # the frame was due, so whatever holds up its sending is part of the wait.
            log.speech_ended_s = frame.due_s - late_samples / SAMPLE_RATE_HZ
        await client.append_audio(frame.pcm)
        log.question_sent = sent_samples >= len(question.samples)
        silence_s = (sent_samples - len(question.samples)) / SAMPLE_RATE_HZ
        if not log.heard_speech and silence_s > HEARING_TIMEOUT_S:
            raise NoSpeechError(f"the server heard no speech in {question.duration_s:.1f} s")
    await client.send("input_audio_buffer.commit")
    await client.send("response.create")


async def _listen(client: RealtimeClient, log: TurnLog, listener: Listener | None) -> None:
    """Takes events until the answer and, if it is wanted, the question's words are there."""
    loop = asyncio.get_running_loop()
    while not log.answered:
        pcm = log.take(await client.receive(), loop.time())
        if pcm is not None and listener is not None:
            listener(pcm)
    # The words of the question are a courtesy: their absence does not spoil the turn.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TRANSCRIPT_TIMEOUT_S):
            while not log.transcript_closed:
                log.take(await client.receive(), loop.time())
