"""What can keep a bench from giving a figure.

BenchError
├── ReferenceMissingError   `transformers` is not installed
└── SilentReplyError        the reply has no speech to measure
"""


class BenchError(Exception):
    """Root of what a bench raises on purpose."""


class ReferenceMissingError(BenchError):
    """The library that a bench compares with is not installed; says how to get it."""


class SilentReplyError(BenchError):
    """The model answered without speech, so there is nothing to time."""
