"""All of the recipe, tiny: every stage runs on what the last one wrote, and the result loads."""

import torch
from typer.testing import CliRunner

from model.generate import generate_turn
from model.omni import load_checkpoint
from model.prompt import Audio, Message, PromptBuilder
from model.recipes.omni_mini.cli import STAGES, app


def test_the_whole_recipe_makes_a_checkpoint_that_answers(tmp_path):
    run = tmp_path / "run"
    result = CliRunner().invoke(app, ["all", "--smoke", "--dir", str(run)])
    assert result.exit_code == 0, (result.output, result.exception)
    assert {path.name for path in run.iterdir()} >= {"speech", "codes", "talker", "joint", "dit"}

    model = load_checkpoint(run / "checkpoint", dtype="float32")
    message = Message(role="user", parts=[Audio(samples=torch.zeros(16_000))])
    prompt = PromptBuilder(model.config, model.tokenizer).build([message])
    turn = generate_turn(model, prompt, max_text_tokens=3, max_codes=8)
    assert len(turn.text_ids) <= 3
    assert torch.isfinite(turn.samples).all()


def test_an_unknown_stage_names_the_choices():
    result = CliRunner().invoke(app, ["sing"])
    assert result.exit_code == 2
    assert all(stage in result.output for stage in STAGES)
