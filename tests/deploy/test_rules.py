"""Alert and recording rules under promtool: each alert fires when it should, and only then."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from server.errors import FullError, NotReadyError, TooManyOpenError
from server.limits import Seats
from server.telemetry.names import FELT_S, LAG_S, REFUSALS, RTF, UNDERRUN_S, WAIT_S
from tests.deploy.places import DASHBOARDS, PROMETHEUS, ROOT, read_yaml

PROMTOOL = shutil.which("promtool")
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
ALERTS = {
    rule["alert"]: rule
    for path in RULES
    for group in read_yaml(path)["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


def needs_promtool(test):
    absent = pytest.mark.skipif(PROMTOOL is None, reason="no promtool here (Debian: prometheus)")
    return pytest.mark.prometheus(absent(test))


MINUTES = 70
MODEL = 'model="omni-mini",instance="a:9100",job="omnilive"'
UP = {'up{job="omnilive",instance="a:9100"}': "1x70"}


def counter(name, a_minute, **labels):
    more = "".join(f',{label}="{value}"' for label, value in labels.items())
    return {f"omnilive_{name}{{{MODEL}{more}}}": f"0+{a_minute}x{MINUTES}"}


def gauge(name, value):
    return {f"omnilive_{name}{{{MODEL}}}": f"{value}x{MINUTES}"}


def histogram(name, edges, value, a_minute=10):
    """Observations that are all `value`."""
    buckets = {}
    for edge in (*edges, float("inf")):
        le = "+Inf" if edge == float("inf") else str(float(edge))
        buckets |= counter(f"{name}_bucket", a_minute if value <= edge else 0, le=le)
    return buckets | counter(f"{name}_count", a_minute)


HEALTHY = {
    **UP,
    **gauge("engine_up", 1),
    **counter("engine_deaths_total", 0),
    **gauge("engine_silence_seconds", 1),
    **gauge("num_requests_running", 1),
    **gauge("num_requests_waiting", 0),
    **gauge("sessions_active", 1),
    **gauge("max_conversations", 4),
    **counter("sessions_total", 20),
    **counter("refusals_total", 0, reason="server_full"),
    # Whose mistake it was is no reason to wake anybody.
    **counter("refusals_total", 50, reason="invalid_api_key"),
    **counter("refusals_total", 50, reason=TooManyOpenError.code),
    **counter("responses_total", 20, status="completed"),
    **counter("responses_total", 0, status="failed"),
    **histogram("ttfa_seconds", FELT_S, 0.5),
    **histogram("audio_rtf", RTF, 0.4),
    **histogram("audio_underrun_seconds", UNDERRUN_S, 0),
    **histogram("request_queue_wait_seconds", WAIT_S, 0.01),
    **histogram("event_loop_lag_seconds", LAG_S, 0.001, a_minute=600),
    **counter("rtc_packets_total", 3000, direction="in"),
    **counter("rtc_packets_lost_total", 3, direction="in"),
    **counter("barge_ins_total", 10),
    **counter("false_interruptions_total", 1, reason="short"),
    'process_open_fds{job="omnilive",instance="a:9100"}': "40x70",
    'process_max_fds{job="omnilive",instance="a:9100"}': "1024x70",
}
# What is different when each alert is due.
WRONG = {
    "OmniliveDown": {'up{job="omnilive",instance="a:9100"}': "1x20 0x50"},
    "OmniliveGone": dict.fromkeys(UP, "1x20 stale"),
    "OmniliveEngineDown": gauge("engine_up", 0),
    "OmniliveEngineDied": counter("engine_deaths_total", 1),
    "OmniliveEngineSilent": gauge("engine_silence_seconds", 12),
    "OmniliveRepliesStick": counter("responses_total", 0, status="completed"),
    "OmniliveTurningAway": counter("refusals_total", 5, reason="server_full"),
    "OmniliveRepliesFail": counter("responses_total", 1, status="failed"),
    "OmniliveSlowFirstSound": histogram("ttfa_seconds", FELT_S, 2),
    "OmniliveRunsDry": histogram("audio_underrun_seconds", UNDERRUN_S, 0.3),
    "OmniliveSlowerThanSpeech": histogram("audio_rtf", RTF, 1.3),
    "OmniliveQueue": histogram("request_queue_wait_seconds", WAIT_S, 1.5),
    "OmniliveNearlyFull": gauge("sessions_active", 4),
    "OmniliveEventLoopLate": histogram("event_loop_lag_seconds", LAG_S, 0.2, a_minute=600),
    "OmniliveBadLine": counter("rtc_packets_lost_total", 300, direction="in"),
    "OmniliveFalseInterruptions": counter("false_interruptions_total", 6, reason="short"),
    "OmniliveFilesRunOut": {'process_open_fds{job="omnilive",instance="a:9100"}': "900x70"},
}


def promtool(*arguments):
    ran = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def check(tmp_path, series, query, samples):
    """Checks what a query gives at the end, by labels."""
    test = {
        "rule_files": list(map(str, RULES)),
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": values} for name, values in series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": query,
                        "eval_time": f"{MINUTES}m",
                        "exp_samples": [
                            {"labels": labels, "value": value} for labels, value in samples.items()
                        ],
                    }
                ],
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(test))
    promtool("test", "rules", str(path))


def check_firing(tmp_path, series, names):
    """Checks which alerts fire at the end, and no other."""
    query = 'count by (alertname) (ALERTS{alertstate="firing"})'
    check(tmp_path, series, query, {f'{{alertname="{name}"}}': 1 for name in names})


@needs_promtool
def test_promtool_takes_rules_and_configuration():
    promtool("check", "rules", *map(str, RULES))
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


@needs_promtool
def test_nothing_fires_when_all_is_well(tmp_path):
    check_firing(tmp_path, HEALTHY, [])


@needs_promtool
@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_fires_when_it_is_due_and_alone(tmp_path, name):
    check_firing(tmp_path, HEALTHY | WRONG[name], [name])


@needs_promtool
@pytest.mark.parametrize("place", ["rule", "panel"])
def test_packets_lost_are_a_share_of_all(tmp_path, place):
    """Those that came are without the lost ones; those that were sent are with them."""
    series = {
        **counter("rtc_packets_total", 100, direction="in"),
        **counter("rtc_packets_lost_total", 300, direction="in"),
        **counter("rtc_packets_total", 100, direction="out"),
        **counter("rtc_packets_lost_total", 20, direction="out"),
    }
    rule = "model:omnilive_packets_lost:ratio_5m"
    query = rule if place == "rule" else f"round({panel_query('Packets lost')}, 0.001)"
    told = f'{rule}{{model="omni-mini",direction="%s"}}' if place == "rule" else '{direction="%s"}'
    check(tmp_path, series, query, {told % "in": 0.75, told % "out": 0.2})


def panel_query(title):
    """The query of a panel that has one, for all servers."""
    boards = [json.loads(path.read_text()) for path in DASHBOARDS.glob("*.json")]
    (panel,) = [each for board in boards for each in board["panels"] if each["title"] == title]
    (target,) = panel["targets"]
    filled_in = re.sub(r"\$(model|instance)\b", ".*", target["expr"])
    return filled_in.replace("$__rate_interval", "5m")


def test_every_alert_says_what_to_do():
    told = (ROOT / "docs" / "operations.md").read_text()
    anchors = {title.lower() for title in re.findall(r"^#+ (\w+)$", told, re.M)}
    for name, rule in ALERTS.items():
        page, anchor = rule["annotations"]["runbook"].split("#")
        assert (ROOT / page).exists()
        assert anchor == name.removeprefix("Omnilive").lower()
        assert anchor in anchors, name


def test_a_clients_own_limit_is_no_fault_of_the_server():
    """One that asks for more than it may have is counted, and is not who is turned away."""
    seats = Seats(0, "max_conversations_per_key")
    with pytest.raises(TooManyOpenError) as refused:
        seats.check("a key")
    assert refused.value.code in REFUSALS
    turned_away = re.findall(r'refusals_total\{reason=~"([^"]*)"', RULES[1].read_text())
    assert turned_away
    for ours in (FullError, NotReadyError):
        assert all(ours.code in reasons.split("|") for reasons in turned_away)
    assert all(refused.value.code not in reasons.split("|") for reasons in turned_away)


def test_reasons_and_buckets_are_those_of_the_server():
    rules = "".join(path.read_text() for path in RULES)
    for reasons in re.findall(r'reason=~"([^"]*)"', rules):
        assert set(reasons.split("|")) <= set(REFUSALS)
    edges = {
        "omnilive_ttfa_seconds": FELT_S,
        "omnilive_audio_underrun_seconds": UNDERRUN_S,
    }
    boards = "".join(path.read_text() for path in DASHBOARDS.glob("*.json"))
    found = re.findall(r'(omnilive_\w+)_bucket\{[^}]*le=\\?"([\d.]+)\\?"', rules + boards)
    assert {metric for metric, _ in found} == set(edges)
    for metric, le in found:
        assert float(le) in edges[metric], (metric, le)
