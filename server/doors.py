"""The doors of the gateway: who comes in, from which page, how often, and how many at a time.

Knows the headers that carry keys, origins and hosts. Does not know what a client does inside.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from server.auth import ANYBODY, ApiKeys, ClientSecrets, Identity, digest_of, identify
from server.errors import ForbiddenHostError, ForbiddenOriginError, SettingsError
from server.limits import RateLimit, Seats
from server.settings import Settings
from streaming.protocol.limits import RateLeft

# How a browser, which cannot set headers on a WebSocket, gives its key.
SUBPROTOCOL_KEY = "openai-insecure-api-key."
BEARER = "bearer "
ANY = "*"
LOCALHOST = "localhost"
LOOPBACK = "127.0.0.1"
_NAME = re.compile(r"([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?(?::\d*)?")


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """A client at the door.

    Attributes:
        identity: Who it is.
        address: Where it comes from.
        key: Digest of what it showed to be let in; None if it showed nothing.
    """

    identity: Identity = ANYBODY
    address: str = "unknown"
    key: bytes | None = field(default=None, repr=False)


NOBODY = Visitor()


class Doors:
    """Lets clients in, or says why not."""

    def __init__(
        self,
        settings: Settings,
        *,
        address: str = LOOPBACK,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes the settings, and the address that the server really listens on.

        Raises:
            SettingsError: No client can have a key, or call the server by a name, that is in them.
        """
        self.secrets = ClientSecrets(max_secrets=settings.max_client_secrets)
        self._keys = ApiKeys(split(settings.api_keys))
        self._origins = frozenset(split(settings.allowed_origins))
        self._hosts = _hosts_of(settings, address)
        self._by_address = RateLimit(
            settings.max_openings_per_address, "max_openings_per_address", clock
        )
        self._by_key = RateLimit(settings.max_openings_per_key, "max_openings_per_key", clock)
        self._address_seats = Seats(
            settings.max_conversations_per_address, "max_conversations_per_address"
        )
        self._key_seats = Seats(settings.max_conversations_per_key, "max_conversations_per_key")

    def let_in(self, connection: HTTPConnection, before: Visitor | None = None) -> Visitor:
        """Returns who asks.

        Args:
            connection: What it asks by.
            before: Who opened what it comes back to. The same client secret is good for that even
                if it has expired since, as it would be had the line not been cut.

        Raises:
            UnauthorizedError: No key, or none that is known.
            ForbiddenHostError: A name that is not this server's; names it.
            ForbiddenOriginError: A page that may not use this server; names it.
        """
        self.check_host(connection)
        self._check_origin(connection)
        key = key_of(connection)
        digest = None if key is None else digest_of(key)
        if before is not None and _same(digest, before.key):
            identity = before.identity
        else:
            identity = identify(self._keys, self.secrets, key)
        client = connection.client
        address = client.host if client else "unknown"
        return Visitor(identity=identity, address=address, key=digest)

    def check_host(self, connection: HTTPConnection) -> None:
        """Looks whether a client calls the server by a name that it has.

        Anybody's name can be made to lead to this machine (DNS rebinding), and a page of that name
        is then of the same origin as the server. Of addresses and of localhost that is not so.

        Raises:
            ForbiddenHostError: By another; names it.
        """
        host = connection.headers.get("host")
        if host is None or ANY in self._hosts:
            return
        name = _name_in(host)
        if name in self._hosts or _is_local(name):
            return
        raise ForbiddenHostError(
            f"this server is not called {name[:200]!r}; its settings can say that it is "
            "(allowed_hosts)"
        )

    def count_opening(self, visitor: Visitor) -> None:
        """Counts one conversation, call or secret that is asked for.

        Raises:
            TooFastError: This address or this key has had its share of the minute.
        """
        self._by_address.spend(visitor.address)
        if visitor.identity.owner is not None:
            self._by_key.spend(visitor.identity.owner)

    def rates(self, visitor: Visitor) -> list[RateLeft]:
        """Returns what this visitor may open yet, by the tighter of its limits; none: no limit."""
        owner = visitor.identity.owner
        by_address = self._by_address.left(visitor.address)
        by_key = None if owner is None else self._by_key.left(owner)
        limits = [left for left in (by_address, by_key) if left is not None]
        return [min(limits, key=lambda left: left.remaining)] if limits else []

    def check_seat(self, visitor: Visitor) -> None:
        """Raises TooManyOpenError if this address or this key has as many open as it may."""
        self._address_seats.check(visitor.address)
        if visitor.identity.owner is not None:
            self._key_seats.check(visitor.identity.owner)

    @contextmanager
    def seat(self, visitor: Visitor) -> Iterator[None]:
        """Counts a conversation of this visitor while the block runs."""
        with ExitStack() as seats:
            seats.enter_context(self._address_seats.taken(visitor.address))
            if visitor.identity.owner is not None:
                seats.enter_context(self._key_seats.taken(visitor.identity.owner))
            yield

    def _check_origin(self, connection: HTTPConnection) -> None:
        # Only browsers say where they come from; for others there is no page to beware of.
        origin = connection.headers.get("origin")
        if origin is None or ANY in self._origins or origin in self._origins:
            return
        site = _site_of(origin)
        if site and site == connection.headers.get("host"):
            return
        raise ForbiddenOriginError(
            f"pages of {origin[:200]!r} may not use this server; its settings can allow them "
            "(allowed_origins)"
        )


def key_of(connection: HTTPConnection) -> str | None:
    """Returns the key that a client brings, by header or by subprotocol."""
    authorization = connection.headers.get("authorization", "")
    if authorization.lower().startswith(BEARER):
        return authorization[len(BEARER) :].strip() or None
    for offered in connection.scope.get("subprotocols", ()):
        if offered.startswith(SUBPROTOCOL_KEY):
            key: str = offered[len(SUBPROTOCOL_KEY) :]
            return key or None
    return None


def split(value: str | None) -> tuple[str, ...]:
    """Returns the parts of a setting that is a list with commas."""
    return tuple(part.strip() for part in (value or "").split(",") if part.strip())


def _same(digest: bytes | None, known: bytes | None) -> bool:
    return digest is not None and known is not None and hmac.compare_digest(digest, known)


def _site_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # brackets without an address in them
        return None


def _hosts_of(settings: Settings, address: str) -> frozenset[str]:
    """The names that clients may call the server by, beside those that are always its own."""
    if settings.allowed_hosts is not None:
        return frozenset(map(_allowed, split(settings.allowed_hosts)))
    listens = ipaddress.ip_address(address)
    mapped = listens.ipv4_mapped if isinstance(listens, ipaddress.IPv6Address) else None
    return frozenset() if (mapped or listens).is_loopback else frozenset([ANY])


def _allowed(entry: str) -> str:
    """A name of the settings as it is compared; a port after it is not."""
    if entry == ANY or _is_address(entry) or _is_address(_name_in(entry)):
        return entry  # addresses may always
    match = _NAME.fullmatch(entry.lower())
    if match is None:
        raise SettingsError(
            f"--allowed-hosts / OMNILIVE_ALLOWED_HOSTS: {entry!r}: expected names as "
            "'talk.example.com', without a scheme, a path or a wildcard, or '*' alone for any"
        )
    return match[1]


def _name_in(host: str) -> str:
    """The name or address in a `Host` header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


def _is_local(name: str) -> bool:
    return name == LOCALHOST or name.endswith(f".{LOCALHOST}") or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
