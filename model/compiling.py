"""How loops are compiled on a CPU, for the few places where plain operations are too slow.

Knows the compiler's options and whether there is one. Does not know what is compiled.
"""

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_log = logging.getLogger("omnilive.compiling")

# A product and a sum become one instruction where the processor has it.
OPTIONS: dict[str, str | int | bool | Callable[..., Any]] = {
    "cpp.enable_floating_point_contract_flag": "fast"
}


def has_compiler(what: str) -> bool:
    """Tells whether there is a C++ compiler; says in the log what runs uncompiled without it."""
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        _log.warning("no C++ compiler found: %s uncompiled", what)
        return False
    return True


@contextmanager
def compiling() -> Iterator[None]:
    """Surrounds the first run of something compiled."""
    with warnings.catch_warnings():
        # The compiler imports what its own authors deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
