"""Makes the engine client of this process from the settings.

Knows which setting is which on the engine's side. Does not start anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from server.settings import Settings, engine_environment
from streaming.engine.client import WORKER, EngineClient, Progress
from streaming.engine.settings import ClientSettings, EngineSettings


def new_engine(
    settings: Settings, progress: Progress | None = None, worker: Sequence[str] = WORKER
) -> EngineClient:
    """Returns a client that has not been started.

    Args:
        settings: Of the gateway.
        progress: Hears each step of its loading.
        worker: The command that starts the process; a bench may put another in its place.
    """
    engine = EngineSettings(
        model=settings.model,
        device=settings.device,
        dtype=settings.dtype,
        threads=settings.threads,
        max_conversations=settings.max_conversations,
        max_asides=settings.max_asides,
        max_transcripts=settings.max_transcripts,
        max_deferred=settings.max_deferred,
        context_tokens=settings.context_tokens,
        max_speech_s=settings.max_speech_s,
        first_packet_target_s=settings.first_packet_target_s,
        seed=settings.seed,
        log_level=settings.log_level,
        log_format=settings.log_format,
        log_content=settings.log_content,
    )
    client = ClientSettings(
        start_timeout_s=settings.engine_start_timeout_s,
        max_deaths=settings.engine_max_deaths,
        silence_limit_s=settings.engine_silence_limit_s,
        ping_timeout_s=settings.engine_hang_timeout_s,
        environment=engine_environment(),
    )
    return EngineClient(engine, client, worker=worker, progress=progress)
