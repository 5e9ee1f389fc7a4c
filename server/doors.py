"""The doors of the gateway: who comes in, from which page, how often, and how many at a time.

Knows the headers that carry keys and origins. Does not know what a client does inside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from server.auth import ANYBODY, ApiKeys, ClientSecrets, Identity, identify
from server.errors import ForbiddenOriginError
from server.limits import RateLimit, Seats
from server.settings import Settings
from streaming.protocol.limits import RateLeft

# How a browser, which cannot set headers on a WebSocket, gives its key.
SUBPROTOCOL_KEY = "openai-insecure-api-key."
BEARER = "bearer "
ANY_ORIGIN = "*"


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """A client at the door: who it is, and where it comes from."""

    identity: Identity = ANYBODY
    address: str = "unknown"


NOBODY = Visitor()


class Doors:
    """Lets clients in, or says why not."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.secrets = ClientSecrets(max_secrets=settings.max_client_secrets)
        self._keys = ApiKeys(split(settings.api_keys))
        self._origins = frozenset(split(settings.allowed_origins))
        self._by_address = RateLimit(
            settings.max_openings_per_address, "max_openings_per_address", clock
        )
        self._by_key = RateLimit(settings.max_openings_per_key, "max_openings_per_key", clock)
        self._address_seats = Seats(
            settings.max_conversations_per_address, "max_conversations_per_address"
        )
        self._key_seats = Seats(settings.max_conversations_per_key, "max_conversations_per_key")

    def let_in(self, connection: HTTPConnection) -> Visitor:
        """Returns who asks.

        Raises:
            UnauthorizedError: No key, or none that is known.
            ForbiddenOriginError: A page that may not use this server; names it.
        """
        self._check_origin(connection)
        identity = identify(self._keys, self.secrets, key_of(connection))
        client = connection.client
        return Visitor(identity=identity, address=client.host if client else "unknown")

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
        """Raises FullError if this address or this key has as many conversations as it may."""
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
        if origin is None or ANY_ORIGIN in self._origins or origin in self._origins:
            return
        if urlsplit(origin).netloc == connection.headers.get("host"):
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
