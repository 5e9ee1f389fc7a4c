"""What a loudspeaker of ours plays, and how late it is silent when somebody speaks into it.

Knows frames that can be heard and moments on a monotonic clock. Does not know replies.
"""

from __future__ import annotations


class Playing:
    """One loudspeaker.

    Attributes:
        response_id: The reply that it plays now.
    """

    def __init__(self) -> None:
        self.response_id: str | None = None
        self._last_sound_s: float | None = None
        self._onset_s: float | None = None

    def silence(self, onset_s: float) -> None:
        """What waited has been thrown out, for speech that began then."""
        self._onset_s = onset_s

    def played(self, *, audible: bool, now_s: float) -> float | None:
        """Takes a frame; with the first silence returns how long after the onset its sound went on.

        None if nobody has spoken into it.
        """
        if audible:
            self._last_sound_s = now_s
            return None
        if self._onset_s is None or self._last_sound_s is None:
            return None
        late_s = max(0.0, self._last_sound_s - self._onset_s)
        self._onset_s = None
        return late_s
