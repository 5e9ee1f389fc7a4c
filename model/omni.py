"""A whole checkpoint, loaded: networks, tokenizer and voices.

Knows what belongs together, in which dtype and where. Does not know conversations: `model.generate`
and the engine do.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from model.config import OmniConfig
from model.dictation import Dictation
from model.errors import CheckpointError, ConfigError, InputError
from model.gguf_weights import DELTA_PREFIX, thinker_decoder
from model.layers import round_for_steps
from model.markers import check_markers
from model.precision import cpu_steps_in_bf16
from model.talker import FeedVectors, Talker, TalkerFeed
from model.thinker import Thinker
from model.token2wav import Speaker, Token2Wav
from model.tokenizer import Tokenizer
from model.vision_input import IMAGE_BOUNDS, PixelBounds, load_image_bounds
from model.weights import (
    EmptyWeights,
    Progress,
    Selected,
    TensorFiles,
    Tensors,
    TensorSource,
    checkpoint_directory,
    load_tensors,
)

_log = logging.getLogger("omnilive.model")

DTypeName = Literal["auto", "float32", "bfloat16"]
EMBEDDED_NAME = "omni-mini"
EMBEDDED_CHECKPOINT = Path(__file__).parent / "checkpoints" / "omni_mini"
SPEAKERS_FILE = "spk_dict.pt"


class Networks(nn.Module):
    """The three networks under their published names."""

    def __init__(self, config: OmniConfig) -> None:
        super().__init__()
        self.thinker = Thinker(config.thinker)
        self.talker = Talker.of(config)
        self.token2wav = Token2Wav(config.token2wav, config.omnilive.solver, config.omnilive.chunks)


@dataclass(frozen=True, kw_only=True)
class OmniModel:
    """A checkpoint that is ready to run.

    Attributes:
        name: of the checkpoint, for people.
        config: its figures.
        thinker: reads and writes text.
        talker: writes codec tokens.
        token2wav: makes samples of them; always float32.
        tokenizer: text to ids and back.
        speakers: the voices, by name; the first is the default.
        device: where all of it is.
        dtype: of Thinker and Talker.
        image_bounds: how many pixels its images have once they are scaled.
    """

    name: str
    config: OmniConfig
    thinker: Thinker
    talker: Talker
    token2wav: Token2Wav
    tokenizer: Tokenizer
    speakers: Mapping[str, Speaker]
    device: torch.device
    dtype: torch.dtype
    image_bounds: PixelBounds = IMAGE_BOUNDS

    @cached_property
    def dictation(self) -> Dictation | None:
        """Writes down what is said, if that is how this checkpoint hears."""
        config = self.config.omnilive.dictation
        return None if config is None else Dictation(self.thinker, self.tokenizer, config)

    @property
    def transcribes(self) -> bool:
        """Whether it can be asked what was said."""
        return self.config.omnilive.transcribe_prompt is not None or self.dictation is not None

    @property
    def text_end_ids(self) -> frozenset[int]:
        """Text tokens that end a reply."""
        return frozenset((self.tokenizer.control("<|im_end|>"),))

    def speaker(self, voice: str | None = None) -> Speaker:
        """The voice of that name, or the first.

        Raises:
            InputError: no such voice; names the choices.
        """
        name = next(iter(self.speakers)) if voice is None else voice
        if name not in self.speakers:
            raise InputError(f"voice {name!r} is unknown; choices: {', '.join(self.speakers)}")
        return self.speakers[name]

    def feed(self, speaker: Speaker) -> TalkerFeed:
        """The start of a spoken reply in that voice."""
        config = self.config.talker
        text_bos, text_eos, text_pad = self._text_vectors(
            speaker.bos_token, config.tts_text_end_token_id, config.tts_text_pad_token_id
        )
        codec_pad, codec_bos = self.talker.codec_embed(
            self._ids(config.tts_codec_pad_token_id, config.tts_codec_start_token_id)
        )
        return TalkerFeed(
            talker=self.talker,
            vectors=FeedVectors(
                text_bos=text_bos,
                text_eos=text_eos,
                text_pad=text_pad,
                codec_pad=codec_pad,
                codec_bos=codec_bos,
            ),
            advance_token_id=self.config.omnilive.talker_text_advance_token_id,
        )

    def _text_vectors(self, *ids: int) -> Tensor:
        return self.thinker.embed(self._ids(*ids))

    def _ids(self, *ids: int) -> Tensor:
        return torch.tensor(ids, device=self.device)


def load_checkpoint(
    path_or_hub_id: str | Path | None = None,
    *,
    device: str | torch.device = "cpu",
    dtype: DTypeName = "auto",
    progress: Progress | None = None,
) -> OmniModel:
    """Loads a checkpoint in the published layout.

    Args:
        path_or_hub_id: a directory or owner/name; None is the embedded omni-mini.
        device: "cpu", "cuda" or "cuda:N".
        dtype: of Thinker and Talker; "auto" is bfloat16 where decode steps are fast in it, and
            elsewhere float32 with the matrices of their decode steps rounded to bfloat16.
        progress: told how far it is.

    Raises:
        ConfigError: config.json, device or dtype will not do.
        CheckpointError: files are absent or do not fit; all tensors at once, by name.
    """
    place = _device(device)
    chosen = _dtype(dtype, place)
    directory = checkpoint_directory(path_or_hub_id or EMBEDDED_CHECKPOINT)
    config = OmniConfig.load(directory)
    tokenizer = Tokenizer.load(directory)
    check_markers(config, tokenizer)
    speakers = load_speakers(directory / SPEAKERS_FILE, config, place)
    image_bounds = IMAGE_BOUNDS if config.thinker.vision is None else load_image_bounds(directory)
    networks = _load_networks(directory, config, chosen, place, progress)
    if networks.talker.spelling is not None:
        networks.talker.spelling.learn_letters(tokenizer)
    if dtype == "auto" and chosen is torch.float32:
        # The same weights on every machine; what they are multiplied with is float32 here.
        round_for_steps(networks)
    name = EMBEDDED_NAME if path_or_hub_id is None else str(path_or_hub_id)
    _log.info("loaded %s as %s on %s", name, chosen, place)
    return OmniModel(
        name=name,
        config=config,
        thinker=networks.thinker,
        talker=networks.talker,
        token2wav=networks.token2wav,
        tokenizer=tokenizer,
        speakers=speakers,
        device=place,
        dtype=chosen,
        image_bounds=image_bounds,
    )


def _load_networks(
    directory: Path,
    config: OmniConfig,
    dtype: torch.dtype,
    device: torch.device,
    progress: Progress | None,
) -> Networks:
    """Builds the networks and fills them; Token2Wav is float32 whatever the others are.

    Raises:
        CheckpointError: tensors are missing, surplus or misshapen; all of them, by name.
    """
    with EmptyWeights():
        networks = Networks(config).eval()
    with TensorFiles(directory) as files:
        load_tensors(
            networks,
            _sources(files, config, progress),
            dtype_of=lambda name: torch.float32 if name.startswith("token2wav.") else dtype,
            device=device,
            progress=progress,
        )
    return networks


def load_speakers(path: Path, config: OmniConfig, device: torch.device) -> dict[str, Speaker]:
    """Reads the voices of a checkpoint.

    Args:
        path: spk_dict.pt, a dict of name -> {"cond", "ref_mel", "bos_token"}.
        config: for the widths that must fit.
        device: where their tensors go.

    Raises:
        CheckpointError: no such file, not such a dict, or widths that do not fit.
    """
    try:
        entries = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken pickle makes torch raise
        raise CheckpointError(f"cannot read the voices in {path}: {error}") from error
    if not isinstance(entries, dict) or not entries:
        raise CheckpointError(f"{path} must hold a dict of voices, got {type(entries).__name__}")
    voices = (_speaker(name, entry, config) for name, entry in entries.items())
    return {voice.name: voice.to(device) for voice in voices}


def _speaker(name: object, entry: object, config: OmniConfig) -> Speaker:
    where = f"voice {name!r} of {SPEAKERS_FILE}"
    if not isinstance(entry, dict) or not {"cond", "ref_mel", "bos_token"} <= entry.keys():
        raise CheckpointError(f"{where} must have cond, ref_mel and bos_token")
    cond, mel, bos = (entry[key] for key in ("cond", "ref_mel", "bos_token"))
    dit = config.token2wav.dit
    if not isinstance(name, str):
        raise CheckpointError(f"{where}: the name must be a string")
    if not isinstance(cond, Tensor) or cond.shape != (1, dit.enc_emb_dim):
        raise CheckpointError(f"{where}: cond must be [1, {dit.enc_emb_dim}]")
    shape = mel.shape if isinstance(mel, Tensor) and mel.numel() else ()
    if len(shape) != 3 or (shape[0], shape[2]) != (1, dit.mel_dim):
        raise CheckpointError(f"{where}: ref_mel must be [1, frames, {dit.mel_dim}]")
    if not (cond.isfinite().all() and mel.isfinite().all()):
        raise CheckpointError(f"{where}: cond and ref_mel must be finite")
    if isinstance(bos, Tensor) and bos.numel() == 1:
        bos = bos.item()
    if not isinstance(bos, int) or not 0 <= bos < config.thinker.text.vocab_size:
        raise CheckpointError(f"{where}: bos_token {bos!r} is no token of the vocabulary")
    return Speaker(name=name, cond=cond.float(), ref_mel=mel.float(), bos_token=bos)


def _sources(
    files: TensorFiles, config: OmniConfig, progress: Progress | None
) -> list[TensorSource]:
    source = config.omnilive.thinker_source
    if source is None:
        return [files]
    if progress:
        progress(f"reading the Thinker's base weights from {source.package}", 0.0)
    deltas = {name: files.read(name) for name in files.shapes if name.startswith(DELTA_PREFIX)}
    base = thinker_decoder(source, config.thinker.text, deltas)
    return [Selected(files, lambda name: not name.startswith(DELTA_PREFIX)), Tensors(base)]


def _device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
    except RuntimeError:
        place = torch.device("meta")
    if place.type not in ("cpu", "cuda"):
        raise ConfigError(f"device is {device!r}; choices: cpu, cuda, cuda:N")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device is {device!r}; there are {torch.cuda.device_count()} GPUs here")
    return place


def _dtype(dtype: str, device: torch.device) -> torch.dtype:
    choices = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if dtype == "auto":
        fast = device.type == "cuda" or cpu_steps_in_bf16()
        return torch.bfloat16 if fast else torch.float32
    if dtype not in choices:
        raise ConfigError(f"dtype is {dtype!r}; choices: auto, {', '.join(choices)}")
    return choices[dtype]
