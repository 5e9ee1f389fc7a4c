"""The options of one response: what `response.create` says, over what the session says.

Knows which of them are served. Out-of-band responses, own inputs, tools and prompts are not, yet.
"""

from __future__ import annotations

from streaming.protocol.client_events import ResponseAudioOutput, ResponseParams
from streaming.protocol.errors import CapabilityError
from streaming.protocol.limits import ModelProfile
from streaming.protocol.response import ResponseSpec
from streaming.protocol.session_config import refuse_modality, refuse_tools, voice_named
from streaming.protocol.session_options import SessionConfig
from streaming.protocol.wire_audio import audio_format


def response_spec(
    params: ResponseParams | None, config: SessionConfig, profile: ModelProfile
) -> ResponseSpec:
    """What a response will be.

    Args:
        params: The client's wishes; None when the turn detector starts it, or the client has none.
        config: The session's options, for what the client leaves open.
        profile: What the model can do.

    Raises:
        ProtocolError: A wish that is wrong or not served.
    """
    params = params or ResponseParams()
    _refuse_unserved(params)
    modality = params.output_modalities[0] if params.output_modalities else config.modality
    refuse_modality(modality, profile, param="response.output_modalities")
    audio = (params.audio and params.audio.output) or ResponseAudioOutput()
    wire_format = audio.format or config.audio.output.format
    voice = config.voice
    if audio.voice is not None:
        voice = voice_named(audio.voice, profile, param="response.audio.output.voice")
    max_tokens = params.max_output_tokens
    return ResponseSpec(
        modality=modality,
        voice=voice,
        audio_format=audio_format(wire_format),
        wire_format=wire_format.model_dump(),
        max_output_tokens=config.max_output_tokens if max_tokens is None else max_tokens,
        instructions=params.instructions,
        metadata=params.metadata,
    )


def _refuse_unserved(params: ResponseParams) -> None:
    if params.conversation == "none":
        raise CapabilityError(
            "Responses outside the conversation are not served; 'auto' is.",
            "response.conversation",
        )
    if params.input is not None:
        raise CapabilityError(
            "A response's own input is not served; create items instead.", "response.input"
        )
    if params.prompt is not None:
        message = "Stored prompts are not served; send 'instructions'."
        raise CapabilityError(message, "response.prompt")
    tool_choice = "auto" if params.tool_choice is None else params.tool_choice
    refuse_tools(params.tools or [], tool_choice, under="response")
