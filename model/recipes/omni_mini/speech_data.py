"""Stage `speech`: texts to shards of the teacher's speech.

A shard is `NNNN.npz` (`audio` int16 24 kHz of all its utterances, `offsets` int64 `[n + 1]`) and
`NNNN.jsonl` (one `{"text", "kind", "question", "words", "phones"}` an utterance: `words` and
`phones` as in `Utterance`, `question` what the text answers, if it does). Finished shards are never
made again.
"""

import json
import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from model.recipes.omni_mini.teacher import TeacherVoice

_log = logging.getLogger("omnilive.recipes.speech")

SHARD_UTTERANCES = 100


def sweep_texts(
    tokenizer: Tokenizer, *, words: int, words_a_text: int = 7, seed: int = 3
) -> list[str]:
    """Strings the vocabulary's commonest whole words into nonsense sentences, so that each is heard
    at least once.

    Args:
        tokenizer: Of the Thinker; its low ids are its common tokens.
        words: How many words.
        words_a_text: Length of a sentence.
        seed: Of the shuffle.
    """
    by_id = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    plain = [
        token[1:]
        for token, _ in by_id
        if token[0] == "Ġ" and token[1:].isascii() and token[1:].isalpha()
    ]
    chosen = [word for word in plain if len(word) > 2 and (word.islower() or word.istitle())][
        :words
    ]
    rng = random.Random(seed)
    rng.shuffle(chosen)
    texts = []
    for start in range(0, len(chosen), words_a_text):
        run = chosen[start : start + words_a_text]
        if len(run) > 4 and rng.random() < 0.5:
            run[3] += ","
        texts.append(" ".join(run).capitalize() + ".")
    return texts


@dataclass(frozen=True, kw_only=True)
class Script:
    """One text to speak: its kind (`reply`, `question`, `sweep`) and the question that it answers,
    or "".
    """

    kind: str
    text: str
    question: str = ""


def make_shards(
    scripts: Sequence[Script], directory: Path, *, first_shard: int = 0, threads: int = 1
) -> None:
    """Speaks scripts into shards; a shard already there is left as it is.

    Args:
        scripts: In a fixed order: position decides the shard.
        directory: Where shards go; made if absent.
        first_shard: Number of the first shard.
        threads: Of the synthesiser.
    """
    directory.mkdir(parents=True, exist_ok=True)
    voice: TeacherVoice | None = None
    for index, start in enumerate(range(0, len(scripts), SHARD_UTTERANCES), first_shard):
        path = directory / f"{index:04d}.npz"
        if path.exists():
            continue
        voice = voice or TeacherVoice(threads=threads)
        rows, audio = [], []
        for script in scripts[start : start + SHARD_UTTERANCES]:
            try:
                utterance = voice.speak(script.text)
            except ValueError:  # nothing in it can be spoken
                continue
            rows.append(
                asdict(script)
                | {"words": [[c, round(float(s), 4)] for c, s in utterance.words]}
                | {"phones": [[p, round(float(s), 4)] for p, s in utterance.phones]}
            )
            audio.append(utterance.samples)
        path.with_suffix(".jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        offsets = np.cumsum([0, *map(len, audio)]).astype(np.int64)
        partial = path.with_suffix(".tmp.npz")
        np.savez(partial, audio=np.concatenate(audio), offsets=offsets)
        partial.rename(path)
        _log.info("shard %d: %.1f minutes of speech", index, offsets[-1] / 24_000 / 60)


def read_shards(directory: Path) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yields `(row, int16 samples at 24 kHz)` of every utterance of every finished shard."""
    for path in sorted(directory.glob("[0-9][0-9][0-9][0-9].npz")):
        yield from read_shard(path)


def read_shard(path: Path) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yields `(row, int16 samples at 24 kHz)` of every utterance of one shard."""
    with np.load(path) as shard:
        audio, offsets = shard["audio"], shard["offsets"]
    rows = [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
    for row, begin, end in zip(rows, offsets[:-1], offsets[1:], strict=True):
        yield row, audio[begin:end]
