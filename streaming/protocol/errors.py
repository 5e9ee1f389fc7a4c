"""The client's mistakes, as exceptions inside the protocol and as `error` events outside.

    ProtocolError           code, message, param; its event type is "invalid_request_error"
    ├── CapabilityError     a right request that this model or version does not serve
    └── NoSuchItemError     an item id that the conversation does not hold

Raised below `RealtimeSession.receive_event` and turned into an event there: nothing of this leaves
the package as an exception.
"""

from __future__ import annotations


class ProtocolError(Exception):
    """A client event that cannot be carried out.

    Attributes:
        code: The machine's word, OpenAI's own wherever there is one.
        message: What is wrong, with the offending value and what would be right.
        param: Path of the offending field, such as "session.audio.input.format.rate".
    """

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


class CapabilityError(ProtocolError):
    """Asked for something that exists in the API but not here; the message says what does."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__("unsupported_value", message, param)


class NoSuchItemError(ProtocolError):
    """An event names an item that the client cannot know."""

    def __init__(self, verb: str, item_id: str) -> None:
        super().__init__(
            f"item_{verb}_invalid_item_id",
            f"Cannot {verb} item: the item with id '{item_id[:64]}' does not exist.",
            "item_id",
        )
