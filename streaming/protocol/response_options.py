"""The options of one response: what `response.create` says, over what the session says.

Knows which of them are served. Stored prompts are not, nor an own input of a response that becomes
part of the conversation: its input is the conversation.
"""

from __future__ import annotations

from streaming.protocol.client_events import ResponseAudioOutput, ResponseParams
from streaming.protocol.errors import CapabilityError
from streaming.protocol.response_spec import ResponseSpec
from streaming.protocol.session_config import refuse_modality, voice_named
from streaming.protocol.session_kind import Options
from streaming.protocol.session_options import SessionConfig
from streaming.protocol.tools import Tools, parsed_tools
from streaming.protocol.wire_audio import PcmFormat, audio_format


def response_spec(
    params: ResponseParams | None, options: Options, *, has_formats: bool = True
) -> ResponseSpec:
    """What a response will be.

    Args:
        params: The client's wishes; None when the turn detector starts it, or the client has none.
        options: The session's, for what the client leaves open.
        has_formats: Whether speech is given out in the format that is wished for.

    Raises:
        ProtocolError: A wish that is wrong or not served.
    """
    params, config, profile = params or ResponseParams(), options.config, options.profile
    _refuse_unserved(params)
    options.limits.check_text(len(params.instructions or ""), param="response.instructions")
    options.limits.check_tools(len(params.tools or ()), param="response.tools")
    modality = params.output_modalities[0] if params.output_modalities else config.modality
    refuse_modality(modality, profile, param="response.output_modalities")
    audio = (params.audio and params.audio.output) or ResponseAudioOutput()
    wire_format = audio.format or config.audio.output.format
    voice = config.voice
    if audio.voice is not None:
        voice = voice_named(audio.voice, profile, param="response.audio.output.voice")
    max_tokens = params.max_output_tokens
    tools, choice = _tools(params, config)
    return ResponseSpec(
        modality=modality,
        voice=voice,
        audio_format=audio_format(wire_format),
        wire_format=wire_format.model_dump(),
        max_output_tokens=config.max_output_tokens if max_tokens is None else max_tokens,
        instructions=params.instructions,
        metadata=params.metadata,
        tools=tools,
        choice=choice,
        parallel_tool_calls=_may_call_in_parallel(params, config),
        not_applied=_not_applied(params, has_formats=has_formats),
        speed=config.audio.output.speed,
        aside=params.conversation == "none",
    )


def _refuse_unserved(params: ResponseParams) -> None:
    if params.input is not None and params.conversation != "none":
        raise CapabilityError(
            'A response\'s own input is served with "conversation": "none" only; '
            "create items instead.",
            "response.input",
        )
    if params.prompt is not None:
        message = "Stored prompts are not served; send 'instructions'."
        raise CapabilityError(message, "response.prompt")


def _may_call_in_parallel(params: ResponseParams, config: SessionConfig) -> bool:
    wished = params.parallel_tool_calls
    return (config.parallel_tool_calls if wished is None else wished) is not False


def _not_applied(params: ResponseParams, *, has_formats: bool) -> tuple[str, ...]:
    """The wishes that are accepted and change nothing, by their path."""
    output = params.audio and params.audio.output
    wire_format = (output and output.format) or PcmFormat()
    paths = {
        "audio.output.format": not has_formats and wire_format != PcmFormat(),
        "reasoning": params.reasoning is not None,
    }
    return tuple(path for path, without_effect in paths.items() if without_effect)


def _tools(params: ResponseParams, config: SessionConfig) -> tuple[Tools | None, Tools]:
    """Tools of its own, if it has any, and what to choose among those it has."""
    if params.tools is None and params.tool_choice is None:
        return None, config.function_tools
    tools = config.tools if params.tools is None else params.tools
    # The session's choice may name a tool that this response does not have.
    choice = params.tool_choice
    if choice is None:
        choice = config.tool_choice if params.tools is None else "auto"
    chosen = parsed_tools(tools, choice, under="response")
    return (None if params.tools is None else chosen), chosen
