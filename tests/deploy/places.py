"""Where the files of a deployment are, and what the server says of the settings in them."""

from pathlib import Path

import yaml

from server.engine import new_engine
from server.gateway import Gateway
from server.settings import ENV_PREFIX, load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "omnilive"
COMPOSE = DEPLOY / "compose"
PROMETHEUS = DEPLOY / "prometheus"
DASHBOARDS = DEPLOY / "grafana" / "dashboards"


def read_yaml(path):
    return yaml.safe_load(path.read_text())


def settings_of(monkeypatch, environment):
    """The settings that a server with this environment has, if it starts with them."""
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            if name.startswith(ENV_PREFIX):
                patch.setenv(name, value)
        settings = load_settings()
    Gateway(settings=settings, engine=new_engine(settings))  # looks at keys and addresses
    return settings


def env_file(path):
    lines = [line.removeprefix("# ") for line in path.read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if "=" in line and " " not in line)
