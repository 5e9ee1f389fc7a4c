"""What was said, in words: the ear proposes readings, the Thinker chooses the one that makes sense.

For a checkpoint whose ear writes token embeddings (`DictationConfig`): the vectors of a sound are
read by CTC over the Thinker's own vocabulary, several readings side by side, and the Thinker says
which of them a person would say. Its conversation then holds the words instead of the vectors. Of
a sound that goes on, what is old enough is settled, so that the end never takes longer than the
last words do.

How sure a token is, is told by the readings beside the chosen one, each as likely as ear and
Thinker together find it: of those that begin as the sentence does, the share that goes on with the
token, and for its ending that ends there. What no kept reading says is not counted, so that a token
seems rather too sure.

Knows vectors, readings and words. Does not know samples but in `Dictation.write`, the offline form;
nor conversations.

Source: rescoring of a beam with a language model, as in Chan et al., "Listen, Attend and Spell",
2016; the settled beginning is ours.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from model.audio_encoder import audio_tokens
from model.chat import Chat
from model.ctc import NO_FRAMES, Beam, Reading, log_add, read_on
from model.extras import DictationConfig
from model.mel import SAMPLE_RATE_HZ, LogMel, LogMelState
from model.thinker import Thinker
from model.token_tree import TokenTree, attend_where
from model.tokenizer import Tokenizer

# What an ear can write: words and their parts. The recipe teaches it no others.
_AUDIBLE = re.compile(rb" ?[A-Za-z']+")
_ENDINGS = ("?", ".")
# The last words of what was heard so far may still become others.
_OPEN_WORDS = 3
# As many settled tokens before a choice as the Thinker is shown.
_CONTEXT_TOKENS = 32


@dataclass(frozen=True, slots=True)
class HeardToken:
    """A token of a sentence.

    Attributes:
        text: as it stands there.
        log_prob: its log-probability given the tokens before it.
    """

    text: str
    log_prob: float


Sentence = tuple[HeardToken, ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """A sound so far.

    Attributes:
        tokens: its first words, which stay.
        beam: what may follow them.
    """

    tokens: Sentence
    beam: Beam

    @property
    def settled(self) -> str:
        """The first words as text."""
        return text_of(self.tokens)


SILENCE = Heard((), NO_FRAMES)


class Dictation:
    """Writes down what the ear of one checkpoint hears.

    Args:
        thinker: of the checkpoint.
        tokenizer: of the checkpoint.
        config: how its ear writes.
    """

    def __init__(self, thinker: Thinker, tokenizer: Tokenizer, config: DictationConfig) -> None:
        self._thinker = thinker
        self._tokenizer = tokenizer
        self._config = config
        table = thinker.model.embed_tokens.weight.detach()
        self._lead_in = torch.zeros(int(config.lead_in_s * SAMPLE_RATE_HZ))
        self._block_vectors = audio_tokens(thinker.config.audio.block_frames)
        self._opening = Chat(tokenizer).user_open()
        self._endings = [tokenizer.encode(ending)[0] for ending in _ENDINGS]
        audible = [bool(_AUDIBLE.fullmatch(tokenizer.token_bytes(i))) for i in range(len(table))]
        audible[config.blank_token_id] = True
        silenced = torch.where(torch.tensor(audible), 0.0, torch.inf).to(table.device)
        self._table = table
        self._bias = -(table.float().square().sum(-1) / 2 + silenced)  # [vocabulary]

    def begin(self, log_mel: LogMel) -> LogMelState:
        """The start of a sound: the silence before it has been taken in."""
        state = log_mel.init_state()
        log_mel.step(state, self._lead_in)
        return state

    def log_probs(self, vectors: Tensor) -> Tensor:
        """Log-probability of each token or the blank: [T, D] -> [T, vocabulary] float32.

        It falls with the squared distance of a vector to the token's embedding, as in training.
        """
        scores = F.linear(vectors.to(self._table.dtype), self._table).float() + self._bias
        return (self._config.sharpness * scores).log_softmax(-1)

    def listen(self, heard: Heard, vectors: Tensor) -> Heard:
        """Takes the vectors [T, D] of the next block; one shorter than a block is the last."""
        beam = read_on(
            heard.beam,
            self.log_probs(vectors),
            blank_id=self._config.blank_token_id,
            width=self._config.beam_width,
        )
        heard = Heard(heard.tokens, beam)
        is_last = len(vectors) < self._block_vectors
        if is_last or all(len(self._words(reading)) <= _OPEN_WORDS for reading in beam):
            return heard
        return self._settle(heard, *self._choose(heard)[:2])

    def sentence(self, heard: Heard) -> Sentence:
        """All of it, as a sentence, if the sound ends here; empty if nothing was said."""
        reading, log_probs, ending = self._choose(heard)
        words = (*heard.tokens, *self._written(heard, reading.tokens, log_probs))
        return (*words, ending) if words else ()

    def finish(self, heard: Heard) -> str:
        """The same as text."""
        return text_of(self.sentence(heard))

    def write(self, log_mel: LogMel, samples: Tensor) -> str:
        """The offline form: 16 kHz samples [n] -> the sentence."""
        heard = SILENCE
        tower = self._thinker.audio_tower
        state = self.begin(log_mel)
        for block in (*log_mel.step(state, samples), *log_mel.flush(state)):
            (vectors,) = tower.encode_blocks([block.to(self._table.device)])
            heard = self.listen(heard, vectors)
        return self.finish(heard)

    # Choosing.

    def _choose(self, heard: Heard) -> tuple[Reading, list[float], HeardToken]:
        """The likeliest reading, by ear and sense; how sure each of its tokens is; its ending."""
        texts = ["".join(self._spelled(heard, reading.tokens)) for reading in heard.beam]
        branches = [self._tokenizer.encode(text) for text in texts]
        trunk = [*self._opening, *self._tokenizer.encode(heard.settled)[-_CONTEXT_TOKENS:]]
        senses, endings = self._senses(trunk, branches)
        weight = self._config.language_weight
        scores = [
            reading.log_prob + weight * sense
            for reading, sense in zip(heard.beam, senses, strict=True)
        ]
        best = max(range(len(scores)), key=scores.__getitem__)
        *shares, ends = _shares(heard.beam, scores, best)
        ending = endings[best]
        return heard.beam[best], shares, HeardToken(ending.text, ends + ending.log_prob)

    def _senses(
        self, trunk: list[int], branches: Sequence[list[int]]
    ) -> tuple[list[float], list[HeardToken]]:
        """How likely the Thinker finds each branch and its better ending, and that ending.

        An ending is here as sure as the Thinker prefers it to the other.
        """
        tree = TokenTree()
        root = tree.add(trunk)[-1]
        paths = [[root, *tree.add(branch, root)] for branch in branches]
        device = self._table.device
        hidden = self._thinker.model(
            self._thinker.embed(torch.tensor([tree.ids], device=device)),
            tree.position_ids().to(device),
            attend_where(tree.sees().to(device)),
        )
        chances = self._thinker.logits(hidden[0, root:]).float().log_softmax(-1)
        senses, endings = [], []
        for branch, path in zip(branches, paths, strict=True):
            places = [node - root for node in path]
            said = chances[places[:-1], branch].sum().item() if branch else 0.0
            closes = chances[places[-1], self._endings]
            senses.append(said + closes.max().item())
            better = int(closes.argmax())
            endings.append(HeardToken(_ENDINGS[better], float(closes.log_softmax(-1)[better])))
        return senses, endings

    # Words.

    def _settle(self, heard: Heard, best: Reading, log_probs: list[float]) -> Heard:
        """Keeps the first words of the best reading, and of the others those that begin so."""
        count = sum(map(len, self._words(best)[:-_OPEN_WORDS]))
        if not count:
            return heard
        first = best.tokens[:count]
        beam = tuple(
            Reading(reading.tokens[count:], reading.log_blank, reading.log_token)
            for reading in heard.beam
            if reading.tokens[:count] == first and len(reading.tokens) > count
        )
        return Heard((*heard.tokens, *self._written(heard, first, log_probs[:count])), beam)

    def _words(self, reading: Reading) -> list[list[int]]:
        """The tokens of each word."""
        words: list[list[int]] = []
        for token in reading.tokens:
            if not words or self._tokenizer.decode([token]).startswith(" "):
                words.append([])
            words[-1].append(token)
        return words

    def _written(
        self, heard: Heard, tokens: Sequence[int], log_probs: Sequence[float]
    ) -> list[HeardToken]:
        return list(map(HeardToken, self._spelled(heard, tokens), log_probs))

    def _spelled(self, heard: Heard, tokens: Sequence[int]) -> list[str]:
        """Tokens as they go on from what is settled; a sentence begins with a capital."""
        texts = [self._tokenizer.decode([token]) for token in tokens]
        if texts and not heard.tokens:
            first = texts[0].lstrip()
            texts[0] = first[:1].upper() + first[1:]
        return texts


def text_of(tokens: Sequence[HeardToken]) -> str:
    """What is written there."""
    return "".join(token.text for token in tokens)


def _shares(beam: Beam, scores: Sequence[float], best: int) -> list[float]:
    """How much of what begins as the best reading does goes on so: at each token, and at its end.

    As logarithms, which add up to what the best reading is of all.
    """
    begun = list(zip((reading.tokens for reading in beam), scores, strict=True))
    before = reduce(log_add, scores)
    shares = []
    for place, token in enumerate(beam[best].tokens):
        begun = [(said, s) for said, s in begun if len(said) > place and said[place] == token]
        now = reduce(log_add, (score for _, score in begun))
        shares.append(min(0.0, now - before))
        before = now
    return [*shares, min(0.0, scores[best] - before)]
