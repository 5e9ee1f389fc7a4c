"""Sound files become 24 kHz mono at the pace of speech; what is no sound file is named."""

import asyncio
import re

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from clients.python.errors import SourceError
from clients.python.sources import (
    FRAME_MS,
    SAMPLE_RATE_HZ,
    check_writable,
    paced,
    read_recording,
    recording,
    script,
    write_wav,
)
from tests.virtual_time import on_virtual_time


@pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (24_000, 2), (44_100, 1)])
def test_any_rate_and_channels_become_24_khz_mono(tmp_path, rate_hz, channels):
    t = np.arange(rate_hz) / rate_hz
    tone = 0.5 * np.sin(2 * np.pi * 440 * t)
    soundfile.write(tmp_path / "q.wav", np.stack([tone] * channels, axis=1), rate_hz)
    samples = read_recording(tmp_path / "q.wav").samples
    assert abs(len(samples) - SAMPLE_RATE_HZ) <= 2
    peak_hz = np.abs(np.fft.rfft(samples[:SAMPLE_RATE_HZ])).argmax()
    assert abs(int(peak_hz) - 440) <= 1
    assert abs(np.abs(samples).max() / 32767 - 0.5) < 0.03


def test_trailing_silence_is_not_speech():
    speech = np.sin(np.arange(2400) / 10).astype(np.float32)
    wave = np.concatenate([speech, np.zeros(4800, np.float32)])
    assert abs(recording(wave).speech_end_samples - 2400) <= 5
    assert recording(np.zeros(100, np.float32)).speech_end_samples == 100


def test_bad_files_are_named(tmp_path):
    (tmp_path / "text.wav").write_text("this is not a sound")
    (tmp_path / "cut.wav").write_bytes(b"RIFF\x00\x00")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    soundfile.write(tmp_path / "slow.wav", np.zeros(9), 4_000)
    soundfile.write(tmp_path / "nan.wav", np.full(9, np.nan), 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "long.wav", np.zeros(8_000 * 601, np.int16), 8_000)
    for name, complaint in [
        ("text.wav", "not a sound file"),
        ("cut.wav", "not a sound file"),
        ("none.wav", "no such file"),
        ("empty.wav", "no samples"),
        ("slow.wav", "4000 Hz; a rate of 8000 to 192000 Hz"),
        ("nan.wav", "no numbers"),
        ("long.wav", "601 s; at most 600 s"),
    ]:
        with pytest.raises(SourceError, match=complaint) as failure:
            read_recording(tmp_path / name)
        assert name in str(failure.value)


def test_a_wav_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"none/out\.wav: cannot be written"):
        write_wav(tmp_path / "none" / "out.wav", np.zeros(4, np.int16), SAMPLE_RATE_HZ)


def test_what_stands_in_the_way_of_a_file_is_known_before_it_is_written(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for path in (tmp_path / "none" / "out.wav", file / "out.wav", tmp_path):
        with pytest.raises(SourceError, match=re.escape(f"{path}: cannot be written")):
            check_writable(path)
    check_writable(tmp_path / "new.wav")
    check_writable(file)
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_or_file_of_somebody_else_cannot_be_written(tmp_path, monkeypatch):
    old = tmp_path / "old.wav"
    old.write_text("")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # who runs this may be root
    for path in (tmp_path / "new.wav", old):
        with pytest.raises(SourceError, match="no permission"):
            check_writable(path)


@given(length=st.integers(0, 5_000))
def test_each_frame_comes_when_its_last_sample_would_have(length):
    samples = np.arange(length, dtype=np.int16)

    async def arrivals():
        loop = asyncio.get_running_loop()
        return [(frame, loop.time()) async for frame in paced(samples)]

    frames = on_virtual_time(arrivals())
    assert b"".join(frame for frame, _ in frames) == samples.tobytes()
    sent = 0
    for frame, moment_s in frames:
        assert len(frame) // 2 <= SAMPLE_RATE_HZ * FRAME_MS // 1000
        sent += len(frame) // 2
        assert moment_s == pytest.approx(sent / SAMPLE_RATE_HZ)


def test_a_late_reader_is_caught_up_and_silence_follows():
    async def moments():
        loop = asyncio.get_running_loop()
        got = []
        async for frame in paced(np.ones(960, np.int16), then_silence=True):
            got.append((frame, loop.time()))
            if len(got) == 1:
                await asyncio.sleep(0.1)
            if len(got) == 5:
                return got
        raise AssertionError

    frames = on_virtual_time(moments())
    assert [round(moment_s, 3) for _, moment_s in frames] == [0.04, 0.14, 0.14, 0.16, 0.2]
    assert all(set(frame) == {0} for frame, _ in frames[1:])


def test_a_script_is_one_recording_with_pauses():
    said = recording(np.full(2400, 0.5, np.float32))
    whole = script(0.5, said, 1, said, 0.25)
    assert len(whole.samples) == 12_000 + 2400 + 24_000 + 2400 + 6000
    assert whole.speech_end_samples == len(whole.samples) - 6000
    assert not whole.samples[14_400:38_400].any()
    assert len(script().samples) == 0
    for steps, complaint in [((-1,), "a pause of -1"), ((400, 400), "a script of 800 s")]:
        with pytest.raises(SourceError, match=complaint):
            script(*steps)
