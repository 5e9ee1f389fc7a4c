"""The input of a response outside the conversation: items of its own, and ids of others.

Knows what a client may list there. Does not know what the response makes of it.
"""

from __future__ import annotations

from typing import Any

from streaming.media.formats import AudioFormat
from streaming.protocol.client_events import ResponseParams
from streaming.protocol.errors import ProtocolError
from streaming.protocol.item_creation import ItemCreation, Made
from streaming.protocol.shared import Shared
from streaming.protocol.validation import shown


class ResponseInput:
    """Reads `response.input`."""

    def __init__(self, shared: Shared, creation: ItemCreation) -> None:
        self._history = shared.history
        self._creation = creation
        self._limits = shared.limits

    def of(self, params: ResponseParams, wire: AudioFormat) -> tuple[Made | str, ...] | None:
        """The items that are listed, whose audio is in `wire`; None if none are.

        Raises:
            ProtocolError: There are too many, or one is wrong or not there.
        """
        if params.input is None:
            return None
        limit = self._limits.max_input_items
        if len(params.input) > limit:
            raise ProtocolError(
                "array_above_max_length",
                f"Invalid 'response.input': {len(params.input)} items, expected at most {limit} "
                "(max_input_items).",
                "response.input",
            )
        return tuple(
            self._item(item, wire, f"response.input[{index}]")
            for index, item in enumerate(params.input)
        )

    def _item(self, item: dict[str, Any], wire: AudioFormat, param: str) -> Made | str:
        # The API knows the type "item_reference", and a message that is nothing but an id.
        if item.get("type") == "item_reference" or set(item) == {"id"}:
            item_id = item.get("id")
            if not isinstance(item_id, str) or self._history.find(item_id) is None:
                message = f"Item with id {shown(item_id)} not found in conversation."
                raise ProtocolError("item_not_found", message, f"{param}.id")
            return item_id
        return self._creation.aside(item, wire, under=param)
