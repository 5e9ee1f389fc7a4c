"""What every bench is told.

Knows names and defaults. Does not know the command line that fills them in (`cli.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from model.omni import DTypeName
from server.settings import Settings, load_settings

DEFAULT_RUNS = 5


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """How a bench is run.

    Attributes:
        model: Checkpoint directory or hub id; None for omni-mini.
        dtype: Of the weights, in our engine and in the reference alike.
        runs: How often each figure is taken; the median counts.
        cores: Cores to use; None for two, or fewer if there are fewer.
        threads: Torch threads; None for one a core.
        seed: Of sampling and noise.
        max_reply_tokens: Thinker tokens of a reply at most; None leaves its length to the model.
    """

    model: str | None = None
    dtype: DTypeName = "auto"
    runs: int = DEFAULT_RUNS
    cores: int | None = None
    threads: int | None = None
    seed: int = 0
    max_reply_tokens: int | None = None

    def settings(self, threads: int) -> Settings:
        """Returns the settings of a server of its own, which leaves one that runs already alone.

        Raises:
            SettingsError: A value cannot be used; names it.
        """
        return load_settings(
            model=self.model,
            device="cpu",
            dtype=self.dtype,
            threads=threads,
            seed=self.seed,
            port=0,
            log_level="warning",
        )
