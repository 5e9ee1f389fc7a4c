"""The settings of a server that a command has for itself: what stays out of it."""

import pytest

from server.errors import SettingsError
from server.throwaway import throwaway_settings

FOR_THE_SERVER_THAT_STAYS = {
    "OMNILIVE_API_KEYS": "kkkkkkkkkkkk",
    "OMNILIVE_PORT": "8000",
    "OMNILIVE_HOST": "0.0.0.0",
    "OMNILIVE_METRICS_PORT": "9090",
    "OMNILIVE_METRICS_HOST": "0.0.0.0",
    "OMNILIVE_LOG_LEVEL": "debug",
    "OMNILIVE_MODEL": "another/one",
    "OMNILIVE_MAX_CONVERSATIONS_PER_KEY": "1",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name, value in FOR_THE_SERVER_THAT_STAYS.items():
        monkeypatch.setenv(name, value)


def test_ports_keys_and_addresses_are_not_those_of_the_environment():
    settings = throwaway_settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 0)
    assert (settings.metrics_port, settings.metrics_host) == (None, None)
    assert settings.api_keys is None
    assert settings.log_level == "warning"


def test_what_is_told_wins_and_none_is_told_too():
    settings = throwaway_settings(model=None, max_conversations_per_key=None, log_level="error")
    assert settings.model is None
    assert settings.max_conversations_per_key is None
    assert settings.log_level == "error"


def test_what_nobody_tells_is_still_the_environment_s(monkeypatch):
    monkeypatch.setenv("OMNILIVE_DEVICE", "cuda")
    assert throwaway_settings().device == "cuda"
    assert throwaway_settings(device="cpu").device == "cpu"


def test_what_is_told_is_checked():
    with pytest.raises(SettingsError, match="--max-conversations"):
        throwaway_settings(max_conversations=0)
