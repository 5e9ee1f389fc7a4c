"""The session object as clients may write it: every option of the GA API with its range.

Knows names, types and defaults. Does not know which of them are served (`session_config`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from streaming.protocol.limits import Limits
from streaming.protocol.tools import Tools, parsed_tools
from streaming.protocol.validation import Wire
from streaming.protocol.wire_audio import PcmFormat, WireFormat
from streaming.turns.events import VadSettings

Object: TypeAlias = dict[str, Any]
OutputModalities: TypeAlias = Annotated[
    list[Literal["text", "audio"]], Field(min_length=1, max_length=1)
]
Include: TypeAlias = list[Literal["item.input_audio_transcription.logprobs"]]
# Of a response; the API's own bound.
MOST_TOKENS = 4096
MaxTokens: TypeAlias = Annotated[int, Field(ge=1, le=MOST_TOKENS)] | Literal["inf"]

# How long a semantic turn may be silent that sounds as if it went on; and after how much silence
# that is judged.
_EAGERNESS_WAIT_MS = {"low": 8000, "medium": 4000, "high": 2000, "auto": 4000}
_JUDGED_AFTER_MS = 200
# Levels of the noise suppressor, each some 6 dB: a far microphone hears more of the room.
_NOISE_LEVELS = {"near_field": 2, "far_field": 3}
_STRONGEST = 4


class Transcription(Wire):
    """Input transcription; the omni model itself does it, whatever `model` says."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None
    keywords: list[str] | None = None
    languages: list[str] | None = None


class NoiseReduction(Wire):
    """How far away the microphone is, and how much of its noise to take off."""

    type: Literal["near_field", "far_field"]
    strength: float | None = Field(default=None, ge=0.0)

    @property
    def level(self) -> int:
        """Of the suppressor, 0 to 4; a strength of 1 is the usual one, 0 is none."""
        strength = 1.0 if self.strength is None else self.strength
        return min(_STRONGEST, round(_NOISE_LEVELS[self.type] * min(strength, _STRONGEST)))


class ServerVad(Wire):
    """Turns by voice activity and silence."""

    type: Literal["server_vad"]
    threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    prefix_padding_ms: int = Field(default=300, ge=0, le=10_000)
    silence_duration_ms: int = Field(default=500, ge=0, le=30_000)
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: int | None = Field(default=None, ge=5_000, le=30_000)


class SemanticVad(Wire):
    """Turns by whether they sound finished, and a silence that its eagerness sets if not."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection: TypeAlias = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class AudioInput(Wire):
    """What comes from the client."""

    format: WireFormat = PcmFormat()
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: TurnDetection | None = ServerVad(type="server_vad")


class Voice(Wire):
    """A voice by id, the object form of a voice's name."""

    id: str


class AudioOutput(Wire):
    """What goes to the client."""

    format: WireFormat = PcmFormat()
    voice: str | Voice | None = None
    speed: float = Field(default=1.0, ge=0.25, le=1.5)


class Audio(Wire):
    """Both directions of sound."""

    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class TokenLimits(Wire):
    """Bounds of a retention ratio."""

    post_instructions: int | None = Field(default=None, ge=0)


class RetentionRatio(Wire):
    """How much to keep when the context overflows."""

    type: Literal["retention_ratio"]
    retention_ratio: float = Field(ge=0.0, le=1.0)
    token_limits: TokenLimits | None = None


class SessionConfig(Wire):
    """The session's options as they are in force."""

    type: Literal["realtime"]
    model: str | None = None
    output_modalities: OutputModalities = Field(default=["audio"])
    instructions: str = ""
    prompt: Object | None = None
    audio: Audio = Audio()
    tools: list[Object] = Field(default=[])
    tool_choice: Literal["auto", "none", "required"] | Object = "auto"
    parallel_tool_calls: bool | None = None
    reasoning: Object | None = None
    max_output_tokens: MaxTokens = "inf"
    truncation: Literal["auto", "disabled"] | RetentionRatio = "auto"
    tracing: Literal["auto"] | Object | None = None
    include: Include | None = None

    @property
    def wants_log_probs(self) -> bool:
        """Whether the client is told how sure the tokens of a transcript are."""
        return bool(self.include)

    @property
    def modality(self) -> Literal["text", "audio"]:
        """The one kind of output."""
        return self.output_modalities[0]

    @property
    def voice(self) -> str | None:
        """Name of the voice in force; None if the model has none."""
        voice = self.audio.output.voice
        return voice.id if isinstance(voice, Voice) else voice

    @property
    def function_tools(self) -> Tools:
        """The tools and the choice among them, as the engine takes them."""
        return parsed_tools(self.tools, self.tool_choice, under="session", may_come=True)

    @property
    def max_tokens(self) -> int | None:
        """`max_output_tokens` as a number; None for "inf"."""
        return None if self.max_output_tokens == "inf" else self.max_output_tokens

    @property
    def noise_level(self) -> int:
        """How much noise to take off the input, 0 (nothing) to 4."""
        wanted = self.audio.input.noise_reduction
        return 0 if wanted is None else wanted.level

    def vad(self, limits: Limits) -> VadSettings | None:
        """The settings of the turn detector; None when the client decides the turns."""
        detection = self.audio.input.turn_detection
        if detection is None:
            return None
        if isinstance(detection, SemanticVad):
            return VadSettings(
                silence_duration_ms=_JUDGED_AFTER_MS,
                max_wait_ms=_EAGERNESS_WAIT_MS[detection.eagerness],
                max_turn_ms=limits.max_turn_ms,
            )
        return VadSettings(
            threshold=detection.threshold,
            prefix_padding_ms=detection.prefix_padding_ms,
            silence_duration_ms=detection.silence_duration_ms,
            max_turn_ms=limits.max_turn_ms,
            idle_timeout_ms=detection.idle_timeout_ms,
        )
