"""Function calls in the text of a reply, as Qwen2.5's chat template writes them.

    <tool_call>
    {"name": "weather", "arguments": {"city": "Paris"}}
    </tool_call>

Knows this form in both directions, and how to take it apart while it is being written. Does not
know tokens, or what a function does. What looks like a call and is none stays text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_RESULT_OPEN, _RESULT_CLOSE = "<tool_response>", "</tool_response>"

# What the published template says of tools in the system message, around their descriptions.
_TOOLS_HEAD = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
_TOOLS_TAIL = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
    "within <tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
)
_BEGINNING = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\{)')


def system_text(instructions: str, tools: Sequence[str]) -> str:
    """The system message: the instructions, then the tools as JSON texts."""
    if not tools:
        return instructions
    described = "".join(f"\n{tool}" for tool in tools)
    return "\n\n".join(filter(None, [instructions, _TOOLS_HEAD + described + _TOOLS_TAIL]))


def call_text(name: str, arguments: str) -> str:
    """A call; `arguments` is its JSON text."""
    return f'{OPEN}\n{{"name": {json.dumps(name)}, "arguments": {arguments}}}\n{CLOSE}'


def result_text(output: str) -> str:
    """What a function gave back."""
    return f"{_RESULT_OPEN}\n{output}\n{_RESULT_CLOSE}"


def opening_text(name: str) -> str:
    """What a call of this function begins with, up to the first of its arguments."""
    return f'{OPEN}\n{{"name": {json.dumps(name)}, "arguments": {{'


def tool_name(tool: str) -> str:
    """The name of the function that a tool's JSON text describes."""
    return str(json.loads(tool)["function"]["name"])


@dataclass(frozen=True, slots=True)
class CallDelta:
    """More of the `arguments` of call number `index`; the first of a call may have none yet."""

    index: int
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CallDone:
    """A call is over; one that is not complete was broken off in its arguments."""

    index: int
    name: str
    arguments: str
    complete: bool


CallEvent = CallDelta | CallDone


class Where(Enum):
    """What the text taken so far ends in."""

    TEXT = auto()
    PERHAPS = auto()  # the beginning of what may become a call's mark
    CALL = auto()  # behind a call's mark, its arguments not yet begun
    ARGUMENTS = auto()
    AFTER = auto()  # behind a call's arguments


class ToolCallParser:
    """Takes a reply's text, in any pieces, apart into words and calls.

    Args:
        single: There may be one call; what follows it is not taken.

    Attributes:
        where: What the text taken so far ends in.
        calls: The calls that are over, in order.
        no_words_since: There has been a call, and no words behind it yet.
    """

    def __init__(self, *, single: bool = False) -> None:
        self._single = single
        self.where = Where.TEXT
        self.calls: list[CallDone] = []
        self.no_words_since = False
        self._events: list[CallEvent] = []
        self._pending = ""
        self._name = ""
        self._arguments = ""
        self._depth = 0
        self._quoted = False
        self._escaped = False

    @property
    def is_over(self) -> bool:
        """Whether there is the one call that there may be."""
        return self._single and bool(self.calls)

    def push(self, text: str) -> str:
        """Takes more; returns what of it is words for certain."""
        self._pending += text
        words = ""
        while True:
            before = (self.where, len(self._pending))
            words += self._advance()
            if before == (self.where, len(self._pending)):
                return words

    def finish(self) -> str:
        """The reply is over; returns the words that were held back."""
        rest, self._pending = self._pending, ""
        where, self.where = self.where, Where.TEXT
        if where is Where.ARGUMENTS:
            self._end_call(complete=False)
        elif where is Where.CALL:
            return self._end_odd(rest, "")
        elif where in (Where.TEXT, Where.PERHAPS):
            return self._without_gap(rest)
        return ""

    def events(self) -> list[CallEvent]:
        """What was found of calls since the last time, in order."""
        events, self._events = self._events, []
        return events

    def _advance(self) -> str:
        if self.is_over:
            self._pending = ""
            return ""
        match self.where:
            case Where.CALL:
                return self._take_beginning()
            case Where.ARGUMENTS:
                self._take_arguments()
            case Where.AFTER:
                self._skip_to_close()
            case _:
                return self._take_words()
        return ""

    def _take_words(self) -> str:
        text = self._pending
        at = text.find(OPEN)
        if at >= 0:
            self._pending = text[at + len(OPEN) :]
            self.where = Where.CALL
            return self._without_gap(text[:at].rstrip("\n"))
        # A line break may belong to the template, if a call follows it.
        at = len(text.removesuffix("\n"))
        at = min(at, len(text) - _overlap(text, OPEN))
        at = len(text[:at].removesuffix("\n"))
        self._pending = text[at:]
        self.where = Where.PERHAPS if self._pending.strip("\n") else Where.TEXT
        return self._without_gap(text[:at])

    def _without_gap(self, words: str) -> str:
        """Leaves out the line breaks that follow a call."""
        if self.no_words_since:
            words = words.lstrip("\n")
            self.no_words_since = not words
        return words

    def _take_beginning(self) -> str:
        """Takes a call up to its arguments; returns it whole if it turns out to be none."""
        begun = _BEGINNING.match(self._pending)
        name = None if begun is None else _name(begun[1])
        if begun is not None and name is not None:
            self._name, self._arguments = name, ""
            self._depth, self._quoted, self._escaped = 0, False, False
            self._events.append(CallDelta(len(self.calls), self._name, ""))
            self._pending = self._pending[begun.end() :]
            self.where = Where.ARGUMENTS
        elif CLOSE in self._pending:
            body, _, self._pending = self._pending.partition(CLOSE)
            self.where = Where.TEXT
            return self._end_odd(body, CLOSE)
        return ""

    def _end_odd(self, body: str, close: str) -> str:
        """Ends a call whose fields do not stand in the usual order; one that is none is text."""
        call = _odd_call(body)
        if call is None:
            self.no_words_since = False
            return OPEN + body + close
        self._name, self._arguments = call
        self._events.append(CallDelta(len(self.calls), self._name, self._arguments))
        self._end_call(complete=True)
        self.where = Where.TEXT
        return ""

    def _take_arguments(self) -> None:
        """Takes characters up to the end of the JSON object that they are."""
        for place, character in enumerate(self._pending, start=1):
            if self._quoted:
                self._quoted = character != '"' or self._escaped
                self._escaped = character == "\\" and not self._escaped
            elif character == '"':
                self._quoted = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if not self._depth:
                    self._give_arguments(place)
                    self._end_call(complete=True)
                    self.where = Where.AFTER
                    return
        self._give_arguments(len(self._pending))

    def _give_arguments(self, count: int) -> None:
        more, self._pending = self._pending[:count], self._pending[count:]
        if more:
            self._arguments += more
            self._events.append(CallDelta(len(self.calls), self._name, more))

    def _skip_to_close(self) -> None:
        _, found, rest = self._pending.partition(CLOSE)
        if found:
            self._pending, self.where = rest, Where.TEXT

    def _end_call(self, *, complete: bool) -> None:
        done = CallDone(len(self.calls), self._name, self._arguments, complete)
        self.calls.append(done)
        self.no_words_since = True
        self._events.append(done)


def _name(quoted: str) -> str | None:
    """The function's name that a JSON text is; None if it is none."""
    try:
        name = json.loads(quoted)
    except ValueError:  # the model writes escapes that there are not
        return None
    return name if isinstance(name, str) and _is_unicode(name) else None


def _odd_call(body: str) -> tuple[str, str] | None:
    """The name and the arguments of a call with its fields in any order; None if it is none."""
    try:
        call = json.loads(body)
        name, arguments = call["name"], call.get("arguments", {})
        text = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
        if not _is_unicode(text):
            text = json.dumps(arguments)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    is_call = isinstance(name, str) and _is_unicode(name) and isinstance(arguments, dict)
    return (name, text) if is_call else None


def _is_unicode(text: str) -> bool:
    r"""Tells whether a text can be sent: JSON may name half a character ("\ud800")."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _overlap(text: str, mark: str) -> int:
    """How many characters at the end of `text` are the beginning of `mark`."""
    longest = min(len(text), len(mark) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(mark[:n])), 0)
