"""The server that a bench has for itself."""

from server.bench.options import BenchOptions


def test_it_is_not_what_the_environment_says(monkeypatch):
    for name, value in {
        "API_KEYS": "kkkkkkkkkkkk",
        "METRICS_PORT": "9090",
        "MODEL": "another/one",
        "HOST": "0.0.0.0",
        "OTLP_ENDPOINT": "http://127.0.0.1:4318/v1/traces",
    }.items():
        monkeypatch.setenv(f"OMNILIVE_{name}", value)
    settings = BenchOptions().settings(2)
    assert (settings.host, settings.port, settings.metrics_port) == ("127.0.0.1", 0, None)
    assert (settings.api_keys, settings.otlp_endpoint, settings.model) == (None, None, None)
    assert (settings.device, settings.threads) == ("cpu", 2)
