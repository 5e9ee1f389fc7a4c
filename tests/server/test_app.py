"""The HTTP side of a real server: health, readiness, models, and errors in the API's own form."""

import httpx
import pytest


async def get(server, path, method="GET"):
    async with httpx.AsyncClient(base_url=server.http) as http:
        return await http.request(method, path)


async def test_health_and_readiness(tiny_server):
    assert (await get(tiny_server, "/healthz")).json() == {"status": "ok"}
    ready = await get(tiny_server, "/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"
    assert ready.json()["max_conversations"] == tiny_server.settings.max_conversations


async def test_the_one_model_is_listed_with_what_it_takes(tiny_server):
    listed = (await get(tiny_server, "/v1/models")).json()
    assert listed["object"] == "list"
    (model,) = listed["data"]
    assert model["object"] == "model"
    assert model["id"] == tiny_server.running.ready.model_id
    assert {"text", "audio"} <= set(model["inputs"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("POST", "/healthz", 405), ("GET", "/v1/realtime", 404)],
)
async def test_other_requests_get_an_error_that_names_them(tiny_server, method, path, status):
    answer = await get(tiny_server, path, method)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert f"{method} {path}" in error["message"]
