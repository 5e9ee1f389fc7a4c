"""Server events of the GA protocol in the names and shapes of Qwen-Omni-Realtime.

Knows both forms of each event and nothing of state.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]

RENAMED = {
    "conversation.item.added": "conversation.item.created",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
}
# The dialect has no such events.
LEFT_OUT = frozenset(["conversation.created", "conversation.item.done", "rate_limits.updated"])
_GA_NAMES = {ours: ga for ga, ours in RENAMED.items()}
_CONTENT = {"output_audio": "audio", "output_text": "text"}


def translated(event: Object) -> Object | None:
    """The event as this dialect has it; None if it has none. Sessions are not translated here."""
    kind = event["type"]
    if kind in LEFT_OUT:
        return None
    made = {**event, "type": RENAMED.get(kind, kind)}
    if kind == "error":
        made["error"] = {k: v for k, v in event["error"].items() if k != "event_id"}
    if "item" in made:
        made["item"] = item(made["item"])
    if "response" in made:
        made["response"] = _response(made["response"])
    return made


def ga_view(event: Object) -> Object:
    """What an event of this dialect was in the GA protocol, as far as its name and its session go.

    For whoever watches a conversation whatever its dialect is.
    """
    kind = _GA_NAMES.get(event["type"], event["type"])
    match kind:
        case "session.created" | "session.updated":
            heard = {"turn_detection": event["session"]["turn_detection"]}
            return {**event, "session": {"audio": {"input": heard}}}
        case "response.created":
            output = {"format": {"type": "audio/pcm", "rate": 24000}}
            return {**event, "response": {**event["response"], "audio": {"output": output}}}
        case _:
            return {**event, "type": kind}


def item(ga: Object) -> Object:
    """An item with the dialect's kinds of content."""
    if "content" not in ga:
        return ga
    content = [{**part, "type": _CONTENT.get(part["type"], part["type"])} for part in ga["content"]]
    return {**ga, "content": content}


def modalities(output_modalities: list[str]) -> list[str]:
    """The dialect's modalities for the GA protocol's one."""
    return ["text", "audio"] if output_modalities == ["audio"] else ["text"]


def _response(ga: Object) -> Object:
    kept = {k: v for k, v in ga.items() if k not in ("output_modalities", "audio", "usage")}
    return {
        **kept,
        "output": [item(made) for made in ga["output"]],
        "modalities": modalities(ga["output_modalities"]),
        "voice": ga["audio"]["output"]["voice"],
        "output_audio_format": "pcm",
        "usage": _usage(ga["usage"]),
    }


def _usage(ga: Object | None) -> Object | None:
    if ga is None:
        return None
    kept = {k: v for k, v in ga.items() if not k.endswith("_token_details")}
    return {
        **kept,
        "input_tokens_details": ga["input_token_details"],
        "output_tokens_details": ga["output_token_details"],
    }
