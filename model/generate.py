"""One turn offline, in plain code: prompt in; text, codec tokens and samples out.

Knows the order of the networks and nothing of time: the Thinker ends before the Talker begins, and
the Talker before the vocoder. It is what the streamed engine is held against.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.config import DecoderConfig
from model.kv_cache import KVCache
from model.omni import OmniModel
from model.prompt import Prompt, embed_prompt
from model.sampling import Sampler
from model.talker import TalkerFeed
from model.thinker import talker_vectors


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A reply.

    Attributes:
        text_ids: the Thinker's tokens, without the one that ends the reply.
        codes: the Talker's tokens, without the one that ends it; advance tokens among them.
        samples: [S] float32 at the checkpoint's rate.
    """

    text_ids: list[int]
    codes: list[int]
    samples: Tensor


@dataclass(frozen=True, kw_only=True)
class Written:
    """What the Thinker did in a turn.

    Attributes:
        text_ids: see `Turn`.
        conversation: [T, D] the prompt's vectors for the Talker.
        reply: [len(text_ids), D] the reply's.
    """

    text_ids: list[int]
    conversation: Tensor
    reply: Tensor


@torch.inference_mode()
def generate_turn(
    model: OmniModel,
    prompt: Prompt,
    *,
    voice: str | None = None,
    max_text_tokens: int = 1024,
    max_codes: int = 4096,
    seed: int = 0,
) -> Turn:
    """Answers a prompt in text and speech.

    Args:
        model: the checkpoint.
        prompt: a conversation that ends with the opening of the reply.
        voice: a speaker's name, the first by default.
        max_text_tokens: the reply is cut there.
        max_codes: its speech is cut there.
        seed: of every draw and of the vocoder's noise.

    Raises:
        InputError: no such voice.
    """
    speaker = model.speaker(voice)
    written = write(model, prompt, max_tokens=max_text_tokens, seed=seed)
    feed = model.feed(speaker)
    for vector in written.reply:
        feed.push(vector)
    feed.finish()
    codes = speak(
        model, written.conversation, prompt.position_ids, feed, max_codes=max_codes, seed=seed
    )
    advance = model.config.omnilive.talker_text_advance_token_id
    sounding = torch.tensor([[code for code in codes if code != advance]], device=model.device)
    noise = torch.Generator().manual_seed(seed)
    samples = model.token2wav(sounding, speaker, generator=noise) if sounding.numel() else None
    return Turn(
        text_ids=written.text_ids,
        codes=codes,
        samples=torch.zeros(0) if samples is None else samples,
    )


@torch.inference_mode()
def write(model: OmniModel, prompt: Prompt, *, max_tokens: int, seed: int = 0) -> Written:
    """Lets the Thinker answer; arguments as of `generate_turn`."""
    thinker = model.thinker
    embeds = embed_prompt(thinker, prompt)  # [1, T, D]
    position_ids = prompt.position_ids.to(model.device)[:, None]
    ids = torch.tensor(prompt.ids, device=model.device)
    cache = _cache(model, model.config.thinker.text, len(prompt.ids) + max_tokens)
    hidden = thinker.step(embeds, position_ids, cache, [0])
    spelled = model.talker.spelled
    conversation = spelled(talker_vectors(embeds[0], hidden[0], _is_media(model, ids)), ids)
    sampler = Sampler(
        model.config.omnilive.thinker_sampling,
        vocab_size=model.config.thinker.text.vocab_size,
        seed=seed,
        seen=prompt.ids,
    )
    end_ids = model.text_end_ids
    text_ids: list[int] = []
    reply = [embeds.new_zeros(0, embeds.shape[2])]
    at = int(prompt.position_ids.max()) + 1
    while len(text_ids) < max_tokens:
        token = sampler.draw(thinker.logits(hidden[0, -1]))
        if token in end_ids:
            break
        text_ids.append(token)
        embeds = thinker.embed(torch.tensor([[token]], device=model.device))
        hidden = thinker.step(embeds, _position(at, 1, model.device), cache, [0])
        reply.append(spelled(embeds[0] + hidden[0], ids.new_tensor([token])))
        at += 1
    return Written(text_ids=text_ids, conversation=conversation, reply=torch.cat(reply))


@torch.inference_mode()
def speak(
    model: OmniModel,
    conversation: Tensor,
    position_ids: Tensor,
    feed: TalkerFeed,
    *,
    max_codes: int,
    seed: int = 0,
) -> list[int]:
    """Lets the Talker say a reply whose vectors are all there.

    Args:
        model: the checkpoint.
        conversation: [T, D] vectors of everything before the reply.
        position_ids: [3, T] of them.
        feed: finished.
        max_codes: the speech is cut there.
        seed: of the draws.

    Returns:
        Codes, without the one that ends them.
    """
    talker = model.talker
    cache = _cache(model, model.config.talker.decoder, len(conversation) + 2 + max_codes)
    talker.step(conversation[None], position_ids.to(model.device)[:, None], cache, [0])
    sampler = Sampler(
        model.config.omnilive.talker_sampling,
        vocab_size=model.config.talker.decoder.vocab_size,
        seed=seed,
        seen=talker.prompt_codes,
        forbidden=talker.forbidden_codes,
    )
    codes: list[int] = []
    at = int(position_ids.max()) + 1
    inputs = feed.next_input(None)
    while len(codes) < max_codes:
        logits = talker.step(inputs[None], _position(at, len(inputs), model.device), cache, [0])
        at += len(inputs)
        code = sampler.draw(logits[0, -1])
        if code in talker.end_codes:
            break
        codes.append(code)
        inputs = feed.next_input(code)
    return codes


def _cache(model: OmniModel, config: DecoderConfig, capacity_tokens: int) -> KVCache:
    return KVCache(
        config, slots=1, capacity_tokens=capacity_tokens, dtype=model.dtype, device=model.device
    )


def _position(first: int, tokens: int, device: torch.device) -> Tensor:
    return torch.arange(first, first + tokens, device=device).expand(3, 1, tokens)


def _is_media(model: OmniModel, ids: Tensor) -> Tensor:
    config = model.config.thinker
    media = (config.audio_token_index, config.image_token_index, config.video_token_index)
    return torch.isin(ids, torch.tensor(media, device=ids.device))
