"""The page in a real browser: a spoken turn over both transports, keys, and clear words."""

import asyncio
from contextlib import asynccontextmanager

import numpy as np
import pytest
import soundfile

from server.app import create_app
from server.gateway import Gateway
from server.listener import listen, uvicorn_server
from server.settings import load_settings
from streaming.engine import messages as engine
from tests.clients.web.browser import CHROMIUM, browsing
from tests.server.webrtc.rig import RATE_HZ, ScriptedEngine, question

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here"),
]

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


@pytest.fixture(scope="session")
def voice(tmp_path_factory):
    """A question, then silence, again and again: what the fake microphone hears."""
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    quiet = np.zeros(RATE_HZ, dtype=np.int16)
    soundfile.write(path, np.concatenate([quiet, question(), *[quiet] * 8]), RATE_HZ)
    return path


def choose(field, value):
    return f"document.getElementById('{field}').value = '{value}'; true"


def click(button):
    return f"document.getElementById('{button}').click(); true"


@pytest.mark.parametrize(("transport", "name"), [("webrtc", "WebRTC"), ("websocket", "WebSocket")])
async def test_a_spoken_turn_is_heard_captioned_and_timed(tmp_path, voice, transport, name):
    async with (
        serving(speech_s=1.0) as (_, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(choose("transport", transport))
        await tab.run(click("start"))
        await tab.until(f"{STATUS} === 'Connected over {name}'")
        await tab.until(f"{CAPTIONS}.includes('what was said')")
        figures = await tab.until(
            "document.querySelectorAll('#turns td').length === 5 && "
            "[...document.querySelectorAll('#turns td')].map((cell) => Number(cell.textContent))"
        )
        number, total, turn_end, words, sound = figures
        assert number == 1
        assert abs(total - turn_end - words - sound) <= 2
        assert 300 < total < 10_000
        assert await tab.run(ALERT) == ""
        await tab.run(click("start"))
        await tab.until(f"{STATUS} === 'Not connected'")


async def test_push_to_talk_by_the_keyboard(tmp_path, voice):
    async with (
        serving(speech_s=0.5) as (scripted, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(choose("mode", "push"))
        await tab.run(click("start"))
        await tab.until(f"{STATUS}.startsWith('Connected')")
        await tab.until("!document.getElementById('hold').hidden")
        await tab.run("document.getElementById('hold').focus(); true")
        key = {"key": " ", "code": "Space", "windowsVirtualKeyCode": 32}
        await tab.command("Input.dispatchKeyEvent", type="keyDown", **key)
        assert await tab.run("document.getElementById('hold').textContent") == "Listening …"
        await asyncio.sleep(11)  # the fake microphone says its question once in this time
        await tab.command("Input.dispatchKeyEvent", type="keyUp", **key)
        await tab.until(f"{CAPTIONS}.includes('what was said')")
        assert len(scripted.of(engine.UserAudioStop)) == 1


async def test_a_refused_microphone_is_said_and_typing_works(tmp_path):
    async with (
        serving(speech_s=0.2) as (_, url),
        browsing(url, tmp_path, microphone=None, width=390) as tab,
    ):
        await tab.run(click("start"))
        await tab.until(f"{STATUS}.includes('without a microphone')")
        assert "microphone" in await tab.run(ALERT)
        await tab.run(choose("text", "hello"))
        await tab.run(click("send"))
        await tab.until(f"{CAPTIONS}.includes('hello') && {CAPTIONS}.includes('what was said')")
        assert await tab.run("document.documentElement.scrollWidth <= window.innerWidth")


async def test_a_dropped_line_is_said(tmp_path, voice):
    async with serving() as (scripted, url), browsing(url, tmp_path, microphone=voice) as tab:
        await tab.run(click("start"))
        await tab.until(f"{STATUS}.startsWith('Connected')")
        (name,) = scripted.queues
        scripted.lose(name)
        await tab.until(f"{STATUS} === 'Disconnected'")
        assert "begin a new conversation" in await tab.run(ALERT)


async def test_a_network_that_goes_away_and_comes_back_is_said(tmp_path, voice):
    async with serving() as (_, url), browsing(url, tmp_path, microphone=voice) as tab:
        await tab.run(choose("transport", "websocket"))
        await tab.run(click("start"))
        await tab.until(f"{STATUS}.startsWith('Connected')")
        await tab.command("Network.enable")
        for offline, said in [(True, "The network is away"), (False, "Connected over WebSocket")]:
            conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
            await tab.command("Network.emulateNetworkConditions", offline=offline, **conditions)
            await tab.until(f"{STATUS}.startsWith('{said}')")


async def test_everything_that_can_be_used_has_a_name(tmp_path, voice):
    async with serving() as (_, url), browsing(url, tmp_path, microphone=voice) as tab:
        tree = await tab.command("Accessibility.getFullAXTree")
        roles = ("button", "textbox", "combobox", "table", "list")
        for node in tree["nodes"]:
            if node.get("role", {}).get("value") in roles[:3] and not node["ignored"]:
                assert node["name"]["value"], node
        await tab.run(click("camera"))
        await tab.until("document.getElementById('preview-video').videoWidth > 0")
        note = await tab.run("document.getElementById('preview-note').textContent")
        assert "stays in your browser" in note
