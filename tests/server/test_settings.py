"""Settings: flags before environment before defaults, and every bad value named."""

import os
import sys
from pathlib import Path

import pytest

from server.engine import new_engine
from server.errors import SettingsError
from server.settings import ENV_PREFIX, Settings, engine_environment, load_settings


def test_a_flag_goes_before_the_environment_and_that_before_the_default(monkeypatch):
    monkeypatch.setenv("OMNILIVE_PORT", "9001")
    monkeypatch.setenv("OMNILIVE_DEVICE", "cuda:1")
    settings = load_settings(port="9002", host=None)
    assert (settings.port, settings.device, settings.host) == (9002, "cuda:1", "127.0.0.1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "70000"),
        ("port", "ninety"),
        ("device", "tpu"),
        ("dtype", "int4"),
        ("max_conversations", "0"),
        ("send_timeout_s", "-1"),
        ("max_event_bytes", "1"),
        ("drain_timeout_s", "-1"),
        ("model", ""),
        ("seed", "-1"),
        ("seed", str(2**63)),
        ("log_level", "loud"),
    ],
)
def test_a_bad_value_names_flag_variable_and_value(monkeypatch, name, value):
    for give in ("flag", "variable"):
        with monkeypatch.context() as patch:
            if give == "variable":
                patch.setenv(f"{ENV_PREFIX}{name.upper()}", value)
            with pytest.raises(SettingsError) as failure:
                load_settings(**({name: value} if give == "flag" else {}))
        told = str(failure.value)
        assert f"--{name.replace('_', '-')} / {ENV_PREFIX}{name.upper()}: {value!r}" in told


def test_all_bad_values_are_told_at_once():
    with pytest.raises(SettingsError) as failure:
        load_settings(port="x", device="y")
    assert "--port" in str(failure.value)
    assert "--device" in str(failure.value)


def test_a_misspelt_variable_is_not_ignored(monkeypatch):
    monkeypatch.setenv("OMNILIVE_PROT", "9001")
    with pytest.raises(SettingsError, match=r"OMNILIVE_PROT: no such setting.*OMNILIVE_PORT"):
        load_settings()


def test_every_setting_says_what_it_is():
    assert all(field.description for field in Settings.model_fields.values())


def test_the_engines_threads_sleep_while_they_wait_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert engine_environment() == {**os.environ, "GOMP_SPINCOUNT": "1000"}
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert engine_environment()["GOMP_SPINCOUNT"] == "7"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_engine_process_has_that_environment(tiny_server):
    environment = Path(f"/proc/{tiny_server.engine_pid()}/environ").read_bytes().split(b"\0")
    spins = engine_environment()["GOMP_SPINCOUNT"]
    assert f"GOMP_SPINCOUNT={spins}".encode() in environment


def test_how_long_an_engine_may_say_nothing_is_what_its_client_goes_by():
    told = load_settings(engine_silence_limit_s=6.0, engine_hang_timeout_s=7.0)
    client = new_engine(told)._settings
    assert (client.silence_limit_s, client.ping_timeout_s) == (6.0, 7.0)
