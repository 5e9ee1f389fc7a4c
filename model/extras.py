"""What our checkpoints add to a published config.json, in its section "omnilive".

Knows the section's keys, and that leaving it out means the published models' behaviour: they carry
no such section. Does not know the networks.
"""

from dataclasses import dataclass
from typing import Literal, Self

from model.config_reader import as_section, read, require_positive
from model.errors import ConfigError

Modality = Literal["text", "audio", "image", "video"]


@dataclass(frozen=True, kw_only=True)
class SolverConfig:
    """The flow-matching solver of Token2Wav; `num_steps` counts time points, so 10 are 9 steps.

    `noise_scale` below 1 begins nearer to the mean: less various and, from a small network, clearer
    ("temperature" in "Grad-TTS", Popov et al., 2021).
    """

    method: Literal["rk4", "euler"] = "rk4"
    num_steps: int = 10
    guidance_scale: float = 0.5
    sway_coefficient: float | None = -1.0
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.num_steps < 2:
            raise ConfigError(f"num_steps must be at least 2, got {self.num_steps}")
        if self.noise_scale < 0:
            raise ConfigError(f"noise_scale must be at least 0, got {self.noise_scale}")


@dataclass(frozen=True, kw_only=True)
class ChunkPolicy:
    """How a stream of sound is cut.

    Attributes:
        blocks: DiT blocks of the first chunks, in order: few at first, for the first packet; the
            last figure holds for all that follow.
        vocoder_context_frames: Mel frames that the vocoder waits for beyond a sample's own. None is
            as many as the network can reach; trained weights may need fewer for the same samples to
            float tolerance, and then speak earlier.
    """

    blocks: tuple[int, ...] = (1, 2, 4)
    vocoder_context_frames: int | None = None

    def __post_init__(self) -> None:
        if not self.blocks or min(self.blocks) < 1:
            raise ConfigError(f"chunk sizes must be at least 1 block, got {self.blocks}")
        if self.vocoder_context_frames is not None and self.vocoder_context_frames < 1:
            raise ConfigError(
                f"vocoder_context_frames must be at least 1, got {self.vocoder_context_frames}"
            )

    def size(self, chunk: int) -> int:
        """Returns the blocks of the chunk with that index."""
        return self.blocks[min(chunk, len(self.blocks) - 1)]


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How a token is drawn.

    Temperature 0 is greedy, top_k 0 and top_p 1 cut nothing, penalty 1 does nothing.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.top_k < 0:
            raise ConfigError("temperature and top_k must be at least 0")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        require_positive(repetition_penalty=self.repetition_penalty)


@dataclass(frozen=True, kw_only=True)
class ThinkerSource:
    """An installed package whose GGUF file holds the Thinker decoder's base weights.

    `hidden_scale` s divides the unembedding and multiplies the final norm, which leaves the logits
    as they were and makes the last hidden state s times as large. Each of the first `delta_layers`
    layers has a low-rank change on each of its projections, which the checkpoint must hold.
    """

    package: str
    version: str
    file: str
    sha256: str
    hidden_scale: float = 1.0
    delta_layers: int = 0


@dataclass(frozen=True, kw_only=True)
class DictationConfig:
    """An ear that writes token embeddings, to be read as words (`model.dictation`).

    Attributes:
        blank_token_id: whose embedding it writes where no token ends.
        sharpness: how fast a token's log-probability falls with the half squared distance of a
            vector to its embedding.
        language_weight: of the Thinker's log-probability of the words beside the ear's.
        beam_width: how many readings are kept side by side.
        lead_in_s: silence that its ear is given before a sound.
    """

    blank_token_id: int
    sharpness: float = 2.5
    language_weight: float = 0.6
    beam_width: int = 16
    lead_in_s: float = 0.0

    def __post_init__(self) -> None:
        require_positive(sharpness=self.sharpness, beam_width=self.beam_width)
        if self.language_weight < 0:
            raise ConfigError(f"language_weight must be at least 0, got {self.language_weight}")
        if not 0 <= self.lead_in_s <= 1:
            raise ConfigError(f"lead_in_s must be from 0 to 1, got {self.lead_in_s}")


# The persona with which the published Talker was trained; the reference warns of odd speech
# without it.
PUBLISHED_SYSTEM_PROMPT = (
    "You are Qwen, a virtual human developed by the Qwen Team, Alibaba Group, capable of "
    "perceiving auditory and visual inputs, as well as generating text and speech."
)


@dataclass(frozen=True, kw_only=True)
class Extras:
    """The section "omnilive"; the defaults are what the published checkpoints do."""

    inputs: tuple[Modality, ...] = ("text", "audio", "image", "video")
    talker_text_advance_token_id: int | None = None
    # How many tokens ahead of its voice a Talker with an advance token takes the text.
    talker_text_lead_tokens: int = 0
    # How many letters of each text token a Talker is told (`model.spelling`); None is none.
    talker_spelling_letters: int | None = None
    solver: SolverConfig = SolverConfig()
    chunks: ChunkPolicy = ChunkPolicy()
    thinker_sampling: SamplingConfig = SamplingConfig()
    talker_sampling: SamplingConfig = SamplingConfig(
        temperature=0.9, top_k=40, top_p=0.8, repetition_penalty=1.05
    )
    system_prompt: str = PUBLISHED_SYSTEM_PROMPT
    transcribe_prompt: str | None = (
        "Transcribe the English audio into text without any punctuation marks."
    )
    # What was said stands in the conversation as words; None is as the encoder's vectors.
    dictation: DictationConfig | None = None
    thinker_source: ThinkerSource | None = None

    def __post_init__(self) -> None:
        if self.talker_spelling_letters is not None:
            require_positive(talker_spelling_letters=self.talker_spelling_letters)
        if self.dictation is not None and self.inputs != ("text", "audio"):
            raise ConfigError(
                f"dictation is for checkpoints of text and audio, this one takes {self.inputs}"
            )

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Reads the section; an unknown key is an error, for nobody but us writes it."""
        path = "omnilive"
        section = as_section(data, path)
        nested: dict[str, type] = {
            "solver": SolverConfig,
            "chunks": ChunkPolicy,
            "thinker_sampling": SamplingConfig,
            "talker_sampling": SamplingConfig,
            "dictation": DictationConfig,
            "thinker_source": ThinkerSource,
        }
        given: dict[str, object] = {
            name: read(kind, section[name], f"{path}.{name}", strict=True)
            for name, kind in nested.items()
            if section.get(name) is not None
        }
        rest = {k: v for k, v in section.items() if k not in nested}
        return read(cls, rest, path, strict=True, given=given)
