"""Function tools in the nested form of chat completions and of Qwen's dialect.

Knows how that form corresponds to the flat one of the Realtime API. What is wrong inside a function
is told by `tools`, which sees it next.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from streaming.protocol.errors import ProtocolError

Object: TypeAlias = dict[str, Any]


def flat_tool(tool: Object, param: str) -> Object:
    """A tool in the flat form, without `strict`, of which the model knows nothing.

    Raises:
        ProtocolError: It is not nested, or no function.
    """
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, dict):
        message = f"Invalid '{param}': expected {{'type': 'function', 'function': {{…}}}}."
        raise ProtocolError("invalid_value", message, param)
    return {"type": "function", **{k: v for k, v in function.items() if k != "strict"}}


def is_strict(tool: Object) -> bool:
    """Whether calls of a nested tool are to follow its schema without fail, which none here do."""
    function = tool.get("function")
    return isinstance(function, dict) and bool(function.get("strict"))


def nested_tool(tool: Object) -> Object:
    """The reverse."""
    return {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}


def flat_choice(choice: str | Object) -> str | Object:
    """A choice among the tools in the flat form."""
    if isinstance(choice, dict) and isinstance(choice.get("function"), dict):
        return {"type": "function", "name": choice["function"].get("name")}
    return choice
