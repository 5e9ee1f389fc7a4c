"""Errors of the turn detector."""


class TurnsError(ValueError):
    """Base of what turn detection raises."""


class TurnSettingsError(TurnsError):
    """A setting is outside its range; the message names setting and range."""
