"""Traces: what is told of conversations and turns, whether or not there is anybody to tell.

Knows when a trace begins and ends, and which packages one needs. How spans are made is `spans.py`,
which alone imports OpenTelemetry: without the extra `tracing` nothing here is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from server.errors import SettingsError
from server.settings import Settings
from server.telemetry.reply_watch import ReplyReport

if TYPE_CHECKING:
    from server.telemetry.watch import ConversationWatch

# The ids by which a metric's exemplar is found among traces.
Trace = dict[str, str]


class Tracing(Protocol):
    """Takes what is to be traced."""

    def opened(self, watch: ConversationWatch) -> None:
        """A session has begun."""

    def closed(self, watch: ConversationWatch, reason: str) -> None:
        """A session is over."""

    def reply_ended(self, report: ReplyReport) -> Trace | None:
        """A reply is over; returns where it can be found, if it can."""

    def stop(self) -> None:
        """Sends what was not sent yet; may take seconds."""


class NoTracing:
    """Traces nothing."""

    def opened(self, watch: ConversationWatch) -> None:
        """Does nothing."""

    def closed(self, watch: ConversationWatch, reason: str) -> None:
        """Does nothing."""

    def reply_ended(self, report: ReplyReport) -> Trace | None:
        """Returns None."""
        return None

    def stop(self) -> None:
        """Does nothing."""


def new_tracing(settings: Settings) -> Tracing:
    """Returns what the settings ask for.

    Raises:
        SettingsError: They ask for traces, and the packages for that are not there.
    """
    if settings.otlp_endpoint is None:
        return NoTracing()
    try:
        from server.telemetry.spans import exporting
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"--otlp-endpoint {settings.otlp_endpoint}: traces need packages that are not "
            f"installed ({error.name}); pip install 'omnilive[tracing]'"
        ) from None
    return exporting(settings.otlp_endpoint, settings.trace_sample_ratio)
