"""A tiny checkpoint with a tokenizer and two voices, and a way to drive an engine by hand.

The networks are the real ones at random weights; what they say makes no sense and stays the same.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors.torch import save_file

from model.config import OmniConfig
from model.omni import Networks, OmniModel, load_checkpoint
from streaming.engine import messages as m
from streaming.engine.engine import Engine
from streaming.engine.settings import EngineSettings
from tests.model import text, tiny

VOCABULARY_TOKENS = 424
IDS = {
    "audio_token_index": 403,
    "audio_start_token_id": 404,
    "audio_end_token_id": 405,
    "image_token_index": 408,
    "video_token_index": 409,
    "vision_start_token_id": 406,
    "vision_end_token_id": 407,
}
TALKER_IDS = {
    "tts_text_start_token_id": 412,
    "tts_text_end_token_id": 413,
    "tts_text_pad_token_id": 414,
}
SETTINGS = EngineSettings(max_conversations=4, context_tokens=512, max_speech_s=1.5)
VOICES = ("Ada", "Bob")

T = TypeVar("T")


def config_dict(**omnilive: Any) -> dict[str, Any]:
    """The tiny config with the test tokenizer's ids, for text and sound."""
    data = tiny.config_dict()
    data["thinker_config"] |= IDS
    data["thinker_config"]["text_config"]["vocab_size"] = VOCABULARY_TOKENS
    data["talker_config"] |= IDS | TALKER_IDS
    data["omnilive"] = {
        "inputs": ["text", "audio"],
        "solver": {"method": "euler", "num_steps": 3, "guidance_scale": 0.0},
        "system_prompt": "You see and hear.",
        "transcribe_prompt": "What is it?",
    } | omnilive
    return data


def save_checkpoint(directory: Path, data: dict[str, Any] | None = None, *, seed: int = 0) -> Path:
    """Writes a checkpoint in the published layout with random weights."""
    import json

    data = data or config_dict()
    networks = Networks(OmniConfig.from_dict(data))
    tiny.randomise(networks, seed)
    # Quiet enough that the waveform is not clipped, so that it can be compared.
    tiny.randomise(networks.token2wav.code2wav_bigvgan_model, seed, scale=0.08)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(data))
    state = {name: tensor.contiguous() for name, tensor in networks.state_dict().items()}
    save_file(state, directory / "model.safetensors")
    text.backend().save(str(directory / "tokenizer.json"))
    dit = OmniConfig.from_dict(data).token2wav.dit
    random = torch.Generator().manual_seed(seed)
    voices = {
        name: {
            "cond": torch.randn(1, dit.enc_emb_dim, generator=random),
            "ref_mel": torch.randn(1, 30, dit.mel_dim, generator=random),
            "bos_token": 415 + index,
        }
        for index, name in enumerate(VOICES)
    }
    torch.save(voices, directory / "spk_dict.pt")
    return directory


def load(directory: Path) -> OmniModel:
    return load_checkpoint(directory, dtype="float32")


def speech(seconds: float, seed: int = 0) -> bytes:
    """Noise with a slow swell, float32 LE at 16 kHz."""
    random = np.random.default_rng(seed)
    count = round(seconds * m.INPUT_SAMPLE_RATE_HZ)
    swell = 0.2 + 0.1 * np.sin(np.arange(count) / 4000)
    return (random.standard_normal(count) * swell).astype("<f4").tobytes()


def samples(pcm: bytes) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(pcm, dtype="<f4").copy())


@dataclass(slots=True)
class Driver:
    """Says things to an engine and collects what it says."""

    engine: Engine
    events: list[m.Event] = field(default_factory=list)
    steps: int = 0

    def say(self, *commands: m.Command) -> None:
        self.engine.inbox.extend(commands)

    def step(self) -> bool:
        busy = self.engine.step()
        self.steps += 1
        self.events.extend(self.engine.outbox)
        self.engine.outbox.clear()
        return busy

    def settle(self, limit: int = 5000) -> None:
        """Runs until there is nothing to do."""
        for _ in range(limit):
            if not self.step():
                return
        raise AssertionError(f"still busy after {limit} steps")

    def until(self, there: Callable[[], bool], limit: int = 5000) -> None:
        for _ in range(limit):
            if there():
                return
            self.step()
        raise AssertionError(f"did not happen in {limit} steps")

    def of(self, kind: type[T], conversation_id: str | None = None) -> list[T]:
        return [
            event
            for event in self.events
            if isinstance(event, kind)
            and conversation_id in (None, getattr(event, "conversation_id", None))
        ]

    def text(self, response_id: str) -> str:
        return "".join(d.text for d in self.of(m.TextDelta) if d.response_id == response_id)

    def pcm(self, response_id: str) -> bytes:
        return b"".join(d.pcm for d in self.of(m.AudioDelta) if d.response_id == response_id)

    def done(self, response_id: str) -> m.ResponseDone:
        (found,) = (d for d in self.of(m.ResponseDone) if d.response_id == response_id)
        return found


def spoken(conversation_id: str, item_id: str, chunks: Iterable[bytes]) -> list[m.Command]:
    """A whole spoken item as it comes from a microphone."""
    where = {"conversation_id": conversation_id, "item_id": item_id}
    return [
        m.UserAudioStart(**where),
        *(m.UserAudio(**where, pcm=chunk) for chunk in chunks),
        m.UserAudioStop(**where),
    ]
