"""What the fake microphone of the browser hears."""

import numpy as np
import pytest
import soundfile

from tests.server.webrtc.rig import RATE_HZ, question


@pytest.fixture(scope="session")
def voice(tmp_path_factory):
    """A question, then silence, again and again: what the fake microphone hears."""
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    quiet = np.zeros(RATE_HZ, dtype=np.int16)
    soundfile.write(path, np.concatenate([quiet, question(), *[quiet] * 8]), RATE_HZ)
    return path
