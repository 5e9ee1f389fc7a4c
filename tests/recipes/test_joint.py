"""Thinker and Talker trained end to end in one step, as the published model was."""

import json

import torch

from model.recipes.omni_mini.joint import Both, Dialogue, train_joint
from model.recipes.omni_mini.talker_data import CODEC_ADVANCE, CODEC_END, Example
from model.recipes.omni_mini.training import Schedule
from model.talker import Talker
from model.thinker import Thinker
from tests.recipes.small_shape import small_config


def dialogue(seed: int) -> Dialogue:
    rng = torch.Generator().manual_seed(seed)
    token_ids = torch.randint(20, 200, (4,), generator=rng).tolist()
    codes = torch.randint(1024, (9,), generator=rng).tolist()
    targets = codes[:4] + [CODEC_ADVANCE] * 4 + codes[4:] + [CODEC_END]
    example = Example(question="", text="", token_ids=token_ids, targets=targets)
    return Dialogue(prompt=[1, 30 + seed, 2], example=example)


def test_both_losses_fall(tmp_path):
    schedule = Schedule(peak=3e-3, steps=40, warmup_steps=5)
    dialogues = [dialogue(seed) for seed in range(2)]
    train_joint(small_config(), tmp_path, dialogues, schedule, batch=2)
    rows = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert rows[-1]["text"] < 0.7 * rows[0]["text"]
    assert rows[-1]["code"] < 0.7 * rows[0]["code"]


def test_the_talkers_loss_reaches_the_thinker():
    torch.manual_seed(0)
    config = small_config()
    both = Both(Thinker(config.thinker), Talker(config.talker))
    both.losses([dialogue(0)])["code"].backward()
    gradient = both.thinker.model.layers[0].mlp.up_proj.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_a_killed_run_goes_on(tmp_path):
    dialogues = [dialogue(0)]
    train_joint(small_config(), tmp_path, dialogues, Schedule(peak=1e-3, steps=2), batch=1)
    run = train_joint(small_config(), tmp_path, dialogues, Schedule(peak=1e-3, steps=5), batch=1)
    assert run.step == 5
