"""What can keep a bench from giving a figure.

BenchError
├── ReferenceMissingError   `transformers` is not installed
├── SilentReplyError        the reply has no speech to measure
├── OptionError             options that do not go together, or reach where no bench may
├── ProcessError            a process that the bench started has ended, or does not answer
└── WarmUpError             the first caller, who is not counted, was not answered
"""


class BenchError(Exception):
    """Root of what a bench raises on purpose."""


class ReferenceMissingError(BenchError):
    """The library that a bench compares with is not installed; says how to get it."""


class SilentReplyError(BenchError):
    """The model answered without speech, so there is nothing to time."""


class OptionError(BenchError):
    """Options that cannot be used; names them and what is allowed."""


class ProcessError(BenchError):
    """A process of the bench is gone or says nothing; names it and its last words."""


class WarmUpError(BenchError):
    """Nobody is answered, so that there is nothing to measure; says how the warm-up ended."""
