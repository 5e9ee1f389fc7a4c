"""The errors of the real-time core.

    StreamingError
    ├── WireError             frames that are no message of streaming/engine/messages/
    ├── ConversationError     what one conversation asked for cannot be done; carries a code
    │   ├── UnknownItemError        an item id this conversation does not hold
    │   ├── DuplicateItemError      an item id it already holds
    │   ├── ItemStateError          the item or response is not in a state that allows it
    │   ├── BadPartError            a part whose role, samples or text cannot be used
    │   └── RefusedError            a limit of the engine is reached; names the limit
    └── EngineGoneError       the engine process ended, or did not become ready in time
        └── EngineLoadError         it said why it cannot load

`code` is what crosses the border in `EngineFault.code`; the message is for people.
"""

from __future__ import annotations


class StreamingError(Exception):
    """Root of everything the real-time core raises on purpose."""


class WireError(StreamingError):
    """Frames that are no known message, or a message that no frames can hold; names what is odd."""


class ConversationError(StreamingError):
    """A request that one conversation made and that cannot be done; touches no other."""

    code = "invalid_request"


class UnknownItemError(ConversationError):
    """The item id is not in this conversation."""

    code = "unknown_item"


class DuplicateItemError(ConversationError):
    """The item id is already in this conversation."""

    code = "duplicate_item"


class ItemStateError(ConversationError):
    """The item or response exists, but not in a state that allows the request."""

    code = "invalid_state"


class BadPartError(ConversationError):
    """A content part that cannot be used: samples that are not float32, a wrong role."""

    code = "invalid_content"


class RefusedError(ConversationError):
    """A limit of the engine is reached (conversations, context, queue); names the limit."""

    code = "capacity"


class EngineGoneError(StreamingError):
    """The engine process ended or did not become ready; names the exit status or the limit."""


class EngineLoadError(EngineGoneError):
    """The engine process could not load what it was started with; names what and why."""
