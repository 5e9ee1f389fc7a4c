import json

import numpy as np
import pytest
import torch

from model.recipes.omni_mini.codec import (
    CODE_SAMPLES,
    CODES,
    Codec,
    encode_shards,
    shares,
    train_codec,
    whole_codes,
)
from model.speech_mel import speech_mel

ROWS = 30
PHONES = [("", 0.0), ("a", 0.5), ("b", 1.5)]


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
    row = json.dumps({"text": "x", "phones": PHONES}) + "\n"
    (directory / "0000.jsonl").write_text(row * ROWS)
    return directory


@pytest.fixture(scope="module")
def codec(speech):
    trained, left = train_codec(speech, iterations=5)
    assert left < 0.2
    return trained


def test_a_sound_tells_what_is_heard_alike_apart(codec):
    mel = codec.decode(torch.arange(20))
    silent, spoken = (codec.encode(mel, [(phone, 0.0)]) for phone in ("", "b"))
    assert (silent != spoken).float().mean() > 0.5


def test_sounds_share_the_time_of_a_code():
    # 40 ms a code: "a" begins in the middle of the second, "?" is no sound that is known.
    found = shares([("", 0.0), ("a", 0.06), ("?", 0.12)], 4, ["", "a"])
    torch.testing.assert_close(found, torch.tensor([[1.0, 0], [0.5, 0.5], [0, 1], [0, 0]]))


def test_a_code_is_its_own_nearest_neighbour(codec):
    neighbours = codec.neighbours()
    torch.testing.assert_close(neighbours.sum(1), torch.ones(CODES))
    assert (neighbours.diagonal()[:, None] >= neighbours - 1e-6).all()


def test_embeddings_of_near_codes_are_near(codec):
    turned = codec.embeddings(256, 0.5)
    assert turned.std().item() == pytest.approx(0.5, rel=1e-3)
    apart, turned_apart = (torch.cdist(x, x).flatten() for x in (codec.centres, turned))
    assert torch.corrcoef(torch.stack([apart, turned_apart]))[0, 1] > 0.9


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
