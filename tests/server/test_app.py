"""The HTTP side of a real server: health, readiness, models, and errors in the API's own form."""

import re

import httpx
import pytest

from clients.python.client import open_conversation
from server.app import create_app
from server.engine import new_engine
from server.errors import EngineLostError, NotReadyError
from server.gateway import Gateway
from server.opening import first_answer
from server.settings import load_settings
from server.telemetry.names import REFUSALS
from streaming.engine.client import EngineClient
from streaming.engine.messages.commands import OpenConversation
from streaming.engine.settings import ClientSettings, EngineSettings
from streaming.errors import EngineGoneError
from tests.server.webrtc.rig import ScriptedEngine

OFFER = {"content": "v=0\r\n", "headers": {"content-type": "application/sdp"}}
QUESTION = {"model": "scripted", "messages": [{"role": "user", "content": "Hello."}]}


async def get(server, path, method="GET"):
    async with httpx.AsyncClient(base_url=server.http) as http:
        return await http.request(method, path)


async def test_health_and_readiness(tiny_server):
    assert (await get(tiny_server, "/healthz")).json() == {"status": "ok"}
    ready = await get(tiny_server, "/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"
    assert ready.json()["max_conversations"] == tiny_server.settings.max_conversations


async def test_two_slashes_are_one(tiny_server):
    assert (await get(tiny_server, "/v1//models")).status_code == 200
    address = tiny_server.url.replace("/v1/realtime", "/v1//realtime")
    async with open_conversation(address):
        pass


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


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
async def test_there_are_no_pages_but_our_own(tiny_server, path):
    assert (await get(tiny_server, path)).status_code == 404


async def test_a_fault_of_ours_has_the_apis_form_too():
    engine = ScriptedEngine()
    engine.ready = "no such thing"
    app = create_app(Gateway(settings=load_settings(), engine=engine))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await http.get("/v1/models")
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "log" in answer.json()["error"]["message"]


async def test_an_engine_that_is_not_there_yet_is_said_so():
    settings = load_settings()
    app = create_app(Gateway(settings=settings, engine=new_engine(settings)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert (await http.get("/healthz")).status_code == 200
        for path in ("/readyz", "/v1/models"):
            answer = await http.get(path)
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "engine_not_ready"


@pytest.mark.parametrize("ask", ["/readyz", "/v1/realtime/calls"])
async def test_an_engine_that_says_nothing_takes_nobody_new(ask):
    engine = ScriptedEngine()
    app = create_app(Gateway(settings=load_settings(), engine=engine))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert (await http.get("/readyz")).status_code == 200
        engine.silent_s = engine.silence_limit_s + 1
        assert (await http.get("/healthz")).status_code == 200  # it is ended and started again
        answer = await http.get(ask) if ask == "/readyz" else await http.post(ask, **OFFER)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "engine_not_ready"
        assert "said nothing for 11 s" in answer.json()["error"]["message"]
        assert 'omnilive_engine_up{model="scripted"} 0.0' in (await http.get("/metrics")).text
        engine.silent_s = 0.0
        assert (await http.get("/readyz")).status_code == 200


async def test_an_opening_does_not_wait_for_ever():
    engine = ScriptedEngine()
    engine.silence_limit_s = 0.01
    messages = engine.subscribe("c")
    command = OpenConversation(conversation_id="another, whose answer comes elsewhere")
    with pytest.raises(NotReadyError, match=r"no answer in 0\.01 s .*engine_silence_limit_s"):
        await first_answer(engine, command, messages)


async def test_an_engine_that_ends_while_it_is_asked_is_one_that_is_not_ready():
    engine = ScriptedEngine()
    engine.answers = lambda message: engine.lose(message.conversation_id) or ()
    app = create_app(Gateway(settings=load_settings(), engine=engine))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await http.post("/v1/chat/completions", json=QUESTION)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "engine_not_ready"
        counted = re.findall(
            r'refusals_total\{.*reason="(\w+)".*\} 1', (await http.get("/metrics")).text
        )
    assert counted == [NotReadyError.code]
    assert EngineLostError.code not in REFUSALS  # there is no other way to it


async def test_an_engine_that_will_not_come_back_ends_health():
    settings = load_settings(engine_max_deaths=1)
    engine = EngineClient(EngineSettings(), ClientSettings(max_deaths=1), worker=("false",))
    with pytest.raises(EngineGoneError):
        await engine.start()
    app = create_app(Gateway(settings=settings, engine=engine))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        for path in ("/healthz", "/readyz"):
            answer = await http.get(path)
            assert answer.status_code == 503
            assert "1 engine deaths" in answer.json()["error"]["message"]
    await engine.stop()
