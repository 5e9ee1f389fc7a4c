"""The recipe of `omni-mini`, the embedded checkpoint that really listens and speaks."""
