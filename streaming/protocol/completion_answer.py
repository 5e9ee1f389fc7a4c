"""The answer of `POST /v1/chat/completions`: engine events in, chunks or one object out.

Two dialects of a spoken stream, told apart by the format that is asked for. With "pcm16" it is
OpenAI's: the words stand in `delta.audio.transcript`. With "wav" it is DashScope's: the words stand
in `delta.content`, and the data is raw samples all the same. That kit's users join the base64 texts
before they decode them, so every piece but the last is a multiple of 3 bytes.

Knows no HTTP and encodes no sound.
"""

from __future__ import annotations

import base64
from typing import Any, TypeAlias

from streaming.protocol.completion_request import Asked
from streaming.protocol.engine_events import (
    ReplyAudio,
    ReplyCall,
    ReplyCallDone,
    ReplyDone,
    ReplyText,
    ReplyUsage,
)

Object: TypeAlias = dict[str, Any]
AnswerEvent: TypeAlias = ReplyText | ReplyAudio | ReplyCall | ReplyCallDone | ReplyDone

# Whole samples and whole base64 groups.
PIECE_BYTES = 6
_REASONS = {"completed": "stop", "cancelled": "stop", "incomplete": "length"}


class CompletionAnswer:
    """One answer.

    Attributes:
        pcm: The sound so far: s16 LE, 24 kHz, mono.
        done: How it ended; None before.
    """

    def __init__(self, asked: Asked, *, completion_id: str, model: str, created_s: int) -> None:
        self.pcm = bytearray()
        self.done: ReplyDone | None = None
        self._asked = asked
        self._id = completion_id
        self._model = model
        self._created_s = created_s
        self._words = ""
        self._calls: dict[str, Object] = {}
        self._sent_bytes = 0
        self._begun = False

    @property
    def audio_id(self) -> str:
        """Name of the answer's sound."""
        return self._id.replace("chatcmpl", "audio", 1)

    def take(self, event: AnswerEvent) -> list[Object]:
        """Takes what the engine said; returns the chunks that it makes, for a stream."""
        match event:
            case ReplyText(text=text):
                self._words += text
                delta = self._words_delta(text)
            case ReplyAudio(pcm=pcm):
                self.pcm += pcm
                delta = self._sound_delta()
            case ReplyCall():
                delta = self._call_delta(event)
            case ReplyCallDone():
                self._calls[event.item_id]["function"]["arguments"] = event.arguments
                return []
            case ReplyDone():
                self.done = event
                return self._end()
        return [self._chunk(delta)] if delta else []

    def whole(self, sound: bytes) -> Object:
        """The answer as one object; `sound` is `pcm` as the file that was asked for."""
        message: Object = {"role": "assistant", "content": None, "refusal": None}
        if self._asked.modality == "audio":
            message["audio"] = {
                "id": self.audio_id,
                "data": base64.b64encode(sound).decode("ascii"),
                "expires_at": self._created_s,
                "transcript": self._words,
            }
        else:
            message["content"] = self._words or None
        if self._calls:
            calls = [{k: v for k, v in c.items() if k != "index"} for c in self._calls.values()]
            message["tool_calls"] = calls
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self._finish_reason,
        }
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": usage_of(self._usage),
        }

    @property
    def _usage(self) -> ReplyUsage:
        assert self.done is not None, "the answer goes on"
        return self.done.usage

    @property
    def _finish_reason(self) -> str:
        assert self.done is not None, "the answer goes on"
        reason = _REASONS.get(self.done.status, "stop")
        return "tool_calls" if self._calls and reason == "stop" else reason

    @property
    def _is_dashscope(self) -> bool:
        return self._asked.audio_format == "wav"

    def _words_delta(self, text: str) -> Object:
        if self._asked.modality == "text" or self._is_dashscope:
            return {"content": text}
        return {"audio": {"id": self.audio_id, "transcript": text}}

    def _sound_delta(self, *, rest: bool = False) -> Object:
        waiting = len(self.pcm) - self._sent_bytes
        count = waiting if rest else waiting - waiting % PIECE_BYTES
        if not count:
            return {}
        piece = bytes(self.pcm[self._sent_bytes : self._sent_bytes + count])
        self._sent_bytes += count
        data = base64.b64encode(piece).decode("ascii")
        return {"audio": {"id": self.audio_id, "data": data}}

    def _call_delta(self, event: ReplyCall) -> Object:
        if event.item_id not in self._calls:
            index = len(self._calls)
            call: Object = {
                "index": index,
                "id": event.item_id.replace("item", "call", 1),
                "type": "function",
                "function": {"name": event.name, "arguments": event.arguments},
            }
            self._calls[event.item_id] = call
            return {"tool_calls": [call | {"function": dict(call["function"])}]}
        index = self._calls[event.item_id]["index"]
        return {"tool_calls": [{"index": index, "function": {"arguments": event.arguments}}]}

    def _end(self) -> list[Object]:
        assert self.done is not None
        chunks = [self._chunk(delta)] if (delta := self._sound_delta(rest=True)) else []
        if self.done.status == "failed":
            return chunks
        if self._asked.modality == "audio":
            chunks.append(self._chunk({"audio": {"expires_at": self._created_s}}))
        chunks.append(self._chunk({}, finish_reason=self._finish_reason))
        if self._asked.include_usage:
            usage = usage_of(self.done.usage)
            chunks.append({**self._head("chat.completion.chunk"), "choices": [], "usage": usage})
        return chunks

    def _chunk(self, delta: Object, *, finish_reason: str | None = None) -> Object:
        if not self._begun:
            self._begun = True
            delta = {"role": "assistant", **delta}
        choice = {
            "index": 0,
            "delta": delta,
            "logprobs": None,
            "finish_reason": finish_reason,
        }
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _head(self, kind: str) -> Object:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created_s,
            "model": self._model,
            "x_not_applied": list(self._asked.not_applied),
        }


def usage_of(usage: ReplyUsage) -> Object:
    """Token counts as this API shows them."""
    prompt = usage.input_text_tokens + usage.input_audio_tokens + usage.input_image_tokens
    completion = usage.output_text_tokens + usage.output_audio_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "text_tokens": usage.input_text_tokens,
            "audio_tokens": usage.input_audio_tokens,
            "image_tokens": usage.input_image_tokens,
            "cached_tokens": usage.cached_tokens,
        },
        "completion_tokens_details": {
            "text_tokens": usage.output_text_tokens,
            "audio_tokens": usage.output_audio_tokens,
        },
    }
