"""Each limit is a setting: it stands in the error that it causes, and in a test; and each that
stands in an error is one."""

import ast
import inspect
import pkgutil
import re
from dataclasses import fields
from pathlib import Path

import pytest

import server
import streaming
from server.settings import Settings
from streaming.protocol.limits import Limits

# These cut something short, or bound a start, and cause no error of a client's.
SILENT = {"max_speech_s", "engine_start_timeout_s", "drain_timeout_s"}
LIMITS = sorted(
    name
    for name in Settings.model_fields
    if (name.startswith(("max_", "min_", "send_queue_", "resume_")) or name.endswith("_timeout_s"))
    and name not in SILENT
)
# Shares of the context, and the pace of a camera: these thin, and refuse nothing.
THINNING = {"frames_per_second", "filmed_turn_tokens", "quiet_video_tokens"}

DECLARING = ("settings.py", "call_settings.py", "engine_settings.py", "options.py")

# Of a function that reads files of ours.
NO_SETTINGS = {"max_seconds"}
NAMED = re.compile(r"\(([a-z]+(?:_[a-z]+)+)\)")


def sources(package):
    root = Path(inspect.getfile(package)).parent
    files = [file for file in root.rglob("*.py") if file.name not in DECLARING]
    assert len(files) > len(list(pkgutil.iter_modules(package.__path__)))
    return [file.read_text(encoding="utf-8") for file in files]


SOURCES = sources(server) + sources(streaming)
SOURCE = "\n".join(SOURCES)
TESTS = "\n".join(
    file.read_text(encoding="utf-8")
    for file in Path(__file__).parents[1].rglob("test_*.py")
    if file != Path(__file__)
)


def test_a_limit_of_the_protocol_is_a_setting():
    bounds = {field.name for field in fields(Limits)}
    assert bounds - THINNING <= set(LIMITS)


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_named_in_its_error_and_has_a_test(name):
    # Either it stands in the sentence, or it is given to what makes the sentence.
    assert f"({name})" in SOURCE or f'"{name}"' in SOURCE
    assert name in TESTS


def sentences(source):
    """The texts of a module that are no docstrings, those with values in them too."""
    tree = ast.parse(source)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def test_what_an_error_names_is_a_setting():
    named = {
        name for source in SOURCES for text in sentences(source) for name in NAMED.findall(text)
    }
    assert {"max_tools", "max_asides", "allowed_hosts", "context_tokens"} <= named
    assert named - NO_SETTINGS <= set(Settings.model_fields)


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_a_setting_has_a_test(name):
    assert name in TESTS
