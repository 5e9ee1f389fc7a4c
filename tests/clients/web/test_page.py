"""The page in a real browser: a spoken turn over both transports, keys, and clear words."""

import asyncio

import pytest

from streaming.engine.messages.commands import UserAudioStop, UserFrame
from tests.clients.web.browser import browsing
from tests.clients.web.rig import ALERT, BROWSER, CAPTIONS, SEES, STATUS, choose, click, serving

pytestmark = BROWSER


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


NOTE = "document.getElementById('preview-note').textContent"
# What the fake camera gives, 640 × 480, scaled down to the pixels that the server takes of it;
# over WebRTC to an even number of them each way.
SIZES = {"webrtc": (386, 516), "websocket": (387, 517)}


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
async def test_the_model_sees_what_the_camera_shows(tmp_path, voice, transport):
    async with (
        serving(inputs=SEES) as (scripted, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(choose("transport", transport))
        await tab.run(click("camera"))
        await tab.until("document.getElementById('preview-video').videoWidth > 0")
        assert "stays in your browser" in await tab.run(NOTE)
        await tab.run(click("start"))
        await tab.until(f"{STATUS}.startsWith('Connected')")
        assert await tab.run(NOTE) == "The model sees this."
        await tab.until(f"{CAPTIONS}.includes('what was said')")
        frames = [message.frame for message in scripted.of(UserFrame)]
        assert len(frames) >= 4
        assert {(frame.rows, frame.columns) for frame in frames} == {SIZES[transport]}
        assert len({frame.pixels for frame in frames}) > 1, "the pictures move"
        assert await tab.run(ALERT) == ""
        # Turned off, nothing more of it leaves the browser.
        await tab.run(click("camera"))
        await tab.until("document.getElementById('preview').hidden")
        sent = len(scripted.of(UserFrame))
        turns = len(scripted.of(UserAudioStop))
        async with asyncio.timeout(60):
            while len(scripted.of(UserAudioStop)) < turns + 2:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert len(scripted.of(UserFrame)) <= sent + 1


async def test_no_picture_leaves_for_a_model_without_eyes(tmp_path, voice):
    async with (
        serving() as (scripted, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(choose("transport", "websocket"))
        await tab.run(click("camera"))
        await tab.until("document.getElementById('preview-video').videoWidth > 0")
        await tab.run(click("start"))
        await tab.until(f"{CAPTIONS}.includes('what was said')")
        assert "takes no video" in await tab.run(NOTE)
        assert scripted.of(UserFrame) == []
        assert await tab.run(ALERT) == "", "the server would have refused one"


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
        assert len(scripted.of(UserAudioStop)) == 1


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
