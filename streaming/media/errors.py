"""Errors of media: bytes or files that are not the audio they should be.

MediaError
├── CodecError        bytes that are no whole number of samples, or no packet of their codec
├── FrameError        a picture that cannot be used, or is beyond a limit; names it
└── PlayoutFullError  more speech waits to be played than may; names the limit
"""


class MediaError(ValueError):
    """Base of what reading and converting audio raises."""


class CodecError(MediaError):
    """Bytes that are no whole number of samples, or no packet of their codec."""


class FrameError(MediaError):
    """A picture that cannot be used; the message says why, and names the limit if it is one.

    Attributes:
        code: why, for machines.
    """

    def __init__(self, message: str, *, code: str = "invalid_image") -> None:
        super().__init__(message)
        self.code = code


class PlayoutFullError(MediaError):
    """More speech waits to be played than may; the message names the limit."""
