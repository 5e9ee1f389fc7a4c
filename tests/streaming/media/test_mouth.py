"""The engine's sound in the client's format."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.media.codecs import decode, encode
from streaming.media.formats import PCM_24K, PCMA, PCMU
from streaming.media.mouth import Mouth

TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)).astype(np.float32)
AUDIO = encode(TONE, PCM_24K)


def test_pcm_passes_through():
    mouth = Mouth()
    mouth.start(PCM_24K)
    assert mouth.speak(AUDIO) + mouth.finish() == AUDIO


@pytest.mark.parametrize("audio_format", [PCMU, PCMA])
def test_telephone_sound_is_the_same_tone(audio_format):
    mouth = Mouth()
    mouth.start(audio_format)
    sound = decode(mouth.speak(AUDIO) + mouth.finish(), audio_format)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8_000) / 8_000)
    np.testing.assert_allclose(sound[500:-500], expected[500:-500], atol=0.02)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 24_000), max_size=10).map(sorted))
def test_pieces_do_not_matter(cuts):
    whole, pieces = Mouth(), Mouth()
    whole.start(PCMU)
    pieces.start(PCMU)
    bounds = [0, *(2 * cut for cut in cuts), len(AUDIO)]
    got = b"".join(pieces.speak(AUDIO[start:stop]) for start, stop in itertools.pairwise(bounds))
    assert got + pieces.finish() == whole.speak(AUDIO) + whole.finish()


def test_a_new_response_starts_afresh():
    mouth = Mouth()
    mouth.start(PCMU)
    mouth.speak(AUDIO)
    mouth.start(PCMU)
    assert mouth.finish() == b""
