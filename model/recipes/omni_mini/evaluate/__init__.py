"""How well omni-mini speaks and hears, measured by an independent recogniser and never tuned on."""
