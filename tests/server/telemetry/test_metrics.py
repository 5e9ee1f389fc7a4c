"""`/metrics` of a real server: what is there, under which names, and where it is asked for."""

import os
import re
import signal
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from server.errors import SettingsError
from server.listener import listen_for_metrics
from server.settings import load_settings
from server.telemetry.telemetry import Telemetry
from streaming.engine.client import EngineClient
from streaming.engine.settings import ClientSettings, EngineSettings
from tests.server.conftest import TINY, serving

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


async def scrape(address, accept=""):
    async with httpx.AsyncClient() as http:
        return await http.get(f"http://{address}/metrics", headers={"accept": accept})


def families(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


def written(family):
    """The name as one writes it in a query."""
    return family.name + "_total" if family.type == "counter" else family.name


async def test_what_is_exported_is_documented_and_what_is_documented_is_exported(tiny_server):
    found = families((await scrape(tiny_server.running.address)).text)
    ours = {written(family) for family in found.values() if family.name.startswith("omnilive_")}
    told = set(re.findall(r"`(omnilive_\w+)`", DOCS.read_text()))
    gpu = {name for name in told if "gpu" in name}
    assert ours == told - gpu
    assert len(gpu) == 3
    assert found["process_resident_memory_bytes"].samples[0].value > 10 * 2**20


async def test_every_series_of_ours_names_the_model(tiny_server):
    found = families((await scrape(tiny_server.running.address)).text)
    samples = [s for family in found.values() for s in family.samples]
    ours = [sample for sample in samples if sample.name.startswith("omnilive_")]
    assert {s.labels["model"] for s in ours} == {tiny_server.running.ready.model_id}
    allowed = {"model", "transport", "turn_detection", "stage", "status", "direction", "reason"}
    allowed |= {"outcome"}
    assert {name for s in ours for name in s.labels} - {"le"} <= allowed


async def test_a_model_keeps_its_name_though_nobody_asked_before_its_engine_died():
    command = (sys.executable, "-m", "tests.streaming.engine.scripted_worker")
    engine = EngineClient(EngineSettings(), ClientSettings(max_deaths=1), worker=command)
    telemetry = Telemetry(load_settings(), engine)
    assert telemetry.model_id() == ""
    await engine.start()
    os.kill(engine.process_id, signal.SIGKILL)
    await engine.wait_failed()
    await engine.stop()
    assert engine.ready is None
    assert telemetry.model_id() == "scripted"


async def test_openmetrics_for_those_who_ask_for_it(tiny_server):
    answer = await scrape(tiny_server.running.address, OPENMETRICS)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics.text_string_to_metric_families(answer.text)}
    assert "omnilive_ttfa_seconds" in names


async def test_the_engine_tells_of_itself(tiny_server):
    found = families((await scrape(tiny_server.running.address)).text)

    def value(name, **labels):
        (only,) = (
            s.value
            for s in found[name].samples
            if labels.items() <= s.labels.items() and "le" not in s.labels
        )
        return only

    assert value("omnilive_engine_up") == 1
    assert value("omnilive_engine_resident_memory_bytes") > 10 * 2**20
    assert value("omnilive_max_conversations") == tiny_server.settings.max_conversations
    # The turn that warmed it up went through all that a spoken turn does.
    assert value("omnilive_stage_busy_seconds", stage="token2wav") > 0
    assert value("omnilive_generation_tokens", stage="talker") > 0
    assert value("omnilive_prompt_tokens") > 0


def test_a_port_of_the_metrics_own(talkative_checkpoint):
    with serving(model=str(talkative_checkpoint), **TINY, metrics_port=0) as server:
        running = server.running
        assert running.metrics_address != running.address
        assert httpx.get(f"http://{running.metrics_address}/metrics").status_code == 200
        assert httpx.get(f"http://{running.metrics_address}/v1/models").status_code == 404
        refused = httpx.get(f"http://{running.address}/metrics")
        assert refused.status_code == 404
        assert "metrics_port" in refused.json()["error"]["message"]


def test_a_port_that_cannot_be_had_is_named():
    with listen_for_metrics(load_settings(metrics_port=0)) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"--metrics-port {port}"):
            listen_for_metrics(load_settings(metrics_port=port))
