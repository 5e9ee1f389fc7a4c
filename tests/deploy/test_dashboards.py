"""The dashboards: what their lines make, each query answered by a real Prometheus under load."""

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager
from itertools import combinations

import httpx
import pytest

from clients.python.client import open_conversation
from clients.python.sources import read_recording
from clients.python.turn import ask_typed
from tests.deploy.places import DASHBOARDS, DEPLOY, PROMETHEUS, read_yaml
from tests.deploy.prometheus import PROGRAM, watching
from tests.server.conftest import TINY, serving
from tests.server.webrtc.rig import QUESTION, Peer, question

BOARDS = {path.name: json.loads(path.read_text()) for path in DASHBOARDS.glob("*.json")}
PANELS = [panel for board in BOARDS.values() for panel in board["panels"] if "targets" in panel]
# What Grafana fills in.
VARIABLES = {"$model": ".*", "$instance": ".*", "$__rate_interval": "5m"}
# What prometheus-adapter fills in, for one server.
ADAPTER = {
    "<<.LabelMatchers>>": 'job="omnilive"',
    "<<.GroupBy>>": "instance",
    "<<.Series>>": "{series}",
}
# An answer that is long enough to be spoken into.
LONG = TINY | {"max_speech_s": 5.0, "context_tokens": 768}
QUIET = bytes(2 * 24_000 // 10)


def filled_in(text, values):
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def queries():
    """Every query of every panel, by where it stands."""
    for panel in PANELS:
        for target in panel["targets"]:
            place = f"{panel['title']}: {target['legendFormat']}"
            yield place, filled_in(target["expr"], VARIABLES)


def rules():
    for path in (PROMETHEUS / "rules").glob("*.yml"):
        for group in read_yaml(path)["groups"]:
            yield from group["rules"]


def adapter_queries():
    for rule in read_yaml(PROMETHEUS / "adapter.yaml")["rules"]:
        series = rule["seriesQuery"].split("{")[0]
        query = filled_in(rule["metricsQuery"], ADAPTER).replace("{series}", series)
        yield rule["name"]["as"], query


def test_the_files_are_what_their_lines_make(tmp_path):
    subprocess.run([sys.executable, DEPLOY / "grafana" / "build.py", tmp_path], check=True)
    made = {path.name: path.read_text() for path in tmp_path.glob("*.json")}
    assert made == {path.name: path.read_text() for path in DASHBOARDS.glob("*.json")}


@pytest.mark.parametrize("name", BOARDS)
def test_panels_have_a_place_of_their_own(name):
    panels = BOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)

    def cells(panel):
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        columns = range(place["x"], place["x"] + place["w"])
        rows = range(place["y"], place["y"] + place["h"])
        return {(x, y) for x in columns for y in rows}

    for one, other in combinations(panels, 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])


def test_the_provisioning_leads_to_the_files():
    provisioning = DEPLOY / "grafana" / "provisioning"
    (provider,) = read_yaml(provisioning / "dashboards" / "omnilive.yaml")["providers"]
    compose = read_yaml(DEPLOY / "compose" / "compose.yaml")["services"]
    mounts = dict(volume.split(":")[:2] for volume in compose["grafana"]["volumes"])
    assert mounts["../grafana/dashboards"] == provider["options"]["path"]
    assert mounts["../grafana/provisioning"] == "/etc/grafana/provisioning"
    (source,) = read_yaml(provisioning / "datasources" / "prometheus.yaml")["datasources"]
    host, port = source["url"].removeprefix("http://").split(":")
    assert any(published.endswith(f":{port}") for published in compose[host]["ports"])


@pytest.mark.prometheus
@pytest.mark.skipif(PROGRAM is None, reason="no prometheus here (Debian: prometheus)")
async def test_every_query_has_an_answer_under_load(talkative_checkpoint, tmp_path):
    with serving(model=str(talkative_checkpoint), **LONG) as server:
        async with watching(server.running.metrics_address, tmp_path) as prometheus:
            # What happens before the first look has no rate.
            await prometheus.until("omnilive_engine_up == 1")
            await load(server, prometheus)

            unanswered = [
                (place, query)
                for place, query in [*queries(), *adapter_queries()]
                if not await prometheus.values(query)
            ]
            assert unanswered == []
            groups = (await prometheus.get("/rules"))["groups"]
            health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
            assert health == dict.fromkeys(health, "ok")
            assert len(health) == len(list(rules()))
            for rule in rules():
                if "record" in rule:
                    assert await prometheus.values(rule["record"]), rule["record"]


async def load(server, prometheus):
    """Turns over every transport, one of them spoken into, until Prometheus has heard of all."""
    async with (
        httpx.AsyncClient(base_url=server.http, timeout=60) as http,
        asyncio.TaskGroup() as callers,
    ):
        callers.create_task(talk(server.url))
        callers.create_task(call(http))
        callers.create_task(complete(http, server.running.ready.model_id))
    for metric in ("barge_in_seconds_count", "rtc_rtt_seconds_count", "call_connect_seconds_count"):
        await prometheus.until(f"sum(omnilive_{metric}) > 0")
    await prometheus.until('sum(omnilive_sessions_ended_total{reason!="other"}) == 3')
    # The rules were asked after that: not before the last look, and the next is a second later.
    await prometheus.until("model:omnilive_ttfa_seconds:p95_5m")
    await prometheus.until("model:omnilive_packets_lost:ratio_5m")


async def talk(url):
    """A spoken turn over WebSocket, another into its answer, and a typed one."""
    pcm = read_recording(QUESTION).samples.astype("<i2").tobytes()
    async with open_conversation(url) as client:
        await client.configure(audio={"input": {"turn_detection": {"type": "server_vad"}}})
        await client.append_audio(pcm + QUIET * 8)
        await client.expect("response.output_audio.delta")
        await client.append_audio(pcm + QUIET * 8)
        await client.expect("input_audio_buffer.speech_started")
        await client.expect("response.created")
        await client.expect("response.done")
        await ask_typed(client, "hello")


async def call(http):
    """A spoken turn over WebRTC, and time for the reports of both ends."""
    async with calling(http) as peer:
        await peer.until("session.created")
        peer.voice.say(question())
        await peer.until("output_audio_buffer.stopped")
        await peer.until_reported()


@asynccontextmanager
async def calling(http):
    peer = ReportedPeer(http)
    try:
        await peer.call()
        yield peer
    finally:
        await peer.close()


class ReportedPeer(Peer):
    """A peer that knows what the server says of its line."""

    async def until_reported(self):
        async with asyncio.timeout(20):
            while "omnilive_rtc_rtt_seconds_count" not in await self._reported():  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def _reported(self):
        text = (await self.http.get("/metrics")).text
        return {
            line.split("{")[0]
            for line in text.splitlines()
            if not line.startswith("#") and float(line.rsplit(" ", 1)[1]) > 0
        }


async def complete(http, model):
    question = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    answer = await http.post("/v1/chat/completions", json=question)
    assert answer.status_code == 200, answer.text
