"""The kinds of session, as far as their options go, and the options in force in one.

Knows who checks and who shows the options of a kind. Does not know what they lead to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.session_config import default_config, updated
from streaming.protocol.session_echo import session_object
from streaming.protocol.session_options import SessionConfig

Object: TypeAlias = dict[str, Any]


class Shown(Protocol):
    """Makes the session object that the client sees; its arguments are `session_object`'s."""

    def __call__(
        self,
        config: SessionConfig,
        *,
        session_id: str,
        expires_at_s: int | None,
        denoises: bool,
        has_formats: bool,
    ) -> Object:
        """Returns the session object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKind:
    """What tells one kind of session from another.

    Attributes:
        first: The options before the client says anything.
        updated: Options with a client's update merged in.
        shown: The session object.
        converses: Whether its client is told of a conversation.
    """

    first: Callable[[ModelProfile], SessionConfig]
    updated: Callable[[SessionConfig, Object, ModelProfile, Limits], SessionConfig]
    shown: Shown
    converses: bool


REALTIME = SessionKind(first=default_config, updated=updated, shown=session_object, converses=True)


class Options:
    """The options of one session.

    Attributes:
        kind: Of the session.
        profile: What the model can do.
        limits: The session's bounds.
        config: Those in force; whoever carries out a change puts it here.
    """

    def __init__(
        self, kind: SessionKind, profile: ModelProfile, limits: Limits, defaults: Object | None
    ) -> None:
        """Takes options that come before any update, if there are any.

        Raises:
            ProtocolError: They are wrong, or ask for what is not served.
        """
        self.kind = kind
        self.profile = profile
        self.limits = limits
        self.config = kind.first(profile)
        if defaults is not None:
            self.config = self.updated(defaults)

    def updated(self, patch: Object) -> SessionConfig:
        """The options with an update merged in; those in force stay as they are.

        Raises:
            ProtocolError: It is wrong, or asks for what is not served.
        """
        return self.kind.updated(self.config, patch, self.profile, self.limits)

    def shown(
        self,
        *,
        session_id: str,
        expires_at_s: int | None,
        denoises: bool = True,
        has_formats: bool = True,
    ) -> Object:
        """The session as the client sees it; see `session_object`."""
        return self.kind.shown(
            self.config,
            session_id=session_id,
            expires_at_s=expires_at_s,
            denoises=denoises,
            has_formats=has_formats,
        )
