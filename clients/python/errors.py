"""What can go wrong for somebody who talks to a server.

ClientError
├── SourceError        a sound file or microphone that cannot be used
├── ConnectionFailed   no server there, or the connection ended
├── ServerSaidError    the server sent an `error` event
└── NoSpeechError      the server heard no speech in what was sent
"""

from __future__ import annotations


class ClientError(Exception):
    """Root of everything the client raises on purpose; the message is for people."""


class SourceError(ClientError):
    """A sound file or device that cannot be used; names it and what was expected."""


class ConnectionFailed(ClientError):  # noqa: N818 - the name says what happened
    """No connection could be made, or it ended before the turn did."""


class ServerSaidError(ClientError):
    """An `error` event, or a reply that failed.

    Attributes:
        code: The server's code for it, or its type when it has none.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"the server says: {message} ({code})")
        self.code = code


class NoSpeechError(ClientError):
    """The whole question was sent and the server never said that it heard speech."""
