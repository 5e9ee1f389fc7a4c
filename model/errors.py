"""What can be wrong with what a caller gives to `model`.

    ModelError
    ├── ConfigError        a config.json that does not describe a model we can build
    ├── CheckpointError    weights, tokenizer or voices that do not fit the config
    ├── InputError         samples, pixels, ids or messages the networks cannot take
    └── ContextFullError   a sequence that outgrew its KV cache

Knows the errors and nothing else. A broken invariant of our own is an `assert`, never one of these.
"""


class ModelError(Exception):
    """Anything that a caller of `model` can get wrong."""


class ConfigError(ModelError):
    """A missing, unknown or impossible figure; the message names key, value and choices."""


class CheckpointError(ModelError):
    """Files that are absent or do not fit the config; the message lists all of them at once."""


class InputError(ModelError):
    """Media, text or ids that a network does not take; the message names value and limit."""


class ContextFullError(ModelError):
    """A slot of the KV cache has no room for what should be appended.

    Args:
        wanted_tokens: the length the slot would have had.
        capacity_tokens: the length it can have.
    """

    def __init__(self, *, wanted_tokens: int, capacity_tokens: int) -> None:
        super().__init__(
            f"context is full: {wanted_tokens} positions wanted, capacity is {capacity_tokens}"
        )
        self.wanted_tokens = wanted_tokens
        self.capacity_tokens = capacity_tokens
