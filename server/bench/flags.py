"""Options of a bench as flags of its command: one a field, with the words that stand beside it.

Knows typer and dataclasses whose fields are annotated with a `typer.Option`. So each option has its
name, its bounds, its default and its meaning in one place, and none can be forgotten on the way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_type_hints

import typer

from server.bench.errors import OptionError


def takes(word: str, kind: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turns `command(options, …)` into a command with a flag for each field of `kind`.

    Options that do not go together end the program with status 1 and the words of their
    `OptionError`.

    Args:
        word: What the command is called behind `omnilive bench`.
        kind: A dataclass, each of whose fields has a default and a `typer.Option`.
    """
    hints = get_type_hints(kind, include_extras=True)
    flags = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

        def with_flags(**values: Any) -> None:
            told = {flag.name: values.pop(flag.name) for flag in flags}
            try:
                options = kind(**told)
            except OptionError as error:
                typer.echo(f"omnilive bench {word}: {error}", err=True)
                raise typer.Exit(1) from None
            command(options, **values)

        flagged: Any = with_flags
        flagged.__name__, flagged.__doc__ = command.__name__, command.__doc__
        flagged.__signature__ = inspect.Signature([*flags, *own])  # what typer reads
        result: Callable[..., None] = flagged
        return result

    return decorate
