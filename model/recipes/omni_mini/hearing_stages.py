"""The stages of the ear, from typed questions to a Thinker that reads what is heard.

Knows which stage reads what another wrote, which questions and voices are kept apart, and the
figures each stage is run with. A stage that was cut off goes on where it was.
"""

import json
import random
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from model.precision import half_precision
from model.recipes.omni_mini import ids
from model.recipes.omni_mini.adapt import Draw, Student, train_adaptation
from model.recipes.omni_mini.adapt_measure import agreement
from model.recipes.omni_mini.ear import Ear, make_batch
from model.recipes.omni_mini.hearing import (
    TOWER_PREFIX,
    HearingEar,
    HearingLoss,
    Speller,
    TokenTargets,
    token_errors,
)
from model.recipes.omni_mini.hearing_data import (
    DEV_VOICE,
    FLITE_VOICES,
    FRESH_VOICES,
    PIPER_VOICE,
    Utterance,
    make_shards,
    plan,
    read_shards,
)
from model.recipes.omni_mini.lessons import Chat, Lesson, simulate
from model.recipes.omni_mini.letters import TrainingPlan, letter_errors, letters_only, train_ear
from model.recipes.omni_mini.stages import Work
from model.recipes.omni_mini.thinker_base import base_thinker, base_tokenizer
from model.recipes.omni_mini.training import published, trained

REPLY_TOKENS = 24
# Position, convolution and the lowest layers keep what stage A gave them: a third less work.
FROZEN = ("tower.conv", "tower.layers.0.", "tower.layers.1.")


def recordings(work: Work) -> None:
    """Speaks the questions: for training, for measuring on the way, in fresh voices for stage C."""
    questions = json.loads((work.directory / "questions.json").read_text())["train"]
    count = 2 if work.smoke else 120
    dev, train = questions[:count], questions[count:]
    banned = _banned(work, dev)
    written = [question for question in _replies(work) if _plain(question) not in banned]
    rng = random.Random(2)
    home = work.directory / "hearing"
    pairs = [(voice, text) for text in dev for voice in (DEV_VOICE, rng.choice(FLITE_VOICES[:2]))]
    if work.smoke:  # runs wherever the package index is: no synthesiser of the system is needed
        pairs = [(PIPER_VOICE, text) for _, text in pairs]
        train = written = train[:3]
    make_shards(pairs, home / "dev", seed=2)
    templated = [text for text in train if _plain(text) not in banned]
    spoken = [(PIPER_VOICE, text) for text in templated] if work.smoke else plan(templated, [])
    make_shards(spoken, home / "train")
    if work.smoke:
        make_shards(spoken, home / "fresh", seed=9)
        return
    others = sorted(set(written) - set(questions))[:3_000]
    make_shards(plan([], others, seed=6), home / "general", seed=6)
    asked = rng.sample(written, min(600, len(written)))
    make_shards([(rng.choice(FRESH_VOICES), text) for text in asked], home / "fresh", seed=9)


def letters(work: Work) -> None:
    """Stage A."""
    ear = Ear()
    if not (work.directory / "letters" / "state.pt").exists():
        ear.start_from_whisper()
    figures = _plan(work, steps=193, smoke_steps=2, seed=11)
    train_ear(
        ear,
        _utterances(work, "train", "general"),
        figures,
        work.directory / "letters",
        letters_only,
        lambda listener: letter_errors(listener, _dev(work, 64)),
    )


def hearing(work: Work) -> None:
    """Stage B."""
    utterances = _utterances(work, "train", "general")
    ear = _hearing_ear(utterances)
    if not (work.directory / "tokens" / "state.pt").exists():
        if work.start is not None:
            ear.tower.load_state_dict(published(work.start, TOWER_PREFIX))
        else:
            ear.start_from_letters(trained(work.directory / "letters"))
    # An ear that knows its tokens needs no letters.
    loss = HearingLoss(letters_steps=200 if work.start is None else 0)
    dev = [u for u in _dev(work, 80) if ear.targets.knows(ear.speller.spell(u.text).ids)]

    def measure(listener: Ear) -> dict[str, float]:
        assert isinstance(listener, HearingEar)
        return token_errors(listener, dev)

    figures = _plan(work, steps=1_000, smoke_steps=2, seed=12)
    figures = replace(figures, tower_rate=1.2e-4, head_rate=1e-3, cooldown_steps=300, frozen=FROZEN)
    train_ear(ear, utterances, figures, work.directory / "tokens", loss, measure)


def adapt(work: Work) -> None:
    """Stage C."""
    streams = _streams(work)
    student = Student(base_thinker())
    if work.start is not None and not (work.directory / "adapt" / "state.pt").exists():
        student.load_tensors(published(work.start, ""))
    chat = Chat(base_tokenizer(), student.thinker.model.embed_tokens.weight.detach())
    draw = lessons_of(work, chat, streams["train"], batch=2 if work.smoke else 8)
    figures = _plan(work, steps=170, smoke_steps=2, seed=21)
    figures = replace(figures, head_rate=8e-4, warmup_steps=15, cooldown_steps=90)
    some = random.Random(1).sample(
        streams["dev"], min(2 if work.smoke else 24, len(streams["dev"]))
    )
    train_adaptation(
        student,
        chat,
        draw,
        replace(figures, measure_every_steps=2 if work.smoke else 50),
        work.directory / "adapt",
        lambda: agreement(student, chat, some),
    )


def lessons_of(
    work: Work, chat: Chat, streams: Sequence[tuple[str, Tensor]], *, batch: int
) -> Draw:
    """Lessons as stage C draws them: four of five from the ear, the rest simulated or typed.

    Args:
        work: Where the replies lie.
        chat: The chat form.
        streams: (question, vectors) from the ear.
        batch: Lessons a step.
    """
    replies = _replies(work)
    banned = _banned(work, [u.text for u in _dev(work, None)])
    questions = [question for question in replies if _plain(question) not in banned]
    speller = Speller(chat.tokenizer, questions)
    spelled = {question: speller.spell(question).ids for question in questions}
    confusable = torch.tensor(sorted({token for tokens in spelled.values() for token in tokens}))
    blank = chat.table[ids.BLANK].float()
    table = chat.table.float()

    def lesson(rng: np.random.Generator) -> Lesson:
        stream: Tensor | None
        if rng.random() < 0.8:
            question, stream = streams[int(rng.integers(len(streams)))]
        else:
            question = questions[int(rng.integers(len(questions)))]
            typed = rng.random() < 0.4
            stream = None if typed else simulate(spelled[question], table, blank, rng, confusable)
        transcribe = bool(rng.random() < 0.4) or question not in replies
        reply = (
            [*chat.ids(question), ids.IM_END]
            if transcribe
            else _reply_ids(chat, *replies[question])
        )
        return Lesson(question=question, reply=reply, transcribe=transcribe, stream=stream)

    def draw(rng: np.random.Generator) -> list[Lesson]:
        drawn = [lesson(rng) for _ in range(3 * batch)]
        drawn.sort(key=lambda one: 0 if one.stream is None else len(one.stream))
        first = int(rng.integers(3)) * batch
        return drawn[first : first + batch]

    return draw


def _streams(work: Work) -> dict[str, list[tuple[str, Tensor]]]:
    """What the finished ear writes: `train` (half of it in voices new to the ear) and `dev`."""
    path = work.directory / "adapt" / "streams.pt"
    if path.exists():
        found: dict[str, list[tuple[str, Tensor]]] = torch.load(path, weights_only=True)
        return found
    known = _utterances(work, "train", "general")
    ear = _hearing_ear(known)
    if work.start is not None and not (work.directory / "tokens" / "state.pt").exists():
        ear.tower.load_state_dict(published(work.start, TOWER_PREFIX))
    else:
        ear.load_state_dict(trained(work.directory / "tokens"))
    rng = np.random.default_rng(77)
    asked = _replies(work)
    familiar = [utterance for utterance in known if utterance.text in asked] or known
    chosen = [
        familiar[int(i)] for i in rng.integers(len(familiar), size=4 if work.smoke else 1_500)
    ]
    chosen += _utterances(work, "fresh")
    streams = {"train": _listen(ear, chosen, rng), "dev": _listen(ear, _dev(work, None), None)}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(streams, path)
    return streams


@torch.no_grad()
def _listen(
    ear: HearingEar, utterances: Sequence[Utterance], rng: np.random.Generator | None
) -> list[tuple[str, Tensor]]:
    """(text, vectors [n, D] in bfloat16) of each utterance."""
    heard = []
    for start in range(0, len(utterances), 16):
        some = utterances[start : start + 16]
        batch = make_batch(some, ear.mel, rng)
        with half_precision():
            vectors = ear.tower.pool_and_project(ear.hidden(batch)).bfloat16()
        for utterance, row, length in zip(some, vectors, batch.lengths.tolist(), strict=True):
            heard.append((utterance.text, row[: length // 2].clone()))
    return heard


def _hearing_ear(utterances: Sequence[Utterance]) -> HearingEar:
    tokenizer = base_tokenizer()
    speller = Speller(tokenizer, sorted({utterance.text for utterance in utterances}))
    known = sorted({i for utterance in utterances for i in speller.spell(utterance.text).ids})
    blank = ids.BLANK
    table = base_thinker().model.embed_tokens.weight.detach()
    return HearingEar(TokenTargets(table, blank, known), speller)


def _plan(work: Work, *, steps: int, smoke_steps: int, seed: int) -> TrainingPlan:
    return TrainingPlan(
        steps=work.length(steps, smoke_steps),
        batch_utterances=2 if work.smoke else 12,
        cooldown_steps=0,
        measure_every_steps=smoke_steps if work.smoke else 100,
        seed=seed,
    )


def _utterances(work: Work, *names: str) -> list[Utterance]:
    """Recordings of at most 6 s, without any question that is measured with."""
    banned = _banned(work, [utterance.text for utterance in _dev(work, None)])
    return [
        utterance
        for name in names
        for utterance in read_shards(work.directory / "hearing" / name)
        if _plain(utterance.text) not in banned and 8_000 < len(utterance.samples) < 96_000
    ]


def _dev(work: Work, count: int | None) -> list[Utterance]:
    return list(read_shards(work.directory / "hearing" / "dev"))[:count]


def _banned(work: Work, dev: Sequence[str]) -> set[str]:
    held_out = json.loads((work.directory / "questions.json").read_text())["heldout"]
    return {_plain(text) for text in (*held_out, *dev)}


def _plain(text: str) -> str:
    """A question without case and articles: "a rose" and "the rose" are one question."""
    return " ".join(re.sub(r"\b(a|an|the)\b", "", text.lower()).split())


def _replies(work: Work) -> dict[str, tuple[str, bool]]:
    """Question -> what the Thinker answers, and whether it came to an end."""
    rows = map(json.loads, (work.directory / "replies.jsonl").read_text().splitlines())
    return {question: (reply, finished) for question, reply, finished in rows if reply}


def _reply_ids(chat: Chat, reply: str, finished: bool) -> list[int]:
    return chat.ids(reply)[:REPLY_TOKENS] + ([ids.IM_END] if finished else [])
