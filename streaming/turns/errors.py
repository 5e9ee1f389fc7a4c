"""Errors of the turn detector."""


class TurnsError(ValueError):
    """Base of what turn detection raises."""


class NoJudgeError(TurnsError):
    """The model that tells the end of a turn is not installed; says what is missing."""


class TurnSettingsError(TurnsError):
    """A setting is outside its range; the message names setting and range."""
