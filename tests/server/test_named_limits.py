"""Each limit is a setting: it stands in the error that it causes, and in a test."""

import inspect
import pkgutil
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
    if (name.startswith(("max_", "send_queue_", "resume_")) or name.endswith("_timeout_s"))
    and name not in SILENT
)
# What the API itself fixes for everybody is no setting.
FIXED = {"min_commit_ms", "max_id_chars"}
# Shares of the context, and the pace of a camera: these thin, and refuse nothing.
THINNING = {"frames_per_second", "filmed_turn_tokens", "quiet_video_tokens"}

DECLARING = ("settings.py", "call_settings.py", "options.py")


def source(package):
    root = Path(inspect.getfile(package)).parent
    files = [file for file in root.rglob("*.py") if file.name not in DECLARING]
    assert len(files) > len(list(pkgutil.iter_modules(package.__path__)))
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


SOURCE = source(server) + source(streaming)
TESTS = "\n".join(
    file.read_text(encoding="utf-8")
    for file in Path(__file__).parents[1].rglob("test_*.py")
    if file != Path(__file__)
)


def test_a_limit_of_the_protocol_is_a_setting():
    bounds = {field.name for field in fields(Limits)}
    assert bounds - FIXED - THINNING <= set(LIMITS)


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_named_in_its_error_and_has_a_test(name):
    # Either it stands in the sentence, or it is given to what makes the sentence.
    assert f"({name})" in SOURCE or f'"{name}"' in SOURCE
    assert name in TESTS
