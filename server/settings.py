"""Every setting of the gateway: from flags, then `OMNILIVE_*` in the environment, then its default.

The only module that looks at the environment. Knows names, limits and what they mean; does not know
who uses them.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import SettingsConfigDict

from server.call_settings import CallSettings
from server.engine_settings import EngineProcessSettings
from server.errors import SettingsError

ENV_PREFIX = "OMNILIVE_"


class Settings(CallSettings, EngineProcessSettings):
    """One value a field; the description of each is what `omnilive serve --help` prints."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    # where it listens
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0: any free one")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level that is logged"
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="form of a log line; json: one object each"
    )
    log_content: bool = Field(
        False, description="log what is said and written too, and what exceptions quote of it"
    )

    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="port for /metrics alone; 0: any free one; none: it is on the server's own",
    )
    metrics_host: str | None = Field(
        None, min_length=1, description="address of that port; none: the server's own"
    )

    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://.+",
        description="where traces go, as http://HOST:4318/v1/traces (OTLP); none: nowhere",
    )
    trace_sample_ratio: float = Field(
        1.0, ge=0, le=1, description="share of the conversations that are traced"
    )

    # how much of everything
    max_conversations: int = Field(
        4, ge=1, le=1024, description="conversations open at the same time; more are refused"
    )
    max_event_bytes: int = Field(
        15 * 2**20,
        ge=2**12,
        le=2**28,
        description="size of one client event; a larger one gets an error event",
    )
    max_options_bytes: int = Field(
        2**18, ge=2**10, le=2**28, description="the same for one without sound, pictures or items"
    )
    max_turn_ms: int = Field(
        600_000,
        ge=1_000,
        le=3_600_000,
        description="sound of one turn or item; less where the context holds less",
    )
    max_items: int = Field(1_000, ge=2, le=100_000, description="items of one conversation")
    max_text_chars: int = Field(
        2**15, ge=64, le=2**24, description="text of one item or tool, or of the instructions"
    )
    max_request_chars: int = Field(
        2**18, ge=64, le=2**26, description="text of one chat completion altogether"
    )
    max_input_items: int = Field(
        128, ge=1, le=10_000, description="items of the own input of one response"
    )
    max_tools: int = Field(
        128, ge=0, le=10_000, description="function tools of one session or response"
    )
    max_id_chars: int = Field(
        512, ge=64, le=4096, description="length of an id that a client gives"
    )
    min_commit_ms: int = Field(
        100, ge=20, le=10_000, description="sound that a turn or item has at least"
    )
    max_responses_aside: int = Field(
        2, ge=0, le=64, description="responses outside one conversation at the same time"
    )
    max_asides: int = Field(
        2,
        ge=0,
        le=64,
        description="the same of all conversations together; each takes memory as one does",
    )
    max_transcripts: int = Field(
        16, ge=1, le=10_000, description="transcripts that one conversation may wait for"
    )
    max_deferred: int = Field(
        64,
        ge=1,
        le=10_000,
        description="changes of one conversation that may wait for the end of a reply",
    )
    max_session_s: int = Field(
        3600, ge=1, le=86_400, description="length of one session; a longer one is ended"
    )
    idle_timeout_s: int = Field(
        900,
        ge=1,
        le=86_400,
        description="time without speech or events after which a session is ended",
    )
    send_queue_events: int = Field(
        8192, ge=16, description="events waiting for a slow reader before it is cut off"
    )
    send_queue_bytes: int = Field(
        64 * 2**20, ge=2**16, description="bytes waiting for a slow reader before it is cut off"
    )
    send_timeout_s: float = Field(
        30.0, gt=0, le=600, description="how long one write to a reader may take"
    )
    request_timeout_s: float = Field(
        60.0, gt=0, le=3600, description="how long an HTTP request may take to arrive"
    )
    resume_window_s: float = Field(
        30.0,
        ge=0,
        le=3600,
        description="how long a conversation that can be resumed waits for a client that was cut "
        "off; 0: none can be",
    )
    resume_log_bytes: int = Field(
        4 * 2**20,
        ge=2**10,
        le=2**30,
        description="size of the events that are kept for a client that comes back",
    )

    # who may come in
    api_keys: str | None = Field(
        None,
        description="keys that are let in, with commas, each as it is or as sha256:HEX; "
        "none: everybody is",
    )
    admin_key: str | None = Field(
        None,
        description="key of the operator page at /ops, as it is or as sha256:HEX; none: no page",
    )
    allowed_origins: str | None = Field(
        None,
        description="other origins whose pages may use this server, with commas; *: every one",
    )
    allowed_hosts: str | None = Field(
        None,
        description="names that this server is called by (Host), with commas, beside localhost and "
        "addresses; *: any; none: no other where it listens for this machine only, else any",
    )
    max_client_secrets: int = Field(
        10_000, ge=1, description="client secrets in force at the same time"
    )
    max_openings_per_address: int | None = Field(
        600, ge=1, description="conversations and secrets that one address may open in a minute"
    )
    max_openings_per_key: int | None = Field(
        None, ge=1, description="the same for one API key; none: no such limit"
    )
    max_conversations_per_address: int | None = Field(
        None, ge=1, description="conversations that one address may have open; none: no such limit"
    )
    max_conversations_per_key: int | None = Field(
        None, ge=1, description="conversations that one API key may have open; none: no such limit"
    )

    # images
    max_image_bytes: int = Field(
        10 * 2**20, ge=2**10, le=2**28, description="size of one image that a client sends"
    )
    max_image_pixels: int = Field(
        12_000_000,
        ge=2**10,
        le=12_800_000,
        description="pixels of the images of one item or message together",
    )
    max_video_frames: int = Field(
        64, ge=1, le=768, description="frames that are taken of one video file or list of images"
    )
    max_images_per_minute: int = Field(
        240, ge=1, le=6000, description="images that one session or request may send in a minute"
    )

    # how it ends
    drain_timeout_s: float = Field(
        30.0,
        ge=0,
        le=86_400,
        description="how long open conversations may go on after SIGTERM, before the server ends",
    )


# What GNU OpenMP takes itself when there are more threads than cores.
ENGINE_SPINS = "1000"
VARIABLES = tuple(ENV_PREFIX + name.upper() for name in Settings.model_fields)


def load_settings(**flags: Any) -> Settings:
    """Builds the settings; a flag that is None was not given.

    Raises:
        SettingsError: A value cannot be used; every one of them is named.
    """
    unknown = [name for name in os.environ if name.startswith(ENV_PREFIX) and name not in VARIABLES]
    if unknown:
        raise SettingsError(f"{', '.join(unknown)}: no such setting; known: {', '.join(VARIABLES)}")
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise SettingsError("\n".join(map(_complaint, error.errors()))) from None


def names_of(name: str) -> str:
    """Returns what people call a setting: its flag and its variable."""
    return f"--{name.replace('_', '-')} / {ENV_PREFIX}{name.upper()}"


def engine_environment() -> dict[str, str]:
    """Returns the environment of the engine process: ours, and how its threads wait.

    After each small loop GNU OpenMP's threads spin until the last has come. Where another process
    has that one's core, they spin for as long as the system lets it run, and a step takes ten times
    as long and more. So they sleep after a short spin, unless ours says otherwise.
    """
    return {"GOMP_SPINCOUNT": ENGINE_SPINS, **os.environ}


def _complaint(error: Any) -> str:
    name = str(error["loc"][0]) if error["loc"] else "settings"
    return f"{names_of(name)}: {error['input']!r}: {error['msg']}"
