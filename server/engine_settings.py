"""The settings of the engine: what runs and where, what it may take, and how long to wait for it.

Part of `server.settings`, which reads them. Knows names, limits and what they mean.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class EngineProcessSettings(BaseSettings):
    """One value a field; the description of each is what `omnilive serve --help` prints."""

    # what runs
    model: str | None = Field(
        None,
        min_length=1,
        description="checkpoint: a directory or hub id in the published layout; none: omni-mini",
    )
    device: str = Field(
        "cpu",
        pattern=r"^(cpu|cuda(:\d+)?)$",
        description="device of the networks: cpu, cuda, cuda:N",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="type of the weights; auto: what suits device and checkpoint"
    )
    threads: int | None = Field(
        None, ge=1, le=256, description="torch threads of the engine; none: one for each core"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="seed of sampling and of the waveform's noise")
    context_tokens: int | None = Field(
        None,
        ge=256,
        description="positions a conversation may hold; none, and at most: the checkpoint's own",
    )
    max_speech_s: float = Field(
        120.0, gt=0, le=600, description="sound of one reply; a longer one is cut short"
    )
    first_packet_target_s: float = Field(
        0.3,
        gt=0,
        le=10,
        description="when a reply's first sound is due, after the turn has ended",
    )

    # how long to wait for the engine
    engine_start_timeout_s: float = Field(
        600.0, gt=0, description="how long the engine may load before the start counts as failed"
    )
    engine_max_deaths: int = Field(
        5, ge=1, description="deaths of the engine in a row at which it is not started again"
    )
    engine_silence_limit_s: float = Field(
        10.0,
        ge=5,  # it is asked every 2 s
        le=600,
        description="how long the engine may say nothing, not even when asked, before nobody new "
        "is let in",
    )
    engine_hang_timeout_s: float = Field(
        30.0,
        ge=5,
        le=3600,
        description="the same before it counts as hung, is killed and started again",
    )
    end_without_engine: bool = Field(
        False,
        description="end with status 1 then, for whoever restarts what ends but asks for no health",
    )
