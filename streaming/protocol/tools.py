"""Function tools: what a client may declare and choose, and how the model is told of them.

Knows the flat form of the API and the nested one of the model's chat template. Does not know calls.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import Field

from streaming.protocol.commands import ToolChoice
from streaming.protocol.errors import CapabilityError, ProtocolError
from streaming.protocol.validation import Wire, shown, validated

Object: TypeAlias = dict[str, Any]

_PLAIN_CHOICES = ("auto", "none", "required")


class FunctionTool(Wire):
    """A function that a reply may call; clients may leave its type out."""

    type: Literal["function"] = "function"
    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str | None = None
    parameters: Object | None = None


class FunctionChoice(Wire):
    """The one function that a reply must call."""

    type: Literal["function"]
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Tools as the engine takes them: JSON texts, and what must be called."""

    texts: tuple[str, ...] = ()
    choice: ToolChoice = "auto"
    function: str | None = None


def parsed_tools(
    tools: list[Object], tool_choice: str | Object, *, under: str, may_come: bool = False
) -> Tools:
    """The tools of a session or response and the choice among them.

    Where tools `may_come` later, "required" waits for them: kits set their options first.

    Raises:
        ProtocolError: A tool that is wrong or not served, or a choice that is not among them.
    """
    place = f"{under}." if under else ""
    functions = [_function(tool, f"{place}tools[{i}]") for i, tool in enumerate(tools)]
    names = [function.name for function in functions]
    for index, name in enumerate(names):
        if name in names[:index]:
            param = f"{place}tools[{index}].name"
            raise ProtocolError("invalid_value", f"Two tools are named '{name}'.", param)
    if may_come and tool_choice == "required" and not names:
        tool_choice = "auto"
    choice, function_name = _chosen(tool_choice, names, f"{place}tool_choice")
    texts = tuple(map(_text, functions))
    return Tools(texts=texts, choice=choice, function=function_name)


def kept_choice(choice: str | Object, tools: list[Object]) -> str | Object:
    """A choice that was made among other tools; "auto" if it is not to be had among these."""
    if isinstance(choice, dict):
        return choice if choice["name"] in [tool.get("name") for tool in tools] else "auto"
    return choice


def _function(tool: Object, param: str) -> FunctionTool:
    kind = tool.get("type")
    if kind == "mcp":
        raise CapabilityError("Tools of type 'mcp' are not served; 'function' is.", f"{param}.type")
    return validated(FunctionTool, tool, under=param)


def _chosen(choice: str | Object, names: list[str], param: str) -> tuple[ToolChoice, str | None]:
    if isinstance(choice, dict):
        wanted = validated(FunctionChoice, choice, under=param).name
        if wanted not in names:
            known = ", ".join(map(repr, names)) or "none"
            message = f"Invalid value: {shown(wanted)}. The tools are: {known}."
            raise ProtocolError("invalid_value", message, f"{param}.name")
        return "required", wanted
    if choice not in _PLAIN_CHOICES:
        choices = ", ".join(map(repr, _PLAIN_CHOICES))
        message = f"Invalid value: {shown(choice)}. Supported values are: {choices}."
        raise ProtocolError("invalid_value", message, param)
    if choice == "required" and not names:
        raise ProtocolError("invalid_value", "'required' needs at least one tool.", param)
    if choice == "auto":
        return "auto", None
    return ("none" if choice == "none" else "required"), None


def _text(function: FunctionTool) -> str:
    """The function as the chat template's `tojson` writes it."""
    described = function.model_dump(exclude={"type"}, exclude_none=True)
    return json.dumps({"type": "function", "function": described}, ensure_ascii=False)
