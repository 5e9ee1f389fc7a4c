import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from model.recipes.omni_mini.export import pack, quantise_rows
from model.weights import INT8_SCALE, TensorFiles


@given(st.integers(0, 1000), st.sampled_from([(3, 5), (4, 2, 3), (1, 8)]))
def test_rows_are_rounded_to_half_a_step(seed, shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    rounded, scale = quantise_rows(weight)
    back = rounded.float() * scale.reshape(-1, *[1] * (len(shape) - 1))
    step = weight.flatten(1).abs().amax(dim=1) / 127
    assert ((back - weight).flatten(1).abs() <= step[:, None] * 0.501).all()


def test_zero_rows_stay_zero():
    rounded, scale = quantise_rows(torch.zeros(2, 4))
    assert not rounded.any()
    assert torch.isfinite(scale).all()


def test_packed_tensors_come_back_under_their_names(tmp_path):
    torch.manual_seed(0)
    tensors = {
        "talker.big": torch.randn(96, 64),
        "talker.norm": torch.randn(96),
        "token2wav.code2wav_bigvgan_model.x": torch.randn(96, 64),
        "token2wav.code2wav_dit_model.x": torch.randn(96, 64),
    }
    packed = pack(tensors)
    assert packed["talker.big"].dtype == torch.int8
    assert packed["talker.norm"].dtype == torch.bfloat16
    assert packed["token2wav.code2wav_bigvgan_model.x"].dtype == torch.float32
    save_file(packed, tmp_path / "model.safetensors")
    with TensorFiles(tmp_path) as files:
        assert set(files.shapes) == set(tensors)
        assert not any(name.endswith(INT8_SCALE) for name in files.shapes)
        for name, tensor in tensors.items():
            torch.testing.assert_close(files.read(name).float(), tensor, atol=0.02, rtol=0.01)
