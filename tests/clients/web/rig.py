"""The page around a scripted engine: a real listener, and words for what is done in it."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from server.app import create_app
from server.gateway import Gateway
from server.listener import listen, uvicorn_server
from server.settings import load_settings
from tests.clients.web.browser import CHROMIUM
from tests.server.webrtc.rig import ScriptedEngine

BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here"),
]
SEES = ("text", "audio", "image", "video")

STATUS = "document.getElementById('status').textContent"
CAPTIONS = "document.getElementById('captions').innerText"
ALERT = "document.getElementById('alert').textContent"


@asynccontextmanager
async def serving(settings=None, **options):
    """A real listener around a scripted engine; its engine and its address."""
    settings = load_settings(port=0, **(settings or {}))
    scripted = ScriptedEngine(**options)
    gateway = Gateway(settings=settings, engine=scripted)
    listener = listen(settings)
    server = uvicorn_server(create_app(gateway), settings)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield scripted, f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        await task
        await gateway.calls.close()


def choose(field, value):
    return f"document.getElementById('{field}').value = '{value}'; true"


def click(button):
    return f"document.getElementById('{button}').click(); true"


def focus(field):
    return f"document.getElementById('{field}').focus(); true"


SAY = f"{choose('text', 'Well?')}; {click('send')}"
