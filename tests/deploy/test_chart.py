"""The chart through Helm's own engine: linted, rendered, and held against what the server is."""

import importlib.util
import json
import tarfile

import kubernetes_validate
import pytest

from server.app import ROUTES
from server.gateway import LAST_WORDS_S
from server.listener import GRACE_S
from server.settings import ENV_PREFIX, Settings
from streaming.engine.settings import ClientSettings
from tests.deploy.chart import RefusedError, helm, rendered
from tests.deploy.places import CHART, DASHBOARDS, PROMETHEUS, ROOT, read_yaml, settings_of

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("helm_python") is None, reason="no helm_python for this machine"
)

NAME = "demo-omnilive"
KEYS = ["a key of ours", f"sha256:{'0f' * 32}"]
EVERYTHING = {
    "auth": {
        "apiKeys": KEYS,
        "adminKey": "a key of the operator",
        "allowedOrigins": ["https://a.example", "https://b"],
    },
    "turn": {"url": "turns:turn.example:443?transport=tcp", "secret": "s", "stunUrl": "stun:s:1"},
    "ingress": {"enabled": True, "host": "voice.example", "tlsSecret": "cert", "className": "x"},
    "autoscaling": {"enabled": True},
    "model": {"source": "volume", "path": "Qwen2.5-Omni-3B", "claim": "weights"},
    "cache": {"claim": "cache"},
    "gpu": {"count": 1},
    "settings": {"call_connect_timeout_s": 12.5, "max_session_s": 7200, "log_level": "debug"},
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "rules": {"enabled": True},
        "dashboards": {"enabled": True},
    },
    "networkPolicy": {"clients": [{"podSelector": {"matchLabels": {"app": "ingress"}}}]},
    "extraEnv": [{"name": "FORWARDED_ALLOW_IPS", "value": "10.0.0.1"}],
    "hostNetwork": True,
    "nodeSelector": {"gpu": "yes"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "podAnnotations": {"team": "voice"},
}
VALUES = {
    "defaults": {},
    "everything": EVERYTHING,
    "a secret of one's own": {"auth": {"existingSecret": "mine"}, "turn": {"url": "turn:t:3478"}},
    "fetched": {"model": {"source": "hub", "hubId": "Qwen/Qwen2.5-Omni-3B"}},
    "by queue wait": {"autoscaling": {"enabled": True, "metric": "queueWait"}},
    "one GPU": {"gpu": {"count": 1}, "strategy": {"type": "Recreate"}},
}
# Kinds of the Prometheus operator: no schema of theirs is part of Kubernetes.
CUSTOM = {"ServiceMonitor", "PrometheusRule"}
KUBERNETES = ("1.27", "1.36")


@pytest.fixture(scope="module")
def releases():
    return {name: rendered(**values) for name, values in VALUES.items()}


def environment(objects):
    (container,) = pod(objects)["containers"]
    return {each["name"]: each.get("value", "from a secret") for each in container["env"]}


def pod(objects):
    return objects["Deployment", NAME]["spec"]["template"]["spec"]


@pytest.mark.parametrize("values", VALUES)
def test_the_linter_has_nothing_to_warn_of(values):
    messages = helm(values=VALUES[values])["lint"]
    assert {message["error"] for message in messages} <= {"icon is recommended"}


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("values", VALUES)
def test_every_object_is_one_of_kubernetes(releases, values, version):
    for (kind, _), each in releases[values].items():
        if kind not in CUSTOM:
            kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("values", VALUES)
def test_the_server_takes_the_pods_environment(monkeypatch, releases, values):
    settings = settings_of(monkeypatch, environment(releases[values]))
    ports = {port["name"]: port["containerPort"] for port in ports_of(releases[values])}
    assert ports == {"http": settings.port, "metrics": settings.metrics_port}
    # Kubernetes' own variables for a Service of this name would be settings that do not exist.
    assert pod(releases[values])["enableServiceLinks"] is False


def ports_of(objects):
    return pod(objects)["containers"][0]["ports"]


def test_values_become_settings(monkeypatch, releases):
    settings = settings_of(monkeypatch, environment(releases["everything"]))
    assert settings.device == "cuda"
    assert settings.model == "/models/Qwen2.5-Omni-3B"
    assert (settings.call_connect_timeout_s, settings.max_session_s) == (12.5, 7200)
    assert settings.allowed_origins == "https://a.example,https://b"
    assert settings.turn_url == EVERYTHING["turn"]["url"]
    secret = releases["everything"]["Secret", NAME]["stringData"]
    assert secret == {
        "api-keys": ",".join(KEYS),
        "admin-key": EVERYTHING["auth"]["adminKey"],
        "turn-secret": "s",
    }


def test_every_setting_can_be_given_in_one_place():
    schema = json.loads((CHART / "values.schema.json").read_text())
    free = set(schema["properties"]["settings"]["propertyNames"]["enum"])
    given = [name for name in environment(rendered(**EVERYTHING)) if name.startswith(ENV_PREFIX)]
    own = {name.removeprefix(ENV_PREFIX).lower() for name in given} - set(EVERYTHING["settings"])
    own.discard("max_conversations")  # given in values.yaml's own settings
    assert not free & own
    known = free | own | {"host", "metrics_host"}  # where it listens is the image's
    known |= {"turn_username", "turn_credential"}  # turn.secret makes users of its own
    assert known == set(Settings.model_fields), "python deploy/helm/settings.py"


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"setings": {}}, "'setings' not allowed"),
        ({"settings": {"max_conversation": 1}}, "max_conversation"),
        ({"settings": {"port": 1}}, "invalid propertyName 'port'"),
        ({"model": {"source": "volume"}}, "/model/claim"),
        ({"model": {"source": "hub", "hubId": "no id"}}, "/model/hubId"),
        ({"ingress": {"enabled": True, "host": "voice.example"}}, "lets everybody in"),
        ({"turn": {"url": "turn:t:3478"}}, "needs turn.secret"),
        ({"auth": {"apiKeys": ["short"]}}, "/auth/apiKeys/0"),
        ({"drain": {"timeoutSeconds": -1}}, "/drain/timeoutSeconds"),
        ({"strategy": {"type": "BlueGreen"}}, "/strategy/type"),
        # What would reach nothing.
        ({"auth": {"existingSecret": "mine", "apiKeys": KEYS}}, "auth.apiKeys is not used"),
        ({"auth": {"existingSecret": "mine", "adminKey": KEYS[0]}}, "auth.adminKey is not used"),
        (
            {"auth": {"existingSecret": "mine"}, "turn": {"url": "turn:t:3478", "secret": "s"}},
            "turn.secret is not used",
        ),
        ({"turn": {"secret": "s"}}, "turn.secret is not used"),
        ({"settings": {"turn_username": "u"}}, "invalid propertyName 'turn_username'"),
        ({"settings": {"turn_credential": "c"}}, "invalid propertyName 'turn_credential'"),
        ({"autoscaling": {"enabled": True, "sessionsPerPod": 4}}, "below settings.max_con"),
        (
            {
                "autoscaling": {"enabled": True, "sessionsPerPod": 2},
                "settings": {"max_conversations": 2},
            },
            "below settings.max_con",
        ),
        ({"autoscaling": {"enabled": True, "minReplicas": 5}}, "autoscaling.minReplicas"),
        ({"metrics": {"port": 8000}}, "/metrics/port"),
    ],
)
def test_values_that_cannot_be_used_are_named(values, complaint):
    with pytest.raises(RefusedError, match=complaint):
        helm(values=values)


def test_the_pod_is_given_time_to_drain(monkeypatch, releases):
    spec = pod(releases["defaults"])
    (container,) = spec["containers"]
    _, delay_s = container["lifecycle"]["preStop"]["exec"]["command"]
    settings = settings_of(monkeypatch, environment(releases["defaults"]))
    ending_s = LAST_WORDS_S + GRACE_S + ClientSettings().stop_timeout_s
    needed_s = int(delay_s) + settings.drain_timeout_s + ending_s
    assert spec["terminationGracePeriodSeconds"] > needed_s
    deadline_s = releases["defaults"]["Deployment", NAME]["spec"]["progressDeadlineSeconds"]
    assert deadline_s > settings.engine_start_timeout_s


def test_the_probes_ask_what_the_server_answers(releases):
    (container,) = pod(releases["defaults"])["containers"]
    paths = {route.path for route in ROUTES}
    probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("readiness", "liveness")}
    assert probes["readiness"] == {"path": "/readyz", "port": "http"}
    assert probes["liveness"] == {"path": "/healthz", "port": "http"}
    assert all(probe["path"] in paths for probe in probes.values())


def test_names_lead_to_each_other(releases):
    objects = releases["everything"]
    labels = objects["Deployment", NAME]["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"] for port in ports_of(objects)}
    for name in (NAME, f"{NAME}-metrics"):
        service = objects["Service", name]["spec"]
        assert service["selector"].items() <= labels.items()
        assert all(port["targetPort"] in ports for port in service["ports"])
    monitor = objects["ServiceMonitor", NAME]["spec"]
    metrics = objects["Service", f"{NAME}-metrics"]
    assert monitor["selector"]["matchLabels"].items() <= metrics["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] == metrics["spec"]["ports"][0]["name"]
    chosen = monitor["selector"]["matchLabels"].items()
    assert not chosen <= objects["Service", NAME]["metadata"]["labels"].items()
    for kind in ("NetworkPolicy", "PodDisruptionBudget"):
        spec = objects[kind, NAME]["spec"]
        selector = spec.get("podSelector") or spec["selector"]
        assert selector["matchLabels"].items() <= labels.items()
    (rule,) = objects["Ingress", NAME]["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert (backend["name"], backend["port"]) == (NAME, {"name": "http"})


def test_the_network_is_as_wide_as_the_values_say(releases):
    ingress = releases["everything"]["NetworkPolicy", NAME]["spec"]["ingress"]
    assert ingress[0]["from"] == EVERYTHING["networkPolicy"]["clients"]
    out = {name: releases[name]["NetworkPolicy", NAME]["spec"]["egress"] for name in releases}
    https = {"ports": [{"protocol": "TCP", "port": 443}]}
    assert https in out["everything"]  # the TURN server's port
    assert https in out["fetched"]
    assert https not in out["defaults"]


def test_a_strategy_has_no_more_than_its_kind_takes(releases):
    def strategy(name):
        return releases[name]["Deployment", NAME]["spec"]["strategy"]

    rolling = {"maxSurge": 1, "maxUnavailable": 0}
    assert strategy("defaults") == {"type": "RollingUpdate", "rollingUpdate": rolling}
    # The API server takes no rollingUpdate beside it, though a schema would.
    assert strategy("one GPU") == {"type": "Recreate"}


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("turn:203.0.113.7:3478?transport=tcp", 3478),
        ("turn:[2001:db8::7]:3479?transport=tcp", 3479),
        ("turn:[2001:db8::7]?transport=tcp", 3478),
        ("turn:turn.example?transport=tcp", 3478),
        ("turns:turn.example?transport=tcp", 5349),
        ("turns:turn.example:443", 443),
        ("turns:203.0.113.7", 5349),
        ("turn:turn.example:3478?transport=udp", None),
        ("turn:turn.example", None),
    ],
)
def test_the_way_to_a_turn_server_over_tcp_is_open(url, port):
    assert tcp_out(turn={"url": url, "secret": "s"}) == ({53} if port is None else {53, port})


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        ("http://collector.obs:4318/v1/traces", 4318),
        ("https://collector.example/v1/traces", 443),
        ("http://collector.obs/v1/traces", 80),
        ("http://[2001:db8::7]:4319/v1/traces", 4319),
        ("http://[2001:db8::7]/v1/traces", 80),
    ],
)
def test_the_way_for_traces_is_open(endpoint, port):
    assert tcp_out(settings={"otlp_endpoint": endpoint}) == {53, port}


def test_other_ways_out_can_be_opened():
    proxy = {
        "to": [{"podSelector": {"matchLabels": {"app": "proxy"}}}],
        "ports": [{"protocol": "TCP", "port": 3128}],
    }
    assert proxy in egress(networkPolicy={"egress": [proxy]})
    assert proxy not in egress()


def egress(**values):
    return rendered(**values)["NetworkPolicy", NAME]["spec"]["egress"]


def tcp_out(**values):
    ports = [port for rule in egress(**values) for port in rule["ports"]]
    return {port["port"] for port in ports if port["protocol"] == "TCP"}


@pytest.mark.parametrize("values", ["everything", "by queue wait"])
def test_the_autoscalers_metric_is_one_that_the_adapter_has(releases, values):
    objects = releases[values]
    (metric,) = objects["HorizontalPodAutoscaler", NAME]["spec"]["metrics"]
    adapter = read_yaml(PROMETHEUS / "adapter.yaml")["rules"]
    assert metric["pods"]["metric"]["name"] in {rule["name"]["as"] for rule in adapter}
    assert "replicas" not in objects["Deployment", NAME]["spec"]


def test_rules_and_dashboards_are_the_files(releases, tmp_path):
    objects = releases["everything"]
    for path in (PROMETHEUS / "rules").glob("*.yml"):
        assert objects["PrometheusRule", f"{NAME}-{path.stem}"]["spec"] == read_yaml(path)
    boards = objects["ConfigMap", f"{NAME}-dashboards"]["data"]
    assert {name: json.loads(text) for name, text in boards.items()} == {
        path.name: json.loads(path.read_text()) for path in DASHBOARDS.glob("*.json")
    }
    # They are links here; in the archive that is handed out they are files.
    with tarfile.open(helm(package_into=str(tmp_path))["archive"]) as archive:
        held = {member.name: member.isfile() for member in archive.getmembers()}
    for path in [*DASHBOARDS.glob("*.json"), *(PROMETHEUS / "rules").glob("*.yml")]:
        assert held[f"omnilive/files/{path.parent.name}/{path.name}"]


def test_the_chart_is_of_this_version():
    version = next(
        line.split('"')[1]
        for line in (ROOT / "pyproject.toml").read_text().splitlines()
        if line.startswith("version = ")
    )
    assert read_yaml(CHART / "Chart.yaml")["appVersion"] == version
