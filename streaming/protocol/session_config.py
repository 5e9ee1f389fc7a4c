"""The session object: its options, how an update is merged, and what may be promised.

Knows every option of the GA API, which of them this version serves, and the full form that is
echoed. Knows no state of a conversation. Three kinds of option:

- served: instructions, output_modalities, audio formats, voice, speed, turn_detection (`server_vad`
  with its idle timeout, `semantic_vad` with its eagerness), transcription, include (how sure its
  tokens are), noise_reduction (where its package is installed), max_output_tokens, truncation,
  function tools, tool_choice and parallel_tool_calls;
- accepted, echoed and listed in the echo's `x_not_applied`, because nothing wrong comes of it:
  tracing, reasoning, and on a live line the format of speech;
- refused with an error that says what is served: tools of MCP, prompt.

`model` is fixed by the connection; an update may name any and the echo tells the one in use. The
ten voice names of OpenAI, which clients send unasked, stand for the model's first voice.
"""

from __future__ import annotations

from typing import Any

from streaming.protocol.commands import SetTruncation
from streaming.protocol.errors import CapabilityError, ProtocolError
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.session_options import (
    Audio,
    AudioInput,
    AudioOutput,
    Object,
    RetentionRatio,
    SessionConfig,
    Voice,
)
from streaming.protocol.tools import kept_choice, parsed_tools
from streaming.protocol.validation import shown, validated

OPENAI_VOICES = frozenset(
    ["alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"]
)

# Objects that an update merges into; every other value is replaced whole.
_MERGED: dict[str, Any] = {
    "audio": {
        "input": {"turn_detection": {}, "transcription": {}, "noise_reduction": {}},
        "output": {},
    }
}
# Where null is a value of its own; elsewhere it brings the default back.
_NULLABLE = frozenset(
    [
        "prompt",
        "turn_detection",
        "transcription",
        "noise_reduction",
        "parallel_tool_calls",
        "reasoning",
        "tracing",
        "include",
        "idle_timeout_ms",
        "strength",
        "model",
        "language",
        "delay",
        "keywords",
        "languages",
    ]
)


def default_config(profile: ModelProfile) -> SessionConfig:
    """The session before the client says anything."""
    listens = "audio" in profile.inputs
    return SessionConfig(
        type="realtime",
        model=profile.model_id,
        instructions=profile.instructions,
        output_modalities=["audio"] if profile.voices else ["text"],
        audio=Audio(
            input=AudioInput() if listens else AudioInput(turn_detection=None),
            output=AudioOutput(voice=profile.voices[0] if profile.voices else None),
        ),
    )


def updated(
    config: SessionConfig, patch: Object, profile: ModelProfile, limits: Limits
) -> SessionConfig:
    """`config` with `patch` merged in: absent is unchanged, null clears.

    Raises:
        ProtocolError: The patch is wrong, or asks for what is not served; nothing has changed.
    """
    defaults = default_config(profile).model_dump()
    merged = merged_session(config.model_dump(), patch, defaults)
    wanted = validated(SessionConfig, merged, under="session")
    if "tools" in patch and "tool_choice" not in patch:
        choice = kept_choice(config.tool_choice, wanted.tools)
        wanted = wanted.model_copy(update={"tool_choice": choice})
    limits.check_text(len(wanted.instructions), param="session.instructions")
    limits.check_tools(len(wanted.tools), param="session.tools")
    _refuse_unserved(wanted, profile)
    return _resolved(wanted, profile)


def merged_session(base: Object, patch: Object, defaults: Object) -> Object:
    """Options with a patch over them: absent is unchanged, null clears or brings the default back.

    Raises:
        ProtocolError: The patch does not say what type of session it is for.
    """
    if "type" not in patch:
        message = "Missing required parameter: 'session.type'."
        raise ProtocolError("missing_required_parameter", message, "session.type")
    # Elsewhere null brings the default back; a type has to be said.
    return _merge(base, patch, defaults, _MERGED) | {"type": patch["type"]}


def _merge(base: Object, patch: Object, defaults: Object, merged: Object) -> Object:
    result = dict(base)
    for key, value in patch.items():
        below = result.get(key)
        if value is None and key not in _NULLABLE and key in defaults:
            result[key] = defaults[key]
        elif key in merged and isinstance(value, dict) and isinstance(below, dict):
            same = value.get("type", below.get("type")) == below.get("type")
            base_below = below if same else {}
            result[key] = _merge(base_below, value, defaults.get(key) or {}, merged[key])
        else:
            result[key] = value
    return result


def truncation_command(config: SessionConfig) -> SetTruncation:
    """What the engine is to do when the context is full."""
    wanted = config.truncation
    if isinstance(wanted, RetentionRatio):
        limits = wanted.token_limits
        tokens = None if limits is None else limits.post_instructions
        return SetTruncation(retention_ratio=wanted.retention_ratio, items_tokens=tokens)
    return SetTruncation(retention_ratio=None if wanted == "disabled" else 1.0, items_tokens=None)


def voice_named(voice: str | Voice | None, profile: ModelProfile, *, param: str) -> str | None:
    """The model's voice that a client's name stands for.

    Raises:
        ProtocolError: No such voice; the message lists those there are.
    """
    name = voice.id if isinstance(voice, Voice) else voice
    if name in profile.voices:
        return name
    if name is None or name in OPENAI_VOICES:
        return profile.voices[0] if profile.voices else None
    choices = ", ".join(repr(choice) for choice in profile.voices)
    message = f"Invalid value: {shown(name)}. Supported values are: {choices}."
    raise ProtocolError("invalid_value", message, param)


def _resolved(config: SessionConfig, profile: ModelProfile) -> SessionConfig:
    voice = voice_named(config.audio.output.voice, profile, param="session.audio.output.voice")
    output = config.audio.output.model_copy(update={"voice": voice})
    audio = config.audio.model_copy(update={"output": output})
    tools = [{"type": "function", **tool} for tool in config.tools]
    return config.model_copy(update={"audio": audio, "model": profile.model_id, "tools": tools})


def _refuse_unserved(config: SessionConfig, profile: ModelProfile) -> None:
    refuse_modality(config.modality, profile, param="session.output_modalities")
    parsed_tools(config.tools, config.tool_choice, under="session", may_come=True)
    if config.prompt is not None:
        raise CapabilityError(
            "Stored prompts are not served; send 'instructions'.", "session.prompt"
        )
    if config.audio.input.turn_detection is not None and "audio" not in profile.inputs:
        raise CapabilityError(
            f"{profile.model_id} takes {' and '.join(profile.inputs)}, so there is no speech to "
            "detect; only null is served.",
            "session.audio.input.turn_detection",
        )


def refuse_modality(modality: str, profile: ModelProfile, *, param: str) -> None:
    """Raises CapabilityError if the model cannot answer so."""
    if modality == "audio" and not profile.voices:
        raise CapabilityError(f"{profile.model_id} has no voice; only 'text' is served.", param)
