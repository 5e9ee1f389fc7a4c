"""Audio as numbers: wire codecs, resampling, WAV files, framing, and a model of a player."""
