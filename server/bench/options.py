"""What every bench is told.

Knows names, bounds and defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from typer import Option

from model.omni import DTypeName
from server.settings import Settings
from server.throwaway import throwaway_settings


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """How a bench is run; each field is a flag of its command, and its help says what it means."""

    model: Annotated[str | None, Option(help="checkpoint directory or hub id; none: omni-mini")] = (
        None
    )
    dtype: Annotated[DTypeName, Option(help="type of the weights, on both sides")] = "auto"
    runs: Annotated[int, Option(min=1, help="runs; the median counts")] = 5
    cores: Annotated[int | None, Option(min=1, help="cores to use; none: two")] = None
    threads: Annotated[int | None, Option(min=1, help="torch threads; none: one a core")] = None
    seed: Annotated[int, Option(min=0, help="of sampling and noise")] = 0
    max_reply_tokens: Annotated[
        int | None, Option(min=1, help="text tokens of a reply; none: as many as it wants")
    ] = None

    def settings(self, threads: int) -> Settings:
        """Returns the settings of a server of its own, which a server that runs has no part in.

        Raises:
            SettingsError: A value cannot be used; names it.
        """
        return throwaway_settings(
            model=self.model,
            device="cpu",
            dtype=self.dtype,
            threads=threads,
            seed=self.seed,
        )
