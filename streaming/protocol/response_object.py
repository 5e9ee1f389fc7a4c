"""The response object, with its end and its cost, in the words that clients know.

Knows the API's fields. Does not know when a response is shown.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from streaming.protocol.engine_events import Failure, ReplyDone, ReplyStatus, ReplyUsage
from streaming.protocol.response_spec import ResponseSpec

CancelReason: TypeAlias = Literal["turn_detected", "client_cancelled"]
Object: TypeAlias = dict[str, Any]


def response_object(
    spec: ResponseSpec,
    *,
    response_id: str,
    conversation_id: str | None,
    status: str,
    details: Object | None,
    output: list[Object],
    usage: ReplyUsage | None,
) -> Object:
    """The response as `response.created` and `response.done` show it."""
    return {
        "object": "realtime.response",
        "id": response_id,
        "status": status,
        "status_details": details,
        "output": output,
        "conversation_id": conversation_id,
        "output_modalities": [spec.modality],
        "max_output_tokens": spec.max_output_tokens,
        "audio": {"output": {"format": spec.wire_format, "voice": spec.voice}},
        "usage": None if usage is None else usage_object(usage),
        "metadata": spec.metadata,
        "x_not_applied": list(spec.not_applied),
    }


def status_details(
    status: ReplyStatus, done: ReplyDone, cancel_reason: CancelReason
) -> Object | None:
    """Why a response ended as it did; None if it is whole."""
    if status == "completed":
        return None
    details: Object = {"type": status}
    if status == "cancelled":
        details["reason"] = cancel_reason
    elif status == "incomplete":
        # The one reason of ours that clients know; any other limit is told beside it.
        details["reason"] = "max_output_tokens"
        if done.reason not in (None, "max_output_tokens"):
            details["x_reason"] = done.reason
    else:
        failure = done.failure or Failure(code="server_error", message="The reply failed.")
        error = {"type": "server_error", "code": failure.code, "message": failure.message}
        details["error"] = error
    return details


def usage_object(usage: ReplyUsage) -> Object:
    """Token counts as `response.done` shows them."""
    input_tokens = usage.input_text_tokens + usage.input_audio_tokens + usage.input_image_tokens
    cached_text_tokens = usage.cached_tokens - usage.cached_audio_tokens - usage.cached_image_tokens
    output_tokens = usage.output_text_tokens + usage.output_audio_tokens
    return {
        "total_tokens": input_tokens + output_tokens,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "input_token_details": {
            "text_tokens": usage.input_text_tokens,
            "audio_tokens": usage.input_audio_tokens,
            "image_tokens": usage.input_image_tokens,
            "cached_tokens": usage.cached_tokens,
            "cached_tokens_details": {
                "text_tokens": cached_text_tokens,
                "audio_tokens": usage.cached_audio_tokens,
                "image_tokens": usage.cached_image_tokens,
            },
        },
        "output_token_details": {
            "text_tokens": usage.output_text_tokens,
            "audio_tokens": usage.output_audio_tokens,
        },
    }
