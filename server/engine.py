"""Makes the engine client of this process from the settings.

Knows which setting is which on the engine's side. Does not start anything.
"""

from __future__ import annotations

from server.settings import Settings
from streaming.engine.client import EngineClient, Progress
from streaming.engine.settings import ClientSettings, EngineSettings


def new_engine(settings: Settings, progress: Progress | None = None) -> EngineClient:
    """Returns a client that has not been started; `progress` hears each step of its loading."""
    engine = EngineSettings(
        model=settings.model,
        device=settings.device,
        dtype=settings.dtype,
        threads=settings.threads,
        max_conversations=settings.max_conversations,
        context_tokens=settings.context_tokens,
        max_speech_s=settings.max_speech_s,
        first_packet_target_s=settings.first_packet_target_s,
        seed=settings.seed,
        log_level=settings.log_level,
        log_format=settings.log_format,
        log_content=settings.log_content,
    )
    client = ClientSettings(
        start_timeout_s=settings.engine_start_timeout_s, max_deaths=settings.engine_max_deaths
    )
    return EngineClient(engine, client, progress=progress)
