"""Settings: flags before environment before defaults, and every bad value named."""

import pytest

from server.errors import SettingsError
from server.settings import ENV_PREFIX, Settings, load_settings


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
