"""The Compose files: valid, and with settings that the server takes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from server.gateway import LAST_WORDS_S
from server.listener import GRACE_S
from streaming.engine.settings import ClientSettings
from tests.deploy.places import COMPOSE, PROMETHEUS, env_file, read_yaml, settings_of

FILES = ("compose.yaml", "compose.turn.yaml", "compose.gpu.yaml")
SAID = {"PUBLIC_ADDRESS": "203.0.113.7", "TURN_SECRET": "long and random"}


def filled_in(text):
    """A value as Compose reads it: with what `.env` says, or with its default."""
    return re.sub(
        r"\$\{(\w+)(?::[-?]([^}]*))?\}", lambda found: SAID.get(found[1]) or found[2], str(text)
    )


def environment(file):
    service = read_yaml(COMPOSE / file)["services"]["omnilive"]
    return {name: filled_in(value) for name, value in service.get("environment", {}).items()}


@pytest.mark.parametrize("file", FILES)
def test_it_is_a_compose_file(file):
    tool = Path(sys.executable).with_name("check-jsonschema")
    checked = subprocess.run(
        [tool, "--builtin-schema", "vendor.compose-spec", COMPOSE / file],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout


def test_the_server_takes_its_environment(monkeypatch):
    given = {name: value for file in FILES for name, value in environment(file).items()}
    settings = settings_of(monkeypatch, {**given, **env_file(COMPOSE / "example.server.env")})
    assert settings.turn_url == "turn:203.0.113.7:3478?transport=udp"
    assert settings.turn_secret == SAID["TURN_SECRET"]
    ending_s = LAST_WORDS_S + GRACE_S + ClientSettings().stop_timeout_s
    grace = read_yaml(COMPOSE / "compose.yaml")["services"]["omnilive"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > settings.drain_timeout_s + ending_s


def test_a_server_whose_engine_stays_away_is_restarted(monkeypatch):
    """Compose starts again what has ended, whatever its health check says."""
    assert settings_of(monkeypatch, environment("compose.yaml")).end_without_engine
    assert read_yaml(COMPOSE / "compose.yaml")["services"]["omnilive"]["restart"] != "no"


def test_prometheus_finds_the_metrics(monkeypatch):
    settings = settings_of(monkeypatch, environment("compose.yaml"))
    jobs = read_yaml(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    (targets,) = [job["static_configs"] for job in jobs if job["job_name"] == "omnilive"]
    assert targets == [{"targets": [f"omnilive:{settings.metrics_port}"]}]


@pytest.mark.parametrize("file", FILES)
def test_whatever_is_mounted_from_here_is_here(file):
    for service in read_yaml(COMPOSE / file)["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (COMPOSE / source).exists(), source


def test_what_the_examples_name_is_asked_for():
    text = "".join((COMPOSE / file).read_text() for file in FILES)
    for name in env_file(COMPOSE / "example.env"):
        assert f"${{{name}" in text


def test_the_relay_keeps_out_of_the_composes_network():
    (pool,) = read_yaml(COMPOSE / "compose.yaml")["networks"]["default"]["ipam"]["config"]
    start = pool["subnet"].removesuffix("0/24")
    conf = (COMPOSE / "turnserver.conf").read_text().splitlines()
    assert f"denied-peer-ip={start}0-{start}255" in conf
    # But for itself: two ends that both have a relay of it meet there.
    itself = read_yaml(COMPOSE / "compose.turn.yaml")["services"]["turn"]["networks"]["default"]
    allowed = [line for line in conf if line.startswith("allowed-peer-ip")]
    assert allowed == [f"allowed-peer-ip={itself['ipv4_address']}"]
    assert itself["ipv4_address"].startswith(start)


def test_the_relays_ports_are_published():
    conf = (COMPOSE / "turnserver.conf").read_text()
    low, high = (re.search(rf"{end}-port=(\d+)", conf)[1] for end in ("min", "max"))
    ports = read_yaml(COMPOSE / "compose.turn.yaml")["services"]["turn"]["ports"]
    assert f"{low}-{high}:{low}-{high}/udp" in ports
