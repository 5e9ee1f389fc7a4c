"""How both processes write their logs: as text or as JSON, each line with its conversation.

Knows what must not stand in a log unless somebody asks for it: what was said, and keys. Log calls
say codes, names of ours and numbers; here the rest is kept out, which is what exceptions say (their
messages may quote anything), and what other libraries say of their traffic. Does not know settings.
"""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Any, Literal

import orjson

LogFormat = Literal["text", "json"]

CONVERSATION: ContextVar[str | None] = ContextVar("omnilive_conversation", default=None)

# Of these, what is below a warning quotes frames, headers and paths with their queries.
TALKATIVE = ("uvicorn", "websockets", "aioice", "aiortc", "httpx", "python_multipart")


@contextlib.contextmanager
def of_conversation(conversation_id: str) -> Iterator[None]:
    """What is logged in the block is of this conversation."""
    token = CONVERSATION.set(conversation_id)
    try:
        yield
    finally:
        CONVERSATION.reset(token)


def start_logging(
    level: str, form: LogFormat, *, content: bool, stream: IO[str] | None = None
) -> logging.Handler:
    """Sends the logs of this process to a stream (None: standard error); returns what does it.

    Args:
        level: least level of our own lines; those of others are at least "info".
        form: of a line.
        content: whether exceptions may quote what was said.
        stream: where lines go.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter((JsonLines if form == "json" else TextLines)(content=content))
    least = logging.getLevelNamesMapping()[level.upper()]
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(max(least, logging.INFO))
    logging.getLogger("omnilive").setLevel(least)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(least, logging.WARNING))
    return handler


class Lines(logging.Formatter):
    """What a line has, whatever its form.

    Args:
        content: whether exceptions may say their messages.
    """

    def __init__(self, *, content: bool) -> None:
        super().__init__()
        self._content = content

    def message(self, record: logging.LogRecord) -> str:
        """Returns what is said; asyncio's own second line quotes a task with its exception."""
        said = record.getMessage()
        return said if self._content or record.name != "asyncio" else said.partition("\n")[0]

    def failure(self, record: logging.LogRecord) -> str | None:
        """Returns the frames and types of an exception; its message only if that may be said."""
        error = record.exc_info[1] if record.exc_info else None
        return None if error is None else "".join(_told(error, content=self._content)).rstrip()


class TextLines(Lines):
    """`time LEVEL logger [conversation]: message`, and frames on lines of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        conversation = CONVERSATION.get()
        where = "" if conversation is None else f" [{conversation}]"
        head = f"{self.formatTime(record)} {record.levelname} {record.name}{where}"
        lines = [f"{head}: {self.message(record)}", self.failure(record)]
        return "\n".join(line for line in lines if line is not None)


class JsonLines(Lines):
    """One object a line: `time`, `level`, `logger`, `message`; `conversation`, `error` if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.message(record),
            "conversation": CONVERSATION.get(),
            "error": self.failure(record),
        }
        return orjson.dumps({k: v for k, v in line.items() if v is not None}).decode()


def _told(error: BaseException, *, content: bool) -> Iterator[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _told(cause, content=content)
        yield "and then:\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__name__}: {error}\n" if content else f"{type(error).__name__}\n"
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield "of these:\n"
            yield from _told(inner, content=content)
