"""How peers find this server: STUN, TURN, and the address that the answer announces.

Knows the settings and two forms of them: aiortc's, and the one that browsers are given.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Callable
from typing import Any

from aiortc import RTCConfiguration, RTCIceServer
from aiortc.rtcicetransport import parse_stun_turn_uri

from server.clock import unix_s
from server.errors import SettingsError
from server.settings import Settings

# How long a TURN user lives that was made for one call.
TURN_LIFETIME_S = 3600


class IceServers:
    """The servers of the settings."""

    def __init__(self, settings: Settings, clock: Callable[[], int] = unix_s) -> None:
        """Takes the settings.

        Raises:
            SettingsError: An address or URL that cannot be used, or a lasting user of the relay
                where users are made; names the setting.
        """
        self._settings = settings
        self._clock = clock
        for name in ("stun_url", "turn_url"):
            _check_url(name, getattr(settings, name))
        for name in ("turn_username", "turn_credential"):
            if settings.turn_secret is not None and getattr(settings, name) is not None:
                raise SettingsError(
                    f"--{name.replace('_', '-')} / OMNILIVE_{name.upper()}: not used beside "
                    "--turn-secret / OMNILIVE_TURN_SECRET, from which users are made"
                )
        if settings.public_address is not None:
            _check_address(settings.public_address)

    def for_peers(self) -> list[dict[str, Any]]:
        """Returns them as `RTCPeerConnection` takes them in `iceServers`."""
        servers: list[dict[str, Any]] = []
        if self._settings.stun_url is not None:
            servers.append({"urls": [self._settings.stun_url]})
        if self._settings.turn_url is not None:
            username, credential = self._turn_user()
            server = {"urls": [self._settings.turn_url]}
            servers.append({**server, "username": username, "credential": credential})
        return servers

    def configuration(self) -> RTCConfiguration:
        """Returns them for our own connections; none at all stays none."""
        return RTCConfiguration(iceServers=[RTCIceServer(**server) for server in self.for_peers()])

    def announced(self, answer: str) -> str:
        """Returns an answer with the public address in the place of our own ones.

        The ports stay: whatever stands in between must keep them.
        """
        public = self._settings.public_address
        if public is None:
            return answer
        version = ipaddress.ip_address(public).version
        lines = []
        for line in answer.splitlines():
            if line.startswith("a=candidate:") and " typ host" in line:
                fields = line.split()
                if ipaddress.ip_address(fields[4]).version != version:
                    continue
                fields[4] = public
                line = " ".join(fields)
            if line not in lines or not line.startswith("a=candidate:"):
                lines.append(line)
        return "\r\n".join(lines) + "\r\n"

    def _turn_user(self) -> tuple[str | None, str | None]:
        """A user of the TURN server.

        Source: draft-uberti-behave-turn-rest-00, section 2.2.
        """
        secret = self._settings.turn_secret
        if secret is None:
            return self._settings.turn_username, self._settings.turn_credential
        username = f"{self._clock() + TURN_LIFETIME_S}:omnilive"
        digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
        return username, base64.b64encode(digest).decode()


def _check_url(name: str, url: str | None) -> None:
    if url is None:
        return
    try:
        parse_stun_turn_uri(url)
    except ValueError as error:
        flag = name.replace("_", "-")
        raise SettingsError(f"--{flag} / OMNILIVE_{name.upper()}: {url!r}: {error}") from None


def _check_address(address: str) -> None:
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        raise SettingsError(f"--public-address / OMNILIVE_PUBLIC_ADDRESS: {error}") from None
