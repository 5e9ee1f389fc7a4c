"""The mel transformer: parity with `transformers`, and windows that equal the whole."""

import torch
from torch import Tensor
from transformers.models.qwen2_5_omni import modeling_qwen2_5_omni as reference
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniDiTConfig

from model.dit import DiT
from tests.model.tiny_voice import DIT, as_reference, random_dit

MODEL = random_dit()
BLOCKS = 7
FRAMES = BLOCKS * DIT.block_size
GENERATOR = torch.Generator().manual_seed(5)
STATE = torch.randn(1, FRAMES, DIT.mel_dim, generator=GENERATOR)
CODES = torch.randint(DIT.num_embeds, (1, FRAMES // DIT.repeats), generator=GENERATOR)
REFERENCE_MEL = torch.randn(1, 30, DIT.mel_dim, generator=GENERATOR)
VOICE = torch.randn(1, DIT.enc_emb_dim, generator=GENERATOR)
TIME = torch.tensor([0.3])


@torch.no_grad()
def velocity(state: Tensor, codes: Tensor) -> Tensor:
    conditions = MODEL.conditions(codes, MODEL.voice(REFERENCE_MEL, VOICE), guided=False)
    return MODEL(state, TIME, conditions)


def theirs() -> reference.Qwen2_5OmniToken2WavDiTModel:
    config = as_reference(DIT, Qwen2_5OmniDiTConfig)
    config._attn_implementation = "sdpa"
    model = reference.Qwen2_5OmniToken2WavDiTModel(config).eval()
    model.load_state_dict(MODEL.state_dict())
    return model


@torch.no_grad()
def test_velocity_and_its_unconditioned_twin_equal_transformers() -> None:
    given = {
        "hidden_states": STATE,
        "condition_vector": REFERENCE_MEL,
        "speaker_embedding": VOICE[:, None].expand(-1, FRAMES, -1),
        "quantized_code": CODES,
        "time_step": TIME[0],
    }
    both = theirs()(**given, apply_cfg=True)
    conditions = MODEL.conditions(CODES, MODEL.voice(REFERENCE_MEL, VOICE), guided=True)
    ours = MODEL(STATE.expand(2, -1, -1), TIME.expand(2), conditions)
    torch.testing.assert_close(ours, both, atol=1e-5, rtol=1e-4)


def test_window_with_its_neighbours_equals_the_whole() -> None:
    whole = velocity(STATE, CODES)
    block, codes = DIT.block_size, DIT.block_codes
    assert (MODEL.back_blocks, MODEL.ahead_blocks) == (2, 1)
    for index in range(BLOCKS):
        begin, end = max(0, index - 2), min(BLOCKS, index + 2)
        window = velocity(
            STATE[:, begin * block : end * block], CODES[:, begin * codes : end * codes]
        )
        own = window[:, (index - begin) * block :][:, :block]
        expected = whole[:, index * block : (index + 1) * block]
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-4)


def test_a_block_depends_on_two_back_and_one_ahead_only() -> None:
    whole = velocity(STATE, CODES)
    for index in range(BLOCKS):
        codes = CODES.clone()
        codes[0, index * DIT.block_codes] = (codes[0, index * DIT.block_codes] + 1) % DIT.num_embeds
        moved = (velocity(STATE, codes) - whole).abs().amax(-1)[0].view(BLOCKS, -1).amax(-1) > 0
        expected = {b for b in range(BLOCKS) if index - 1 <= b <= index + 2}
        assert set(moved.nonzero().flatten().tolist()) == expected


def test_rows_of_a_batch_do_not_mix() -> None:
    with torch.no_grad():
        voice = MODEL.voice(REFERENCE_MEL.expand(2, -1, -1), VOICE.expand(2, -1))
        conditions = MODEL.conditions(CODES.expand(2, -1), voice, guided=False)
        both = MODEL(torch.cat((STATE, -STATE)), TIME.expand(2), conditions)
    torch.testing.assert_close(both[:1], velocity(STATE, CODES), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(both[1:], velocity(-STATE, CODES), atol=1e-5, rtol=1e-4)


def test_parameter_names_are_the_published_ones() -> None:
    assert set(DiT(DIT).state_dict()) == set(theirs().state_dict())
