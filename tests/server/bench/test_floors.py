"""Floors: what is counted, and that more work is never a lower floor."""

import dataclasses

import pytest
import torch
from torch import nn

from model.figures import DecoderConfig
from model.omni import load_checkpoint
from server.bench.floors import ReplySize, Work, count_operations, decoder_step, reply_floors
from server.bench.machine import Rates

RATES = Rates(read_bytes_s=100.0, operations_s={torch.float32: 10.0})
SIZE = ReplySize(
    encoded_mel_frames=100,
    prefilled_tokens=30,
    prompt_tokens=200,
    text_tokens=10,
    codec_tokens=48,
    chunks=2,
)
DECODER = DecoderConfig(
    hidden_size=8,
    intermediate_size=16,
    num_hidden_layers=3,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=4,
    vocab_size=10,
    rms_norm_eps=1e-6,
    rope_theta=1e4,
    mrope_section=(1, 1, 0),
    max_position_embeddings=64,
)


@pytest.mark.parametrize(
    ("operations", "read_bytes", "floor_s"), [(50.0, 100.0, 5.0), (5.0, 300.0, 3.0)]
)
def test_the_scarcer_rate_rules(operations, read_bytes, floor_s):
    work = Work(operations=operations, read_bytes=read_bytes, dtype=torch.float32)
    assert work.floor_s(RATES) == floor_s


def test_a_product_is_two_operations_an_element():
    left, right = torch.zeros(3, 5), torch.zeros(5, 7)
    assert count_operations(lambda: left @ right) == 2 * 3 * 5 * 7


def test_decoder_steps():
    """Two steps behind five positions: the past is 5, then 6 positions."""
    work = decoder_step(DECODER, [nn.Linear(8, 8, bias=False)], steps=2, start=5)
    attention = (5 + 6) * 3 * 2 * 4 * 2  # past, layers, heads, head_dim, scores and mix
    assert work.operations == 2 * (2 * 64 + attention)
    cache = (5 + 6) * 3 * 1 * 4 * 2  # keys and values of one head
    assert work.read_bytes == 4 * (2 * 64 + cache)


@pytest.fixture(scope="module")
def model(tiny_checkpoint):
    return load_checkpoint(str(tiny_checkpoint), dtype="float32")


@pytest.fixture(scope="module")
def works(model):
    return reply_floors(model, SIZE)


def test_every_stage_has_work(works):
    assert list(works) == ["encode", "prefill", "thinker", "talker", "token2wav", "vocoder"]
    assert all(work.operations > 0 and work.read_bytes > 0 for work in works.values())
    assert works["token2wav"].operations > works["vocoder"].operations


@pytest.mark.parametrize(
    ("changed", "stage"),
    [
        ({"encoded_mel_frames": 200}, "encode"),
        ({"prefilled_tokens": 31}, "prefill"),
        ({"text_tokens": 11}, "thinker"),
        ({"codec_tokens": 49}, "talker"),
        ({"codec_tokens": 60}, "vocoder"),
        ({"prompt_tokens": 300}, "talker"),
    ],
)
def test_more_is_never_less(model, works, changed, stage):
    more = reply_floors(model, dataclasses.replace(SIZE, **changed))[stage]
    assert more.operations > works[stage].operations


def test_nothing_to_read_is_no_work(model):
    nothing = dataclasses.replace(SIZE, encoded_mel_frames=0, prefilled_tokens=0)
    works = reply_floors(model, nothing)
    rates = dataclasses.replace(RATES, operations_s={model.dtype: 10.0})
    assert works["encode"].floor_s(rates) == works["prefill"].floor_s(rates) == 0
