"""What was said, in words: the ear proposes readings, the Thinker chooses the one that makes sense.

For a checkpoint whose ear writes token embeddings (`DictationConfig`): the vectors of a sound are
read by CTC over the Thinker's own vocabulary, several readings side by side, and the Thinker says
which of them a person would say. Its conversation then holds the words instead of the vectors. Of
a sound that goes on, what is old enough is settled, so that the end never takes longer than the
last words do.

Knows vectors, readings and words. Does not know samples but in `Dictation.write`, the offline form;
nor conversations.

Source: rescoring of a beam with a language model, as in Chan et al., "Listen, Attend and Spell",
2016; the settled beginning is ours.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from model.audio_encoder import audio_tokens
from model.chat import Chat
from model.ctc import NO_FRAMES, Beam, Reading, read_on
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
class Heard:
    """A sound so far.

    Attributes:
        settled: its first words, which stay.
        beam: what may follow them.
    """

    settled: str
    beam: Beam


SILENCE = Heard("", NO_FRAMES)


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
        heard = Heard(heard.settled, beam)
        is_last = len(vectors) < self._block_vectors
        if is_last or all(len(self._words(reading)) <= _OPEN_WORDS for reading in beam):
            return heard
        return self._settle(heard, self._choose(heard)[0])

    def finish(self, heard: Heard) -> str:
        """All of it, as a sentence, if the sound ends here; "" if nothing was said."""
        reading, ending = self._choose(heard)
        words = heard.settled + self._spelled(heard, reading)
        return words + ending if words else ""

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

    def _choose(self, heard: Heard) -> tuple[Reading, str]:
        """The likeliest reading, by ear and sense, and how the sentence would end behind it."""
        texts = [self._spelled(heard, reading) for reading in heard.beam]
        branches = [self._tokenizer.encode(text) for text in texts]
        trunk = [*self._opening, *self._tokenizer.encode(heard.settled)[-_CONTEXT_TOKENS:]]
        senses, endings = self._senses(trunk, branches)
        weight = self._config.language_weight
        scores = [
            reading.log_prob + weight * sense
            for reading, sense in zip(heard.beam, senses, strict=True)
        ]
        best = max(range(len(scores)), key=scores.__getitem__)
        return heard.beam[best], endings[best]

    def _senses(
        self, trunk: list[int], branches: Sequence[list[int]]
    ) -> tuple[list[float], list[str]]:
        """How likely the Thinker finds each branch and its better ending, and that ending."""
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
            endings.append(_ENDINGS[int(closes.argmax())])
        return senses, endings

    # Words.

    def _settle(self, heard: Heard, best: Reading) -> Heard:
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
        settled = Reading(first, 0.0, 0.0)
        return Heard(heard.settled + self._spelled(heard, settled), beam)

    def _words(self, reading: Reading) -> list[list[int]]:
        """The tokens of each word."""
        words: list[list[int]] = []
        for token in reading.tokens:
            if not words or self._tokenizer.decode([token]).startswith(" "):
                words.append([])
            words[-1].append(token)
        return words

    def _spelled(self, heard: Heard, reading: Reading) -> str:
        """A reading as it goes on from what is settled; a sentence begins with a capital."""
        text = self._tokenizer.decode(reading.tokens)
        if heard.settled:
            return text
        text = text.lstrip()
        return text[:1].upper() + text[1:]
