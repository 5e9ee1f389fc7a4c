"""The full session object as `session.created` and `session.updated` show it.

Knows which values strict clients take: canonical ones only, whole milliseconds, `type` always
there, extensions as extra `x_` fields. Knows nothing of how the options came to be.
"""

from __future__ import annotations

from typing import Any

from streaming.protocol.session_options import SessionConfig, Transcription
from streaming.protocol.wire_audio import PcmFormat

# Shown only when a client set them: some clients know no more than the three others.
_RARE_TRANSCRIPTION_KEYS = {"delay", "keywords", "languages"}


def session_object(
    config: SessionConfig,
    *,
    session_id: str,
    expires_at_s: int | None,
    denoises: bool = True,
    has_formats: bool = True,
) -> dict[str, Any]:
    """The effective session, every option spelled out.

    Args:
        config: The options in force.
        session_id: The session's id.
        expires_at_s: When the session ends, seconds of Unix time; None if it does not.
        denoises: Whether noise can be taken off what is heard.
        has_formats: Whether speech is given out in the format of the options.
    """
    shown = config.model_dump(exclude={"audio", "reasoning", "parallel_tool_calls"})
    for rare in ("reasoning", "parallel_tool_calls"):
        if getattr(config, rare) is not None:
            shown[rare] = getattr(config, rare)
    if expires_at_s is not None:
        shown["expires_at"] = expires_at_s
    return {
        **shown,
        "object": "realtime.session",
        "id": session_id,
        "audio": {"input": shown_input(config), "output": _output(config)},
        "x_not_applied": not_applied(config, denoises=denoises, has_formats=has_formats),
    }


def not_applied(
    config: SessionConfig, *, denoises: bool = True, has_formats: bool = True
) -> list[str]:
    """The options that were accepted and change nothing, by their path."""
    heard = config.audio.input
    transcription = heard.transcription or Transcription()
    hints = transcription.model_dump(exclude={"model"}, exclude_none=True)
    paths = {
        "audio.input.noise_reduction": heard.noise_reduction is not None and not denoises,
        **{f"audio.input.transcription.{name}": True for name in hints},
        "audio.output.format": not has_formats and config.audio.output.format != PcmFormat(),
        "include": bool(config.include) and heard.transcription is None,
        "reasoning": config.reasoning is not None,
        "tracing": config.tracing is not None,
    }
    return [path for path, without_effect in paths.items() if without_effect]


def shown_input(config: SessionConfig) -> dict[str, Any]:
    """The input's options, without those that only few clients know and that nobody set."""
    shown = config.audio.input.model_dump()
    if shown["transcription"]:
        for key in _RARE_TRANSCRIPTION_KEYS:
            if shown["transcription"][key] is None:
                del shown["transcription"][key]
    if shown["noise_reduction"] and shown["noise_reduction"]["strength"] is None:
        del shown["noise_reduction"]["strength"]
    return shown


def _output(config: SessionConfig) -> dict[str, Any]:
    output = config.audio.output
    return {"format": output.format.model_dump(), "voice": config.voice, "speed": output.speed}
