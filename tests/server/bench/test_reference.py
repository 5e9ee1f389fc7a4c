"""The reference on our weights: it loads them all, and its reply is as long as it is told."""

import pytest
import torch

from model.extras import SolverConfig
from model.flow import evaluations
from server.bench.questions import SHORT_S, for_engine, question
from server.bench.reference import Reference, nearest_solver


@pytest.fixture(scope="module")
def reference(tiny_checkpoint):
    return Reference(str(tiny_checkpoint), "float32")


def test_all_weights_are_ours(reference):
    ours = reference._ours
    theirs = reference._model
    assert torch.equal(theirs.thinker.lm_head.weight, ours.thinker.lm_head.weight)
    assert torch.equal(
        theirs.thinker.model.audio_tower.proj.weight, ours.thinker.audio_tower.proj.weight
    )
    assert torch.equal(theirs.talker.codec_head.weight, ours.talker.codec_head.weight)


def test_the_reply_is_as_long_as_told(reference):
    said = reference.answer(for_engine(question(SHORT_S)), text_tokens=3, codec_tokens=13)
    assert said.speech_s == pytest.approx(13 / 50)
    assert said.took_s > 0


@pytest.mark.parametrize(
    "solver",
    [
        SolverConfig(),
        SolverConfig(method="euler", num_steps=5, guidance_scale=0.0),
        SolverConfig(method="euler", num_steps=8),
    ],
)
def test_its_solver_never_works_more_than_ours(solver):
    theirs = nearest_solver(solver)
    assert 0 <= evaluations(solver) - evaluations(theirs) < 4
    assert theirs.method == "rk4"
    assert theirs.guidance_scale == solver.guidance_scale


def test_a_step_is_the_least_it_can_do():
    assert nearest_solver(SolverConfig(method="euler", num_steps=2)).num_steps == 2
