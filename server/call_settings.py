"""The settings of calls (WebRTC): where they go, what they may send, and what is kept of it.

Part of `server.settings`, which reads them. Knows names, limits and what they mean.
"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from streaming.media.video import MODEL_PIXELS


class CallSettings(BaseSettings):
    """One value a field; the description of each is what `omnilive serve --help` prints."""

    public_address: str | None = Field(
        None,
        description="IP address that calls are told to send to, where the own one is not reachable",
    )
    stun_url: str | None = Field(
        None, pattern=r"^stuns?:[^?]+$", description="STUN server, as stun:HOST:PORT"
    )
    turn_url: str | None = Field(
        None, pattern=r"^turns?:.+$", description="TURN server, as turn:HOST:PORT?transport=udp"
    )
    turn_username: str | None = Field(None, description="user name on the TURN server")
    turn_credential: str | None = Field(None, description="password on the TURN server")
    turn_secret: str | None = Field(
        None,
        description="secret shared with the TURN server, from which users for an hour are made",
    )
    max_offer_bytes: int = Field(
        2**16, ge=2**10, le=2**20, description="size of the request that opens a call"
    )
    max_candidates: int = Field(
        64, ge=1, le=1024, description="addresses (ICE candidates) of a peer in its offer"
    )
    call_connect_timeout_s: float = Field(
        30.0, gt=0, le=600, description="how long a call may take to connect before it is dropped"
    )
    max_sidebands: int = Field(
        4, ge=0, le=64, description="other lines into one call (by its call_id) at the same time"
    )
    camera_fps: int = Field(
        2, ge=1, le=30, description="pictures a second that are taken from a camera"
    )
    max_frame_pixels: int = Field(
        1920 * 1080,
        ge=2**10,
        le=2**26,
        description="pixels of a camera's picture; a camera with more is turned off",
    )
    camera_pixels: int = Field(
        256 * 28 * 28,
        ge=28 * 28,
        le=MODEL_PIXELS,
        description="pixels that a camera's picture is scaled down to; two take a position for 784",
    )
    quiet_video_tokens: int = Field(
        512,
        ge=64,
        le=2**16,
        description="positions that a camera's pictures may take that were seen between turns",
    )
    max_waiting_frames: int = Field(
        60,
        ge=2,
        le=10_000,
        description="frames of a camera that wait to be decoded; with more it is turned off",
    )
    max_sound_ahead_s: float = Field(
        5.0, gt=0, le=60, description="sound that a peer may send ahead of time"
    )
    max_waiting_sound_s: float = Field(
        10.0, gt=0, le=600, description="sound of a peer that waits for a busy conversation"
    )
    max_waiting_events: int = Field(
        1024, ge=1, le=2**20, description="events of a peer that wait to be taken"
    )
    max_waiting_bytes: int = Field(
        32 * 2**20, ge=2**16, le=2**30, description="bytes of the events that wait to be taken"
    )
