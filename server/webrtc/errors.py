"""What goes wrong with a call, over HTTP before it begins and as an event once it runs.

    CallError
    ├── OfferError           an SDP or a request that cannot be answered; says what is wrong (400)
    ├── OfferTooLargeError   names the limit (413)
    ├── OfferTypeError       a body of another type; names those that are taken (415)
    ├── NoSuchCallError      a call that is not, or is no longer, here (404)
    ├── RenegotiationError   a second offer for a call (400)
    ├── ConnectTimeoutError  no connection in time; names the limit
    ├── CallLostError        the peer is gone
    ├── HungUpError          somebody asked for the end
    ├── CallOverError        a call that a second line was in has ended
    ├── CallFullError        as many second lines are in a call as may be; names the limit (503)
    ├── FloodError           more sound or more events than the call can take; names the limit
    ├── CameraError          a camera that is not watched, and why; the call goes on
    └── TooLargeEventError   an event that the data channel cannot carry; names both sizes

Knows status codes. Does not know when they are raised.
"""

from __future__ import annotations

from typing import Any

from server.errors import ServerError


class CallError(ServerError):
    """Root of what ends or refuses a call."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code or type(self).code

    def body(self) -> dict[str, Any]:
        """Returns the error as the API's HTTP replies carry it, with the field concerned."""
        error = super().body()["error"]
        return {"error": {**error, "param": self.param}}


class OfferError(CallError):
    """The offer, or the session beside it, cannot be used."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_offer"


def reason_of(error: Exception) -> str:
    """Returns what an exception of somebody else's code says; many say nothing but their name."""
    return str(error) or type(error).__name__


class OfferTooLargeError(CallError):
    """The request is larger than it may be."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class OfferTypeError(CallError):
    """The request's body is of a type that is not taken."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_content_type"


class NoSuchCallError(CallError):
    """There is no such call, or it belongs to somebody else."""

    status = 404
    type = "invalid_request_error"
    code = "call_not_found"


class RenegotiationError(CallError):
    """A call keeps the tracks of its first offer."""

    status = 400
    type = "invalid_request_error"
    code = "renegotiation_unsupported"


class ConnectTimeoutError(CallError):
    """The peer did not connect in time."""

    code = "call_not_connected"


class CallLostError(CallError):
    """The connection to the peer broke or was closed by it."""

    code = "call_lost"


class HungUpError(CallError):
    """The call was ended by request, or with the server."""

    code = "call_ended"


class FloodError(CallError):
    """The peer sends more than the call can take."""

    type = "invalid_request_error"
    code = "too_much_input"


class CallOverError(CallError):
    """The call has ended, for whatever reason."""


class CallFullError(CallError):
    """One more line into a call than may be."""

    status = 503
    code = "call_full"


class CameraError(CallError):
    """A camera that is not watched, and why; the call goes on."""

    type = "invalid_request_error"
    code = "camera_off"


class TooLargeEventError(CallError):
    """A server event that is larger than the peer's data channel takes."""

    code = "event_too_large"

    def __init__(self, kind: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"a {kind} of {size_bytes} bytes is larger than the {limit_bytes} that your data "
            "channel takes (a=max-message-size)"
        )
