"""What the gateway refuses before or beside a session, and how it says so over HTTP.

    ServerError
    ├── SettingsError       a flag or environment variable that cannot be used
    ├── UnknownModelError   a model this server does not serve (404)
    ├── IntentError         a kind of session that is not served; names it (400)
    ├── NotReadyError       the engine is starting, or was lost and is coming back (503)
    ├── DrainingError       the server is about to end and takes nobody new (503)
    ├── FullError           every seat is taken; names the limit (503)
    ├── TooManyOpenError    one client has as many open as it may; names the limit (429)
    ├── UnauthorizedError   no key, or one that is not known here (401)
    ├── ForbiddenOriginError  a page of another origin; names it (403)
    ├── ForbiddenHostError  a name that is not this server's; names it (403)
    ├── RequestTimeoutError a body that takes too long to arrive; names the limit (408)
    ├── TooFastError        more openings a minute than one client may have (429)
    ├── TooManySecretsError  as many client secrets are in force as may be (503)
    ├── IdleError           a session in which nothing was said for too long; names the limit
    ├── SessionExpiredError a session that has lasted as long as it may; names the limit
    ├── SessionGoneError    a session whose client has left, or did not come back in time
    ├── TakenOverError      a connection whose conversation another one has resumed
    ├── BadResumeError      a resume that means nothing; names what is wrong (400)
    ├── ServerEndsError     a session that was still open when the server ended
    ├── ContextFullError    a prompt that is longer than the model's context (400)
    ├── EngineLostError     the engine lost this conversation, or itself ended
    └── SlowReaderError     a peer that does not read what it asked for; names the limit

Knows status codes and the Realtime API's error object. Does not know sockets.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4


class ServerError(Exception):
    """Root of what the gateway raises on purpose."""

    status = 500
    type = "server_error"
    code = "server_error"

    def body(self) -> dict[str, Any]:
        """Returns the error as the API's HTTP replies carry it."""
        error = {"message": str(self), "type": self.type, "code": self.code, "param": None}
        return {"error": error}

    def event(self) -> dict[str, Any]:
        """Returns the error as a Realtime server event."""
        error = {**self.body()["error"], "event_id": None}
        return {"type": "error", "event_id": f"event_{uuid4().hex}", "error": error}


class SettingsError(ServerError):
    """A flag or variable that cannot be used; names it, its value and what is allowed."""


class UnknownModelError(ServerError):
    """The request names a model that is not served here."""

    status = 404
    type = "invalid_request_error"
    code = "model_not_found"


class IntentError(ServerError):
    """The request is for a kind of session that is not served here."""

    status = 400
    type = "invalid_request_error"
    code = "unsupported_value"


class NotReadyError(ServerError):
    """The engine does not take conversations at this moment."""

    status = 503
    code = "engine_not_ready"


class DrainingError(ServerError):
    """The server is about to end: it takes nobody new."""

    status = 503
    code = "server_draining"


class FullError(ServerError):
    """A limit on what is open at the same time is reached."""

    status = 503
    code = "server_full"


class UnauthorizedError(ServerError):
    """The client has no key, or one that is not known here."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class ForbiddenOriginError(ServerError):
    """The request comes from a page that may not use this server."""

    status = 403
    type = "invalid_request_error"
    code = "origin_not_allowed"


class ForbiddenHostError(ServerError):
    """The request names a host that this server is not."""

    status = 403
    type = "invalid_request_error"
    code = "host_not_allowed"


class RequestTimeoutError(ServerError):
    """The body of a request did not arrive in time."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"


class TooFastError(ServerError):
    """One address or one key asks for more than its share of a minute."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class TooManyOpenError(ServerError):
    """One address or one key has as many conversations open as it may; others find a seat."""

    status = 429
    type = "rate_limit_error"
    code = "too_many_conversations"


class TooManySecretsError(ServerError):
    """As many client secrets are in force as may be."""

    status = 503
    code = "too_many_client_secrets"


class IdleError(ServerError):
    """Nothing was said in a session for as long as that may be."""

    type = "invalid_request_error"
    code = "session_idle"


class ContextFullError(ServerError):
    """What was asked does not fit into the model's context."""

    status = 400
    type = "invalid_request_error"
    code = "context_length_exceeded"


class EngineLostError(ServerError):
    """The engine lost this conversation; a new one can be opened."""

    status = 503
    code = "engine_lost"


class SessionExpiredError(ServerError):
    """A session reached its `expires_at`; a new one can be opened."""

    type = "invalid_request_error"
    code = "session_expired"


class SessionGoneError(ServerError):
    """The client of a resumable session has left, or did not come back in time."""

    type = "invalid_request_error"
    code = "session_gone"


class TakenOverError(ServerError):
    """Another connection has resumed the conversation; it can only have one."""

    type = "invalid_request_error"
    code = "taken_over"


class BadResumeError(ServerError):
    """A request to resume that cannot be read, or asks for events that never were."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class ServerEndsError(ServerError):
    """The server ended while the session was open; a new one can be opened elsewhere."""

    status = 503
    code = "server_ended"


class SlowReaderError(ServerError):
    """The peer reads more slowly than the limit allows; its connection is ended."""

    code = "slow_reader"
