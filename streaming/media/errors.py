"""Errors of media: bytes or files that are not the audio they should be.

MediaError
├── CodecError     bytes that are no whole number of samples
└── WavError       a file that cannot be read as speech; names the file and what is wrong
"""


class MediaError(ValueError):
    """Base of what reading and converting audio raises."""


class CodecError(MediaError):
    """Bytes that are no whole number of samples."""


class WavError(MediaError):
    """A file that cannot be used; the message names it, what is wrong and what would do."""
