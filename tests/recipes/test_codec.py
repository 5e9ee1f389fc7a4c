import numpy as np
import pytest
import torch

from model.recipes.omni_mini.codec import (
    CODE_SAMPLES,
    CODES,
    Codec,
    encode_shards,
    train_codec,
    whole_codes,
)
from model.speech_mel import speech_mel

ROWS = 30


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """One shard of sweeping tones: sound with structure, made here."""
    directory = tmp_path_factory.mktemp("speech")
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(ROWS):
        time_s = np.arange(24_000 * 2) / 24_000
        pitch_hz = 200 + 1_500 * np.abs(np.sin(time_s * rng.uniform(1, 5)))
        rows.append((8_000 * np.sin(2 * np.pi * np.cumsum(pitch_hz) / 24_000)).astype(np.int16))
    offsets = np.cumsum([0, *map(len, rows)])
    np.savez(directory / "0000.npz", audio=np.concatenate(rows), offsets=offsets)
    (directory / "0000.jsonl").write_text('{"text": "x"}\n' * ROWS)
    return directory


@pytest.fixture(scope="module")
def codec(speech):
    trained, left = train_codec(speech, iterations=5)
    assert left < 0.2
    return trained


def test_centres_are_their_own_codes(codec):
    codes = torch.arange(0, CODES, 37)
    assert codec.encode(codec.decode(codes)).tolist() == codes.tolist()


def test_saved_codec_is_the_same(codec, tmp_path):
    codec.save(tmp_path / "codec.pt")
    torch.testing.assert_close(Codec.load(tmp_path / "codec.pt").centres, codec.centres)


def test_shards_are_encoded_once(codec, speech, tmp_path):
    assert encode_shards(codec, speech, tmp_path) == 1
    assert encode_shards(codec, speech, tmp_path) == 0
    shard = np.load(tmp_path / "0000.npz")
    assert np.diff(shard["offsets"]).tolist() == [50] * ROWS


def test_padding_gives_whole_codes_and_frames():
    samples = whole_codes(np.ones(CODE_SAMPLES + 1, np.int16))
    assert len(samples) == 2 * CODE_SAMPLES
    assert speech_mel(samples).shape == (80, 8)
