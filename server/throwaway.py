"""Settings of a server that a command starts for itself and ends again: the demo's, a bench's.

Knows what such a server does not take from the environment, which speaks of the server that stays.
Does not know what it is started for.
"""

from __future__ import annotations

from typing import Any

from server.settings import Settings, load_settings

# Ports of its own, so that a server that runs already is left alone; none of that one's keys; and
# nothing that only matters where somebody else ends the server, or it outlives its engine.
OWN: dict[str, Any] = {
    "port": 0,
    "metrics_port": None,
    "metrics_host": None,
    "log_level": "warning",
    "api_keys": None,
    "end_without_engine": False,
    "drain_timeout_s": 0.0,
}


def throwaway_settings(**told: Any) -> Settings:
    """Builds those of a server that nobody else reaches or watches, whatever the environment says.

    Args:
        told: Settings by name; here None is a value like any other.

    Raises:
        SettingsError: A value cannot be used; every one of them is named.
    """
    alone = {"host": "127.0.0.1", "otlp_endpoint": None}
    return load_settings(**told).model_copy(update=OWN | alone | told)
