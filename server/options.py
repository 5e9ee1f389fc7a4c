"""The settings as options of a command: one flag a field, with the field's own words as help.

Knows typer and `Settings`. Every command that starts a server has the same flags this way, and
none can be forgotten: a command names those that it decides itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from functools import partial
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from server.errors import SettingsError
from server.settings import ENV_PREFIX, Settings, load_settings

Command = Callable[..., None]


def takes_settings(*, without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Turns `command(settings, …)` into a command with a flag for each setting.

    A value that cannot be used ends the program with status 2 and names itself.

    Args:
        without: Settings that have no flag, for the command decides them itself.
    """
    unknown = set(without) - set(Settings.model_fields)
    assert not unknown, f"no such settings: {unknown}"
    return partial(_with_flags, [n for n in Settings.model_fields if n not in without])


def _with_flags(names: Sequence[str], command: Command) -> Command:
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

    def with_flags(**values: Any) -> None:
        given = {name: values.pop(name) for name in names}
        try:
            settings = load_settings(**given)
        except SettingsError as error:
            typer.echo(f"omnilive: {error}", err=True)
            raise typer.Exit(2) from None
        command(settings, **values)

    flags = [_flag(name, Settings.model_fields[name]) for name in names]
    flagged: Any = with_flags
    flagged.__name__, flagged.__doc__ = command.__name__, command.__doc__
    flagged.__signature__ = inspect.Signature(own + flags)  # what typer reads
    result: Command = flagged
    return result


def _flag(name: str, field: FieldInfo) -> inspect.Parameter:
    default = "none" if field.default is None else field.default
    option = typer.Option(
        None,
        "--" + name.replace("_", "-"),
        help=f"{field.description} [env: {ENV_PREFIX}{name.upper()}; default: {default}]",
        metavar=_metavar(field.annotation),
        show_default=False,
    )
    # Every value stays text until pydantic has checked it: one judge, one wording.
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=option, annotation=str | None)


def _metavar(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    if get_origin(annotation) is UnionType:
        annotation = get_args(annotation)[0]
    return str(annotation.__name__).upper()
