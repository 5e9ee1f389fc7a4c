"""Stage `joint`: Thinker and Talker in one step, as the published model was trained.

Knows the joint objective: the Thinker learns the reply's words, the Talker its codes, and the
Talker's loss also reaches the Thinker through the vectors. omni-mini itself is trained stage by
stage, because two CPU cores are few; this stage shows that the whole can be trained end to end, and
is where a larger machine would go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from model.config import OmniConfig
from model.recipes.omni_mini import ids
from model.recipes.omni_mini.talker_data import Example, lay_out
from model.recipes.omni_mini.training import Run, Schedule
from model.talker import Talker
from model.thinker import Thinker, talker_vectors

_IGNORED = -100


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """One prompt and the example that answers it; `prompt` are token ids `[p]`."""

    prompt: list[int]
    example: Example


class Both(nn.Module):
    """Thinker and Talker as one module to optimise."""

    def __init__(self, thinker: Thinker, talker: Talker) -> None:
        super().__init__()
        self.thinker, self.talker = thinker, talker

    def losses(self, batch: Sequence[Dialogue]) -> dict[str, Tensor]:
        """Returns `loss` = `text` + `code`, each a mean cross-entropy in nats."""
        rows = [torch.tensor(d.prompt + d.example.token_ids + [ids.IM_END]) for d in batch]
        tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # [B, T]
        embeds = self.thinker.embed(tokens)
        output = self.thinker(embeds, torch.arange(tokens.shape[1]).expand(3, len(batch), -1))
        goal = torch.full_like(tokens, _IGNORED)
        for row, dialogue in enumerate(batch):
            begin, end = len(dialogue.prompt), len(rows[row])
            goal[row, begin - 1 : end - 1] = tokens[row, begin:end]
        text = cross_entropy(
            output.logits.flatten(0, 1).float(), goal.flatten(), ignore_index=_IGNORED
        )
        vectors = talker_vectors(embeds, output.hidden, torch.zeros_like(tokens, dtype=torch.bool))
        code = self._code_loss(batch, vectors)
        return {"loss": text + code, "text": text, "code": code}

    def _code_loss(self, batch: Sequence[Dialogue], vectors: Tensor) -> Tensor:
        special = self.thinker.embed(torch.tensor([ids.TALKER_TEXT_BOS, ids.TALKER_TEXT_EOS]))
        rows, goals = [], []
        for row, dialogue in zip(vectors, batch, strict=True):
            targets = torch.tensor(dialogue.example.targets)
            begin = len(dialogue.prompt)
            reply = row[begin : begin + len(dialogue.example.token_ids)]
            embedding = self.talker.model.embed_tokens
            rows.append(lay_out(row[:begin], reply, special, embedding, targets[:-1], targets))
            goals.append(
                torch.cat([torch.full((len(rows[-1]) - len(targets),), _IGNORED), targets])
            )
        inputs = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        goal = nn.utils.rnn.pad_sequence(goals, batch_first=True, padding_value=_IGNORED)
        logits = self.talker(inputs, torch.arange(inputs.shape[1]).expand(3, len(batch), -1))
        return cross_entropy(logits.flatten(0, 1).float(), goal.flatten(), ignore_index=_IGNORED)


def train_joint(
    config: OmniConfig,
    directory: Path,
    dialogues: Sequence[Dialogue],
    schedule: Schedule,
    *,
    batch: int = 8,
    seed: int = 0,
) -> Run:
    """Trains both from random weights on the dialogues.

    Returns:
        The finished run.
    """
    torch.manual_seed(seed)
    both = Both(Thinker(config.thinker), Talker(config.talker))
    trained = [p for name, p in both.named_parameters() if "audio_tower" not in name]
    run = Run(directory, both, torch.optim.AdamW(trained, lr=schedule.peak), report_steps=10)
    run.resume()
    generator = torch.Generator().manual_seed(seed + run.step)

    def losses(_: int) -> dict[str, Tensor]:
        chosen = torch.randint(len(dialogues), (batch,), generator=generator)
        return both.losses([dialogues[i] for i in chosen.tolist()])

    for _ in run.train(schedule, losses):
        pass
    return run


def small(config: OmniConfig) -> OmniConfig:
    """Shrinks the decoders to two narrow layers, for the smoke run."""
    text = replace(config.thinker.text, num_hidden_layers=2)
    decoder = replace(config.talker.decoder, num_hidden_layers=2)
    return replace(
        config,
        thinker=replace(config.thinker, text=text),
        talker=replace(config.talker, decoder=decoder),
    )
