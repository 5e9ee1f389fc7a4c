"""The flat session object of Qwen-Omni-Realtime, to and from the GA session.

Knows its names, types and ranges, and which of them mean something here. What changes nothing is
accepted and listed in the echo's `x_not_applied`. Knows no state of a conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from streaming.media.formats import PCM_16K, AudioFormat
from streaming.protocol.errors import CapabilityError, ProtocolError
from streaming.protocol.limits import ModelProfile
from streaming.protocol.nested_tools import flat_choice, flat_tool, is_strict
from streaming.protocol.session_options import MOST_TOKENS
from streaming.protocol.validation import Wire, shown, validated

Object: TypeAlias = dict[str, Any]

DEFAULT_TRANSCRIPTION = "gummy-realtime-v1"
DEFAULT_SILENCE_MS = 800
# The dialect's range of thresholds begins at -1; ours is a probability, and at 0 all is speech.
LEAST_THRESHOLD = 0.1
OUTPUT_RATE_HZ = 24_000
# Voices that clients of the hosted models name; they stand for this model's first one.
HOSTED_VOICES = frozenset(["Cherry", "Chelsie", "Serena", "Ethan", "Dylan", "Jada", "Sunny"])
NOT_APPLIED = (
    "temperature",
    "top_p",
    "top_k",
    "repetition_penalty",
    "presence_penalty",
    "seed",
    "smooth_output",
    "enable_search",
    "search_options",
    "translation",
    "video",
)

# Of no meaning to a judge of turns.
_SERVER_VAD_ONLY = ("threshold", "prefix_padding_ms", "silence_duration_ms")


class Format(Wire):
    """A format of the newer style; more keys than these change nothing."""

    model_config = Wire.model_config | {"extra": "allow"}

    type: str = "pcm"
    sample_rate: Literal[8000, 16000, 24000, 48000] | None = None


class Direction(Wire):
    """Sound one way."""

    format: Format | None = None


class AudioOptions(Wire):
    """Sound both ways, in the newer style."""

    input: Direction | None = None
    output: Direction | None = None


class Transcription(Wire):
    """Input transcription; the model itself does it, whatever `model` says."""

    model: str | None = None
    language: str | None = None
    corpus: Object | None = None


class Detection(Wire):
    """Turns; with "semantic_vad" how they end is the judge's."""

    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: Annotated[float, Field(ge=-1, le=1)] | None = None
    prefix_padding_ms: Annotated[int, Field(ge=0, le=10_000)] | None = None
    silence_duration_ms: Annotated[int, Field(ge=200, le=6000)] | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None


class Bound(Wire):
    """How long an answer may be."""

    max_tokens: Annotated[int, Field(ge=1)] | None = None


class QwenOptions(Bound):
    """What `session.update` may hold."""

    modalities: list[Literal["text", "audio"]] | None = None
    voice: str | None = None
    instructions: str | None = None
    input_audio_format: Literal["pcm", "pcm16"] | None = None
    output_audio_format: Literal["pcm", "pcm16", "pcm24"] | None = None
    sample_rate: Literal[8000, 16000, 24000, 48000] | None = None
    audio: AudioOptions | None = None
    input_audio_transcription: Transcription | None = None
    turn_detection: Detection | None = None
    tools: list[Object] | None = None
    tool_choice: str | Object | None = None
    temperature: float | int | None = None
    top_p: float | int | None = None
    top_k: int | None = None
    repetition_penalty: float | int | None = None
    presence_penalty: float | int | None = None
    seed: int | None = None
    smooth_output: bool | None = None
    enable_search: bool | None = None
    search_options: Object | None = None
    translation: Object | None = None
    video: Object | None = None


def parsed_options(session: object) -> QwenOptions:
    """The options in an update.

    Raises:
        ProtocolError: Unknown, of the wrong type, or not served.
    """
    options = validated(QwenOptions, session, under="session")
    if options.modalities is not None:
        modality_of(options.modalities, param="session.modalities")
    for way in ("input", "output"):
        direction = getattr(options.audio, way, None) if options.audio else None
        if direction is not None and direction.format is not None:
            _check_format(direction.format, way)
    return options


def modality_of(modalities: Sequence[object], *, param: str) -> str:
    """The GA protocol's one modality.

    Raises:
        ProtocolError: A combination that the dialect does not have.
    """
    if list(modalities) in (["text", "audio"], ["audio", "text"]):
        return "audio"
    if list(modalities) == ["text"]:
        return "text"
    message = (
        f"Invalid modalities: {shown(modalities)}. Supported combinations are: ['text'] and "
        "['audio', 'text']."
    )
    raise ProtocolError("invalid_value", message, param)


def input_format(options: QwenOptions, before: AudioFormat) -> AudioFormat:
    """The format of the microphone after an update."""
    rate: int | None = options.sample_rate
    if options.audio and options.audio.input and options.audio.input.format:
        rate = options.audio.input.format.sample_rate or PCM_16K.rate_hz
    return before if rate is None else AudioFormat(encoding="pcm16", rate_hz=rate)


def ga_session(options: QwenOptions, profile: ModelProfile) -> Object:
    """The same update in the GA protocol's form."""
    given = options.model_fields_set
    session: Object = {"type": "realtime"}
    heard: Object = {}
    spoken: Object = {}
    if options.modalities is not None:
        session["output_modalities"] = [modality_of(options.modalities, param="session.modalities")]
    if options.instructions is not None:
        session["instructions"] = options.instructions
    if options.voice is not None:
        spoken["voice"] = voice_of(options.voice, profile)
    if "input_audio_transcription" in given:
        heard["transcription"] = _transcription(options.input_audio_transcription)
    if "turn_detection" in given:
        heard["turn_detection"] = ga_detection(options.turn_detection)
    if options.tools is not None:
        session["tools"] = [
            flat_tool(t, f"session.tools[{i}]") for i, t in enumerate(options.tools)
        ]
    if options.tool_choice is not None:
        session["tool_choice"] = flat_choice(options.tool_choice)
    if options.max_tokens is not None:
        session["max_output_tokens"] = ga_bound(options.max_tokens)
    session["audio"] = {"input": heard, "output": spoken}
    return session


def ga_bound(max_tokens: int) -> int | str:
    """A bound of an answer's tokens; more than the GA protocol can say is none."""
    return max_tokens if max_tokens <= MOST_TOKENS else "inf"


def ga_defaults(profile: ModelProfile) -> Object:
    """The session before the client says anything."""
    if "audio" not in profile.inputs:
        return {"type": "realtime"}
    transcription = {"model": DEFAULT_TRANSCRIPTION} if profile.transcribes else None
    return {
        "type": "realtime",
        "audio": {
            "input": {
                "turn_detection": ga_detection(Detection()),
                "transcription": transcription,
            }
        },
    }


def voice_of(voice: str, profile: ModelProfile) -> str:
    """The model's voice that a client's name stands for."""
    if voice in HOSTED_VOICES and voice not in profile.voices and profile.voices:
        return profile.voices[0]
    return voice


def ga_detection(detection: Detection | None) -> Object | None:
    """Turn detection in the GA protocol's form; what is not given has the dialect's default."""
    if detection is None:
        return None
    shared: Object = {
        "type": detection.type,
        "create_response": detection.create_response is not False,
        "interrupt_response": detection.interrupt_response is not False,
    }
    if detection.type == "semantic_vad":
        return shared
    threshold = 0.5 if detection.threshold is None else detection.threshold
    silence_ms = detection.silence_duration_ms
    padding_ms = detection.prefix_padding_ms
    return shared | {
        "threshold": float(max(LEAST_THRESHOLD, threshold)),
        "silence_duration_ms": DEFAULT_SILENCE_MS if silence_ms is None else silence_ms,
        "prefix_padding_ms": 300 if padding_ms is None else padding_ms,
    }


def not_applied(options: QwenOptions) -> dict[str, list[str]]:
    """What changes nothing, of each option in an update: the paths."""
    return {name: _unused(options, name) for name in options.model_fields_set}


def _unused(options: QwenOptions, option: str) -> list[str]:
    value = getattr(options, option)
    match option, value:
        case _, None | False:
            return []
        case "max_tokens", int():
            return [option] if value > MOST_TOKENS else []
        case "input_audio_transcription", Transcription():
            return _set(value, option, ("language", "corpus"))
        case "turn_detection", Detection(type="semantic_vad"):
            return _set(value, option, _SERVER_VAD_ONLY)
        case "turn_detection", Detection(threshold=float(threshold)):
            return [f"{option}.threshold"] if threshold < LEAST_THRESHOLD else []
        case "tools", list():
            return ["tools.strict"] if any(map(is_strict, value)) else []
        case "audio", AudioOptions(input=heard, output=spoken):
            return _hints(heard, "audio.input") + _hints(spoken, "audio.output")
        case _:
            return [option] if option in NOT_APPLIED else []


def _set(value: Wire, path: str, names: Sequence[str]) -> list[str]:
    return [f"{path}.{name}" for name in names if getattr(value, name) is not None]


def _hints(direction: Direction | None, path: str) -> list[str]:
    wanted = direction and direction.format
    return [f"{path}.format.{name}" for name in (wanted and wanted.model_extra) or ()]


def _transcription(wanted: Transcription | None) -> Object | None:
    if wanted is None:
        return None
    return {"model": wanted.model or DEFAULT_TRANSCRIPTION, "language": wanted.language}


def _check_format(wanted: Format, way: str) -> None:
    param = f"session.audio.{way}.format"
    if wanted.type != "pcm":
        message = f"Sound of type {shown(wanted.type)} is not served; 'pcm' is."
        raise CapabilityError(message, f"{param}.type")
    if way == "output" and wanted.sample_rate not in (None, OUTPUT_RATE_HZ):
        message = (
            f"Speech at {wanted.sample_rate} Hz is not served in this dialect; {OUTPUT_RATE_HZ} is."
        )
        raise CapabilityError(message, f"{param}.sample_rate")
