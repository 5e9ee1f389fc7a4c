"""How much audio a frame of so many milliseconds is."""

from __future__ import annotations

from streaming.media.formats import AudioFormat


def frame_bytes(audio_format: AudioFormat, frame_ms: int) -> int:
    """Bytes of one frame; the rates of the wire make it a whole number."""
    samples, remainder = divmod(audio_format.rate_hz * frame_ms, 1000)
    assert not remainder, f"{frame_ms} ms is no whole number of samples"
    return samples * audio_format.bytes_per_sample
