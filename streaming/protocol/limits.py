"""Every bound of a session, in one place, and what the model behind it can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from streaming.protocol.errors import CapabilityError, ProtocolError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one session; each error that one of them causes names it and its value.

    Attributes:
        max_event_bytes: Size of one client frame.
        max_options_bytes: Size of a client frame that carries no audio and no item.
        max_turn_ms: Audio in the input buffer (one user turn), and in one item that is created.
        min_commit_ms: Audio that a commit needs.
        max_items: Items in the conversation.
        max_text_chars: Text of one item or function tool, or of the instructions.
        max_request_chars: Text of one chat completion altogether.
        max_id_chars: Length of an id that a client chooses.
        max_tools: Functions of a session or response.
        max_responses_aside: Responses outside the conversation at the same time.
        max_input_items: Items of one response's own input.
        max_image_pixels: Of the images of one item together.
        frames_per_second: Pictures of a live camera while the user speaks.
        filmed_turn_tokens: What a live camera's pictures may take of one turn; then it goes on
            without.
        quiet_video_tokens: What a camera's pictures may take that were seen while nobody spoke.
    """

    max_event_bytes: int = 15 * 1024 * 1024
    max_options_bytes: int = 256 * 1024
    max_turn_ms: int = 120_000
    min_commit_ms: int = 100
    max_items: int = 1_000
    max_text_chars: int = 32_768
    max_request_chars: int = 262_144
    max_id_chars: int = 512
    max_tools: int = 128
    max_responses_aside: int = 2
    max_input_items: int = 128
    max_image_pixels: int = 12_000_000
    frames_per_second: float = 2.0
    filmed_turn_tokens: int = 16_384
    quiet_video_tokens: int = 512

    def check_text(self, chars: int, *, param: str) -> None:
        """Raises ProtocolError if `chars` are more than the text at `param` may have."""
        if chars > self.max_text_chars:
            raise _too_long(chars, self.max_text_chars, "max_text_chars", param)

    def check_request(self, chars: int, *, param: str) -> None:
        """Raises ProtocolError if `chars` are more than all text of a request may have."""
        if chars > self.max_request_chars:
            raise _too_long(chars, self.max_request_chars, "max_request_chars", param)

    def check_tools(self, tools: int, *, param: str) -> None:
        """Raises ProtocolError if `tools` are more than the list at `param` may have."""
        if tools > self.max_tools:
            raise ProtocolError(
                "array_above_max_length",
                f"Invalid '{param}': {tools} tools, expected at most {self.max_tools} (max_tools).",
                param,
            )


def _too_long(chars: int, most: int, name: str, param: str) -> ProtocolError:
    return ProtocolError(
        "string_above_max_length",
        f"Invalid '{param}': {chars} characters of text, expected at most {most} ({name}).",
        param,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLeft:
    """What a client has left of an allowance in time.

    Attributes:
        name: "requests" or "tokens", the two that the API knows.
        limit: The whole allowance.
        remaining: What is left of it now.
        reset_seconds: When all of it is back, if nothing more is spent.
    """

    name: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """What the session may promise of the model.

    Attributes:
        model_id: Name that the session object shows.
        inputs: Of "text", "audio", "image", "video".
        voices: Voice names; the first is the default. Empty if the model does not speak.
        instructions: System message while the client sets none.
        transcribes: Whether the model can be asked what it heard.
    """

    model_id: str
    inputs: tuple[str, ...]
    voices: tuple[str, ...]
    instructions: str
    transcribes: bool = True

    def require(self, wanted: str, *, param: str) -> None:
        """Raises CapabilityError if the model does not take `wanted`, one of the inputs' names."""
        if wanted not in self.inputs:
            plural = wanted if wanted in ("audio", "text") else f"{wanted}s"
            takes = " and ".join(self.inputs)
            raise CapabilityError(f"{self.model_id} takes {takes}, not {plural}.", param)
