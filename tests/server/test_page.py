"""The page and its files over HTTP, with the headers that keep it to itself."""

import re

import httpx
import pytest

from server.app import create_app
from server.gateway import Gateway
from server.page import FILES
from server.settings import load_settings
from tests.server.webrtc.rig import ScriptedEngine


async def get(path):
    app = create_app(Gateway(settings=load_settings(), engine=ScriptedEngine()))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        return await http.get(path)


async def test_the_page_and_everything_it_names():
    reply = await get("/")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/html")
    named = re.findall(r'(?:src|href)="(/web/[^"]+)"', reply.text)
    assert len(named) >= 3
    for content in FILES.values():
        for module in re.findall(r"from '\./([^']+)'|'(/web/[^']+)'", content.decode()):
            named += [f"/web/{module[0]}" if module[0] else module[1]]
    for path in named:
        assert (await get(path)).status_code == 200, path


async def test_the_page_loads_nothing_from_elsewhere():
    policy = (await get("/")).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    for content in FILES.values():
        for url in re.findall(r"https?://[^'\"\s)]+", content.decode()):
            assert url == "http://www.w3.org/2000/svg"


@pytest.mark.parametrize("name", ["none.js", "..%2f..%2fpyproject.toml", "__init__.py"])
async def test_nothing_else_is_served(name):
    reply = await get(f"/web/{name}")
    assert reply.status_code == 404
    assert reply.json()["error"]["type"] == "invalid_request_error"
