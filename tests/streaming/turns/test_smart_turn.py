"""Smart Turn: its features are Whisper's, and it tells a whole question from half of one."""

import numpy as np
import pytest
import soundfile
from transformers import WhisperFeatureExtractor

from server.demo import QUESTION
from streaming.media.resample import resample
from streaming.turns import smart_turn
from streaming.turns.errors import NoJudgeError
from streaming.turns.smart_turn import RATE_HZ, WINDOW_SAMPLES, SmartTurn, log_mel


def test_the_features_are_whispers():
    random = np.random.default_rng(0)
    samples = (random.standard_normal(WINDOW_SAMPLES) * 0.1).astype(np.float32)
    samples[: 3 * RATE_HZ] = 0.0
    extract = WhisperFeatureExtractor(chunk_length=8)
    expected = extract(
        samples, sampling_rate=RATE_HZ, do_normalize=True, return_tensors="np"
    ).input_features[0]
    np.testing.assert_allclose(log_mel(samples), expected, atol=1e-4)


def test_a_whole_question_is_more_of_a_turn_than_half_of_one():
    recorded, rate_hz = soundfile.read(QUESTION, dtype="float32")
    samples = resample(recorded, rate_hz, RATE_HZ)
    spoken = np.flatnonzero(np.abs(samples) > 0.05 * np.abs(samples).max())
    quiet = np.zeros(RATE_HZ // 5, dtype=np.float32)
    middle = (spoken[0] + spoken[-1]) // 2
    judge = SmartTurn()
    whole = judge.probability(np.concatenate([samples[: spoken[-1]], quiet]))
    half = judge.probability(np.concatenate([samples[:middle], quiet]))
    assert whole > 0.5 > half


def test_without_its_package_it_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(smart_turn, "_PACKAGE", "no_such_package")
    with pytest.raises(NoJudgeError, match="no_such_package-ai"):
        smart_turn._model.__wrapped__()
