"""The stages of the voice, from nothing to trained networks, each with the figures it is run with.

Knows which stage reads what another wrote, and how small a smoke run is. A stage that was cut off
goes on where it was; one whose result is there does nothing. `hearing_stages.py` has those of the
ear.
"""

import json
import random
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch

from model.recipes.omni_mini import codec as codec_stage
from model.recipes.omni_mini import dit, shape, vocoder
from model.recipes.omni_mini import joint as joint_stage
from model.recipes.omni_mini.replies import speakable
from model.recipes.omni_mini.speech_data import Script, make_shards, sweep_texts
from model.recipes.omni_mini.talker import Vectors, train_talker
from model.recipes.omni_mini.talker_data import Example, read_examples
from model.recipes.omni_mini.texts import Writer, make_texts
from model.recipes.omni_mini.thinker_base import base_thinker, base_tokenizer
from model.recipes.omni_mini.training import Schedule
from model.recipes.omni_mini.vectors import (
    compute_vectors,
    context_ids,
    prompt_ids,
    special_vectors,
)


@dataclass(frozen=True, kw_only=True)
class Work:
    """Where a run of the recipe is kept, and whether it is only a smoke run.

    Attributes:
        directory: Of everything the stages write.
        smoke: Makes every stage tiny: it shows that all of it runs, not that it learns much.
        steps: Overrides the optimiser steps of a training stage.
        start: A checkpoint that the ear's tokens, the DiT and the Thinker's deltas begin with, and
            whose ear is taken where the run has none.
    """

    directory: Path
    smoke: bool = False
    steps: int | None = None
    start: Path | None = None

    def length(self, full: int, smoke: int) -> int:
        """Returns the number of steps of a stage."""
        return self.steps or (smoke if self.smoke else full)

    @property
    def speech(self) -> Path:
        """The teacher's shards."""
        return self.directory / "speech"

    @property
    def codebook(self) -> Path:
        """The codec."""
        return self.directory / "codec.pt"

    @property
    def codes(self) -> Path:
        """Their codes."""
        return self.directory / "codes"


def texts(work: Work) -> None:
    """Questions and the Thinker's replies."""
    work.directory.mkdir(parents=True, exist_ok=True)
    writer = Writer(base_thinker(), base_tokenizer(), batch=8 if work.smoke else 64)
    make_texts(
        writer,
        work.directory,
        written=4 if work.smoke else 5_000,
        templated=6 if work.smoke else None,
        held_out_replies=2 if work.smoke else None,
    )


def speech(work: Work) -> None:
    """The teacher speaks a sweep of the vocabulary, training questions and replies."""
    questions = json.loads((work.directory / "questions.json").read_text())["train"]
    sweep = sweep_texts(base_tokenizer(), words=14 if work.smoke else 12_000)
    scripts = [Script(kind="sweep", text=text) for text in sweep]
    scripts += [Script(kind="question", text=text) for text in questions[:500]]
    random.Random(0).shuffle(scripts)
    make_shards(scripts, work.speech)
    again = sweep_texts(base_tokenizer(), words=14 if work.smoke else 16_000, seed=4)
    make_shards([Script(kind="sweep", text=text) for text in again], work.speech, first_shard=40)
    make_shards(_reply_scripts(work), work.speech, first_shard=100)


def codec(work: Work) -> None:
    """The codebook, and the codes of every shard."""
    if not work.codebook.exists():
        trained, left = codec_stage.train_codec(work.speech, iterations=2 if work.smoke else 25)
        trained.save(work.codebook)
        codec_stage.describe(work.directory, left)
    codec_stage.encode_shards(codec_stage.Codec.load(work.codebook), work.speech, work.codes)


def talker(work: Work) -> None:
    """The Talker, on vectors that the base Thinker gives once."""
    examples = _examples(work)
    steps = work.length(6_000, 3)
    train_talker(
        shape.config(),
        work.directory / "talker",
        examples,
        _vectors(work, examples),
        special_vectors(base_thinker()),
        codec_stage.Codec.load(work.codebook),
        Schedule(peak=1.2e-3, steps=steps, warmup_steps=min(150, steps), decay_steps=steps // 3),
        validation=max(2, sum(_held_out(example) for example in examples)),
        batch_tokens=200 if work.smoke else 2_000,
    )


def train_vocoder(work: Work) -> None:
    """BigVGAN."""
    plan = vocoder.SMOKE if work.smoke else vocoder.VocoderPlan(steps=work.length(6_000, 4))
    vocoder.train_vocoder(work.speech, work.directory / "vocoder", plan)


def train_dit(work: Work) -> None:
    """The mel transformer."""
    plan = dit.SMOKE if work.smoke else dit.DiTPlan(steps=work.length(6_000, 3))
    embeddings = codec_stage.Codec.load(work.codebook).embeddings(dit.DIT_CONFIG.emb_dim, 1.0)
    dit.train_dit(
        work.speech,
        work.codes,
        work.directory / "dit",
        plan,
        embeddings=embeddings,
        start=work.start,
    )


def joint(work: Work) -> None:
    """Thinker and Talker in one step, from random weights: a proof, not part of omni-mini."""
    tokenizer = base_tokenizer()
    dialogues = [
        joint_stage.Dialogue(prompt=prompt_ids(tokenizer, example.question), example=example)
        for example in _examples(work)[:8]
    ]
    steps = work.length(200, 30)
    joint_stage.train_joint(
        joint_stage.small(shape.config()),
        work.directory / "joint",
        dialogues,
        Schedule(peak=1e-3, steps=steps, warmup_steps=5),
        batch=2,
    )


def _reply_scripts(work: Work) -> list[Script]:
    lines = (work.directory / "replies.jsonl").read_text().splitlines()
    scripts: dict[str, Script] = {}
    for question, reply, finished in map(json.loads, lines):
        text = speakable(reply, finished=finished)
        if text:
            scripts.setdefault(text, Script(kind="reply", text=text, question=question))
    return list(scripts.values())


def _examples(work: Work) -> list[Example]:
    """All utterances but the held-out replies, shuffled; those that validate come last."""
    rows = json.loads((work.directory / "heldout_replies.json").read_text())
    held_out = (speakable(reply, finished=finished) for _, reply, finished in rows)
    banned = frozenset(text for text in held_out if text)
    examples = read_examples(work.speech, work.codes, base_tokenizer(), banned=banned)
    random.Random(1).shuffle(examples)
    return sorted(examples, key=_held_out)


def _held_out(example: Example) -> bool:
    """Whether a text validates: one in a hundred, the same ones however much speech there is."""
    return zlib.crc32(example.text.encode()) % 100 == 0


def _vectors(work: Work, examples: list[Example]) -> list[Vectors]:
    """Reads the vectors of every example, computing those that are not there yet."""
    path = work.directory / "vectors.pt"
    cache = torch.load(path, weights_only=True) if path.exists() else {}
    keys = [f"{example.question}|{example.text}" for example in examples]
    absent = [example for key, example in zip(keys, examples, strict=True) if key not in cache]
    if absent:
        found = compute_vectors(base_thinker(), base_tokenizer(), absent)
        for example, vectors in zip(absent, found, strict=True):
            cache[f"{example.question}|{example.text}"] = vectors
        torch.save(cache, path)
    tokenizer = base_tokenizer()
    return [
        Vectors(
            prompt=cache[key][0],
            reply=cache[key][1],
            prompt_ids=torch.tensor(context_ids(tokenizer, example)),
            reply_ids=torch.tensor(example.token_ids),
        )
        for key, example in zip(keys, examples, strict=True)
    ]
