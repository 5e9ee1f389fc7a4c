"""How much of a reply's text was heard when so many milliseconds of its speech were.

Knows when the Talker took each token's vector, counted in codes. Does not know the codec's sound:
which code carries which phoneme is inside the Talker, so the answer is an approximation:

- A Talker that asks for text as it speaks (checkpoints with an advance token) takes a token when it
  is about to say it, `lead_tokens` ahead at most. Heard is what was taken before the last heard
  code, less the lead.
- The published Talker takes one vector a code from the start, long before it says them. Heard is
  the share of the speech that was heard, in tokens; while the length is not known yet, speech is
  taken to say `TOKENS_PER_S`. Never more than was taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

# Text tokens that English speech uses in a second.
TOKENS_PER_S = 4.0


@dataclass(slots=True)
class HeardMap:
    """What is needed to answer, collected while the reply is spoken.

    Args:
        codes_per_s: codes that make a second of speech.
        lead_tokens: how far ahead of its voice a Talker that asks for text takes it.
        asks: the Talker asks for text as it speaks.
    """

    codes_per_s: float
    lead_tokens: int
    asks: bool
    taken_at: list[int] = field(default_factory=list)
    codes: int = 0
    ended: bool = False

    def took_token(self) -> None:
        """Notes that the Talker took the next token's vector now."""
        self.taken_at.append(self.codes)

    def spoke_code(self) -> None:
        """Notes one more code that becomes sound."""
        self.codes += 1

    def tokens(self, heard_ms: int) -> int:
        """Returns how many of the reply's tokens were heard in its first `heard_ms`."""
        heard_codes = min(heard_ms / 1000 * self.codes_per_s, float(self.codes))
        if heard_codes <= 0:
            return 0
        if self.ended and heard_codes == self.codes:
            return len(self.taken_at)
        taken = sum(at < heard_codes for at in self.taken_at)
        if self.asks:
            return max(0, taken - self.lead_tokens)
        if self.ended:
            return min(taken, math.ceil(heard_codes / self.codes * len(self.taken_at)))
        return min(taken, math.ceil(heard_codes / self.codes_per_s * TOKENS_PER_S))
