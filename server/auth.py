"""Who a client is: API keys, and the short-lived secrets that a key's owner hands to browsers.

Knows keys only as SHA-256 digests: that is how they are kept, and digests are compared in constant
time. (A digest without salt is enough for what a machine drew at random; a key is no password.)
Does not know HTTP, nor how much a client may do (`limits.py`).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from server.clock import unix_s
from server.errors import SettingsError, TooManySecretsError, UnauthorizedError
from server.settings import names_of

SECRET_PREFIX = "ek_"
SECRET_BYTES = 32
MIN_KEY_CHARS = 8
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def digest_of(key: str) -> bytes:
    """Returns what is kept of a key."""
    return hashlib.sha256(key.encode()).digest()


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A client that was let in.

    Attributes:
        owner: Name of the key that it came with, or whose secret it holds; None on an open server.
        is_secret: Whether it holds a client secret and not a key.
        session: Session options that its secret carries.
    """

    owner: str | None = None
    is_secret: bool = False
    session: dict[str, Any] | None = None


ANYBODY = Identity()


class ApiKeys:
    """The keys of the settings; none at all means that the server is open."""

    def __init__(self, keys: Iterable[str] = (), *, setting: str = "api_keys") -> None:
        """Takes keys, or digests of them as `sha256:HEX`.

        Args:
            keys: As they are told.
            setting: Which one told them, for the complaint about a bad one.

        Raises:
            SettingsError: A key is too short to be one.
        """
        self._digests = tuple(_kept(key, setting) for key in keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def owner_of(self, key: str) -> str | None:
        """Returns the name of a key, which does not give it away; None if it is none of ours."""
        digest = digest_of(key)
        # Every key is compared, whatever the first ones gave.
        hits = [hmac.compare_digest(digest, known) for known in self._digests]
        return digest.hex()[:12] if any(hits) else None


@dataclass(frozen=True, slots=True)
class _Secret:
    identity: Identity
    expires_at_s: int


class ClientSecrets:
    """Keys that a browser may hold: they expire, and carry the defaults of a session."""

    def __init__(self, *, max_secrets: int, clock: Callable[[], int] = unix_s) -> None:
        self._max_secrets = max_secrets
        self._clock = clock
        self._secrets: dict[bytes, _Secret] = {}

    def __len__(self) -> int:
        return len(self._secrets)

    def mint(
        self, owner: str | None, session: dict[str, Any] | None, lifetime_s: int
    ) -> tuple[str, int]:
        """Returns a new secret and when it expires, in Unix time.

        Raises:
            TooManySecretsError: As many as may be are in force; names the limit.
        """
        now_s = self._clock()
        if len(self._secrets) >= self._max_secrets:
            self._forget_expired(now_s)
        if len(self._secrets) >= self._max_secrets:
            raise TooManySecretsError(
                f"{self._max_secrets} client secrets are in force (max_client_secrets); try later"
            )
        value = SECRET_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        expires_at_s = now_s + lifetime_s
        identity = Identity(owner=owner, is_secret=True, session=session)
        self._secrets[digest_of(value)] = _Secret(identity, expires_at_s)
        return value, expires_at_s

    def identity_of(self, value: str) -> Identity | None:
        """Returns who holds this secret; None if it is unknown or has expired."""
        # Found by digest: how long that takes says nothing about the secret.
        digest = digest_of(value)
        secret = self._secrets.get(digest)
        if secret is None:
            return None
        if secret.expires_at_s <= self._clock():
            del self._secrets[digest]
            return None
        return secret.identity

    def _forget_expired(self, now_s: int) -> None:
        live = {key: kept for key, kept in self._secrets.items() if kept.expires_at_s > now_s}
        self._secrets = live


def identify(keys: ApiKeys, client_secrets: ClientSecrets, key: str | None) -> Identity:
    """Returns who comes with this key.

    Raises:
        UnauthorizedError: Nobody who may come in.
    """
    if key is not None and key.startswith(SECRET_PREFIX):
        identity = client_secrets.identity_of(key)
        if identity is None:
            raise UnauthorizedError("this client secret is unknown or has expired")
        return identity
    if not keys:
        return ANYBODY
    if key is None:
        raise UnauthorizedError("an API key is needed: 'Authorization: Bearer KEY'")
    owner = keys.owner_of(key)
    if owner is None:
        raise UnauthorizedError("this API key is not known here")
    return Identity(owner=owner)


def _kept(key: str, setting: str) -> bytes:
    match = _DIGEST.fullmatch(key)
    if match:
        return bytes.fromhex(match[1])
    if len(key) < MIN_KEY_CHARS or key.startswith((SECRET_PREFIX, "sha256:")):
        raise SettingsError(
            f"{names_of(setting)}: a key of {len(key)} characters cannot be used; take "
            f"{MIN_KEY_CHARS} or more that do not begin with '{SECRET_PREFIX}', or sha256:HEX"
        )
    return digest_of(key)
