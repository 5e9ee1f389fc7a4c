"""Brings the settings that the chart takes up to date: `python deploy/helm/settings.py`.

Every setting of the server can be given in the chart's values under `settings`, but for those that
the chart gives itself. A misspelt one is refused by values.schema.json, which this writes.
"""

import json
from pathlib import Path

from server.settings import Settings

SCHEMA = Path(__file__).parent / "omnilive" / "values.schema.json"
# Given by other values (templates/_environment.tpl), or by the image.
OWN = {
    "admin_key",
    "allowed_origins",
    "api_keys",
    "device",
    "drain_timeout_s",
    "engine_start_timeout_s",
    "host",
    "metrics_host",
    "metrics_port",
    "model",
    "port",
    "stun_url",
    "turn_credential",  # turn.secret makes users of its own
    "turn_secret",
    "turn_url",
    "turn_username",
}


def main() -> None:
    """Writes the names."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    names = sorted(set(Settings.model_fields) - OWN)
    schema["properties"]["settings"]["propertyNames"]["enum"] = names
    SCHEMA.write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
