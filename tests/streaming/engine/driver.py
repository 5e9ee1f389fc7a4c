"""Drives an engine by hand, and says offline what it should have said."""

import dataclasses
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch

from model.generate import speak, write
from model.kv_cache import KVCache
from model.mel import LogMel
from model.omni import OmniModel
from model.prompt import Prompt, embed_prompt
from model.thinker import talker_vectors
from streaming.engine.engine import Engine
from streaming.engine.messages.commands import (
    AddItem,
    CancelResponse,
    CloseConversation,
    Command,
    DeleteItem,
    Modality,
    OpenConversation,
    Respond,
    Transcribe,
    TruncateItem,
    UserAudio,
    UserAudioPause,
    UserAudioStart,
    UserAudioStop,
    UserFrame,
    UserVideo,
)
from streaming.engine.messages.content import (
    INPUT_SAMPLE_RATE_HZ,
    Frame,
    Part,
    Role,
    TextPart,
    VideoPart,
)
from streaming.engine.messages.events import AudioDelta, Event, ResponseDone, TextDelta
from streaming.engine.pieces import Piece
from streaming.engine.settings import EngineSettings
from streaming.engine.speaking import to_int16
from streaming.engine.template import Template

SETTINGS = EngineSettings(max_conversations=4, context_tokens=512, max_speech_s=0.6, seed=4)
MAX_CODES = 60  # twice the codes of `max_speech_s`

T = TypeVar("T")


def with_extras(model: OmniModel, **changed: Any) -> OmniModel:
    """The same networks under other figures of the section "omnilive"."""
    extras = dataclasses.replace(model.config.omnilive, **changed)
    return dataclasses.replace(model, config=dataclasses.replace(model.config, omnilive=extras))


def speech(seconds: float, seed: int = 0) -> bytes:
    """Noise with a slow swell, float32 LE at 16 kHz."""
    random = np.random.default_rng(seed)
    count = round(seconds * INPUT_SAMPLE_RATE_HZ)
    swell = 0.2 + 0.1 * np.sin(np.arange(count) / 4000)
    return (random.standard_normal(count) * swell).astype("<f4").tobytes()


@dataclass(slots=True)
class Driver:
    """Says things to an engine and collects what it says."""

    engine: Engine
    events: list[Event] = field(default_factory=list)

    def say(self, *commands: Command) -> None:
        self.engine.inbox.extend(commands)

    def step(self) -> bool:
        busy = self.engine.step()
        self.events.extend(self.engine.outbox)
        self.engine.outbox.clear()
        return busy

    def settle(self, *commands: Command, limit: int = 5000) -> None:
        """Says these, and runs until there is nothing to do."""
        self.say(*commands)
        for _ in range(limit):
            if not self.step():
                return
        raise AssertionError(f"still busy after {limit} steps")

    def until(self, there: Callable[[], object], limit: int = 5000) -> None:
        for _ in range(limit):
            if there():
                return
            self.step()
        raise AssertionError(f"did not happen in {limit} steps")

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    def said(self, response_id: str) -> tuple[str, bytes]:
        """Text and sound of a reply so far."""
        text = [d.text for d in self.of(TextDelta) if d.response_id == response_id]
        pcm = [d.pcm for d in self.of(AudioDelta) if d.response_id == response_id]
        return "".join(text), b"".join(pcm)

    def preempted(self) -> dict[str, int]:
        """What was put aside or thrown away so far, by reason; what never was is left out."""
        return {p.reason: p.count for p in self.engine.load.preemptions if p.count}

    def done(self, response_id: str) -> ResponseDone:
        (found,) = (d for d in self.of(ResponseDone) if d.response_id == response_id)
        return found


@dataclass(slots=True)
class Talk:
    """The commands of one conversation."""

    name: str = "c"
    turns: int = 0

    def open(self, instructions: str | None = None, voice: str | None = None) -> OpenConversation:
        return OpenConversation(conversation_id=self.name, instructions=instructions, voice=voice)

    def start(self, item_id: str) -> UserAudioStart:
        return UserAudioStart(conversation_id=self.name, item_id=item_id)

    def audio(self, item_id: str, pcm: bytes) -> UserAudio:
        return UserAudio(conversation_id=self.name, item_id=item_id, pcm=pcm)

    def frame(self, item_id: str, frame: Frame, fps: float = 2.0) -> UserFrame:
        return UserFrame(
            conversation_id=self.name, item_id=item_id, frame=frame, frames_per_second=fps
        )

    def video(self, item_id: str, video: VideoPart) -> UserVideo:
        return UserVideo(conversation_id=self.name, item_id=item_id, video=video)

    def add(self, item_id: str, *parts: Part, role: Role = "user") -> AddItem:
        return AddItem(conversation_id=self.name, item_id=item_id, role=role, parts=parts)

    def pause(self, item_id: str) -> UserAudioPause:
        return UserAudioPause(conversation_id=self.name, item_id=item_id)

    def stop(self, item_id: str) -> UserAudioStop:
        return UserAudioStop(conversation_id=self.name, item_id=item_id)

    def spoken(self, item_id: str, *chunks: bytes) -> list[Command]:
        """A whole spoken item as it comes from a microphone."""
        return [
            self.start(item_id),
            *(self.audio(item_id, chunk) for chunk in chunks),
            self.stop(item_id),
        ]

    def typed(
        self, item_id: str, text: str, role: Role = "user", previous: str | None = None
    ) -> AddItem:
        return AddItem(
            conversation_id=self.name,
            item_id=item_id,
            role=role,
            parts=(TextPart(text=text),),
            previous_item_id=previous,
        )

    def respond(
        self,
        response_id: str,
        *,
        tokens: int | None = 6,
        modality: Modality = "audio",
        instructions: str | None = None,
        voice: str | None = None,
    ) -> Respond:
        return Respond(
            conversation_id=self.name,
            response_id=response_id,
            item_id=f"{response_id}-item",
            modalities=(modality,),
            max_output_tokens=tokens,
            instructions=instructions,
            voice=voice,
        )

    def cancel(self, response_id: str, heard_ms: int | None = None) -> CancelResponse:
        return CancelResponse(conversation_id=self.name, response_id=response_id, heard_ms=heard_ms)

    def truncate(self, item_id: str, audio_end_ms: int) -> TruncateItem:
        return TruncateItem(conversation_id=self.name, item_id=item_id, audio_end_ms=audio_end_ms)

    def delete(self, item_id: str) -> DeleteItem:
        return DeleteItem(conversation_id=self.name, item_id=item_id)

    def transcribe(self, item_id: str) -> Transcribe:
        return Transcribe(conversation_id=self.name, item_id=item_id)

    def close(self) -> CloseConversation:
        return CloseConversation(conversation_id=self.name)


@dataclass(frozen=True)
class Said:
    """What the offline networks answer."""

    tokens: list[int]
    text: str
    codes: int
    pcm: bytes


class Offline:
    """The same conversation computed whole: every network's offline pass over all of it."""

    def __init__(self, model: OmniModel) -> None:
        self.model = model
        self.template = Template(model)
        audio = model.config.thinker.audio
        self._log_mel = LogMel(audio.num_mel_bins, audio.block_frames)

    def system(self, text: str | None = None) -> list[Piece]:
        return [self.template.system(text or self.model.config.omnilive.system_prompt)]

    def spoken(self, pcm: bytes) -> list[Piece | bytes]:
        return [
            self.template.user_open,
            self.template.audio_open,
            pcm,
            self.template.audio_close,
            self.template.user_close,
        ]

    def typed(self, text: str, role: Role = "user") -> list[Piece]:
        return self.template.typed(role, [text])

    def answer(self, tokens: Sequence[int]) -> list[Piece]:
        return self.template.answer(tokens)

    @torch.inference_mode()
    def prompt(self, pieces: Iterable[Piece | bytes]) -> Prompt:
        ids: list[int] = []
        mels = []
        for piece in pieces:
            if isinstance(piece, bytes):
                samples = torch.from_numpy(np.frombuffer(piece, dtype="<f4").copy())
                mels.append(self._log_mel.running(samples))
                tokens = len(self.model.thinker.audio_tower(mels[-1].to(self.model.device)))
                ids += [self.model.config.thinker.audio_token_index] * tokens
            else:
                ids += piece.ids
        return Prompt(
            ids=ids,
            position_ids=torch.arange(len(ids)).expand(3, -1),
            mels=mels,
            images=[],
            videos=[],
            seconds_per_step=[],
        )

    def caches(self, pieces: Iterable[Piece | bytes]) -> tuple[KVCache, KVCache]:
        """What Thinker and Talker hold of this conversation, each in one pass."""
        return self.caches_of(self.prompt(pieces))

    @torch.inference_mode()
    def caches_of(self, prompt: Prompt) -> tuple[KVCache, KVCache]:
        """The same of a prompt."""
        model, config = self.model, self.model.config
        thinker, talker = (
            KVCache(decoder, slots=1, capacity_tokens=len(prompt.ids), device=model.device)
            for decoder in (config.thinker.text, config.talker.decoder)
        )
        embeds = embed_prompt(model.thinker, prompt)
        positions = prompt.position_ids[:, None].to(model.device)
        hidden = model.thinker.step(embeds, positions, thinker, [0])
        ids = torch.tensor(prompt.ids, device=model.device)
        placeholders = (
            config.thinker.audio_token_index,
            config.thinker.image_token_index,
            config.thinker.video_token_index,
        )
        media = torch.isin(ids, torch.tensor(placeholders, device=model.device))
        vectors = model.talker.spelled(talker_vectors(embeds[0], hidden[0], media), ids)
        model.talker.step(vectors[None], positions, talker, [0])
        return thinker, talker

    def say(
        self,
        pieces: Iterable[Piece | bytes],
        response_id: str,
        *,
        tokens: int = 6,
        voice: str | None = None,
    ) -> Said:
        """What reply `response_id` to this conversation is, in full."""
        prompt = self.prompt([*pieces, self.template.answer_open])
        return self.say_to(prompt, response_id, tokens=tokens, voice=voice)

    @torch.inference_mode()
    def say_to(
        self, prompt: Prompt, response_id: str, *, tokens: int = 6, voice: str | None = None
    ) -> Said:
        """What the reply is to a prompt that ends with the answer's opening."""
        seed = SETTINGS.seed ^ zlib.crc32(response_id.encode())
        written = write(self.model, prompt, max_tokens=tokens, seed=seed)
        if not written.text_ids:
            return Said(tokens=[], text="", codes=0, pcm=b"")
        speaker = self.model.speaker(voice)
        feed = self.model.feed(speaker)
        for vector in written.reply:
            feed.push(vector)
        feed.finish()
        codes = speak(
            self.model,
            written.conversation,
            prompt.position_ids,
            feed,
            max_codes=MAX_CODES,
            seed=seed,
        )
        advance = self.model.config.omnilive.talker_text_advance_token_id
        sounding = [code for code in codes if code != advance]
        token2wav = self.model.token2wav
        state = token2wav.init_state(speaker, seed)
        chunks = [token2wav.step(state, torch.tensor(sounding, dtype=torch.long))]
        chunks.append(token2wav.flush(state))
        return Said(
            tokens=written.text_ids,
            text=self.model.tokenizer.decode(written.text_ids),
            codes=len(sounding),
            pcm=to_int16(torch.cat(chunks)),
        )


def assert_remembers(
    driver: Driver, offline: Offline, whole: Iterable[Piece | bytes], name: str = "c"
) -> None:
    """Both caches of a conversation hold exactly this, as if computed in one pass."""
    assert_holds(driver, offline.caches(whole), name)


def assert_holds(driver: Driver, caches: tuple[KVCache, KVCache], name: str = "c") -> None:
    """Both caches of a conversation hold exactly the same as these of one slot."""
    slot, memory = driver.engine._conversations[name].slot, driver.engine._memory
    pairs = zip((memory.thinker, memory.talker), caches, strict=True)
    for ours, theirs in pairs:
        length = theirs.lengths[0]
        assert ours.lengths[slot] == length
        for held, expected in ((ours.k, theirs.k), (ours.v, theirs.v)):
            torch.testing.assert_close(
                held[:, slot, :, :length], expected[:, 0], atol=2e-4, rtol=2e-4
            )


def assert_same_sound(heard: bytes, expected: bytes) -> None:
    """Equal within 16 of 32,768 steps: batches and chunks change the order of float sums."""
    ours, theirs = (np.frombuffer(pcm, dtype="<i2").astype(int) for pcm in (heard, expected))
    assert len(ours) == len(theirs)
    assert np.abs(ours - theirs).max(initial=0) <= 16
