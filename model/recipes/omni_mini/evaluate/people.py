"""Readings by people, for measuring only: they lie in a package that whoever wants them installs.

Knows where they are. Does not know what is measured with them.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

PACKAGE = "moonshine_voice"
RECORDINGS = ("beckett.wav", "endgame_nagg_nell.wav", "two_cities.wav")


def are_there() -> bool:
    """Tells whether the package is installed."""
    return importlib.util.find_spec(PACKAGE) is not None


def recordings_by_people() -> Sequence[Path]:
    """Returns their files, which are there without importing the package: it wants much else.

    Raises:
        FileNotFoundError: The package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            f"package {PACKAGE} is not installed: {', '.join(RECORDINGS)} are in it"
        )
    assets = Path(spec.submodule_search_locations[0]) / "assets"
    return [assets / name for name in RECORDINGS]
