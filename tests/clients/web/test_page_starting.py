"""How the page begins a conversation: once, with what was chosen then, and never for ever."""

import asyncio

import pytest

from streaming.engine.messages.commands import OpenConversation, Respond
from tests.clients.web.browser import browsing
from tests.clients.web.rig import (
    ALERT,
    BROWSER,
    CAPTIONS,
    SAY,
    SEES,
    STATUS,
    choose,
    click,
    focus,
    serving,
)

pytestmark = BROWSER

FOCUS = "document.activeElement.id"
TEXT = "document.getElementById('text').value"
# Every limit of time that the page sets on a request is over soon.
IMPATIENT = (
    "const limit = AbortSignal.timeout; AbortSignal.timeout = () => limit.call(AbortSignal, 300)"
)


def hang(path):
    """Requests to `path` are never answered."""
    return f"""(() => {{
        {IMPATIENT};
        const ask = window.fetch;
        window.fetch = (url, options) => !url.startsWith('{path}') ? ask(url, options)
          : new Promise((_, reject) => {{
              options.signal?.addEventListener('abort', () => reject(options.signal.reason));
            }});
        return true;
    }})()"""


# Begins, and holds what it asks the server first until `window.goOn()`.
BEGIN_SLOWLY = """(() => {
    const ask = window.fetch;
    const wait = new Promise((resolve) => { window.goOn = () => resolve(true); });
    window.fetch = async (...request) => { await wait; return ask(...request); };
    document.getElementById('start').click();
    return true;
})()"""


def shown(button):
    return f"!document.getElementById('{button}').hidden"


async def test_what_is_chosen_meanwhile_applies_from_the_next_start(tmp_path, voice):
    async with (
        serving(speech_s=0.5, inputs=SEES) as (_, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(choose("transport", "websocket"))
        await tab.run(click("start"))
        await tab.until(f"{STATUS}.startsWith('Connected')")
        await tab.run(choose("mode", "push"))
        await tab.run(choose("model", ""))
        await tab.run(SAY)
        await tab.until(f"{CAPTIONS}.includes('what was said')")
        assert await tab.run(shown("mute")), "the microphone is open, and says so"
        assert not await tab.run(shown("hold"))
        await tab.run(click("camera"))
        await tab.until(shown("preview"))
        note = await tab.run("document.getElementById('preview-note').textContent")
        assert note == "The model sees this."
        await tab.run(choose("model", "scripted"))
        await tab.run(click("start"))
        await tab.run(click("start"))
        await tab.until(f"{STATUS}.startsWith('Connected')")
        assert await tab.run(shown("hold"))
        assert not await tab.run(shown("mute"))


@pytest.mark.parametrize(("mode", "hears"), [("push", False), ("open", True)])
async def test_push_to_talk_sends_no_sound_before_it_is_pressed(tmp_path, voice, mode, hears):
    spy = """const add = RTCPeerConnection.prototype.addTrack;
        RTCPeerConnection.prototype.addTrack = function (track, ...streams) {
          window.heard = track;
          window.heardAtOnce = track.enabled;
          return add.call(this, track, ...streams);
        }; true"""
    async with serving() as (_, url), browsing(url, tmp_path, microphone=voice) as tab:
        await tab.run(spy)
        await tab.run(choose("mode", mode))
        await tab.run(click("start"))
        await tab.until(f"{STATUS} === 'Connected over WebRTC'")
        assert await tab.run("window.heardAtOnce") is hears
        assert await tab.run("window.heard.enabled") is hears


async def test_a_second_submit_while_it_connects_is_not_a_second_conversation(tmp_path):
    async with (
        serving(speech_s=0.2) as (scripted, url),
        browsing(url, tmp_path, microphone=None) as tab,
    ):
        await tab.run(choose("transport", "websocket"))
        await tab.run(f"{SAY}; {click('send')}")
        await tab.until(f"{CAPTIONS}.includes('what was said')")
        assert len(scripted.of(OpenConversation)) == 1
        assert len(scripted.of(Respond)) == 1
        assert await tab.run(TEXT) == ""


async def test_what_is_typed_while_it_connects_goes_into_the_same_conversation(tmp_path, voice):
    async with (
        serving(speech_s=0.2) as (scripted, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(choose("mode", "push"))
        await tab.run(BEGIN_SLOWLY)
        await tab.run(SAY)
        await tab.run(click("start"))  # of no effect
        assert await tab.run(TEXT) == ""
        await tab.run("window.goOn()")
        await tab.until(f"{CAPTIONS}.includes('what was said')")
        assert await tab.run(STATUS) == "Connected over WebRTC"
        assert len(scripted.of(OpenConversation)) == 1


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
async def test_all_that_is_typed_while_it_connects_is_answered_at_once(tmp_path, voice, transport):
    async with (
        serving(speech_s=2.0) as (scripted, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(choose("transport", transport))
        await tab.run(choose("mode", "push"))
        await tab.run(BEGIN_SLOWLY)
        for text in ("One.", "Two.", "Three."):
            await tab.run(f"{choose('text', text)}; {click('send')}")
        await tab.run("window.goOn()")
        await tab.until(f"{CAPTIONS}.includes('what was said')")
        told = await tab.run(CAPTIONS)
        places = [told.index(text) for text in ("One.", "Two.", "Three.", "what was said")]
        assert places == sorted(places)
        assert len(scripted.of(Respond)) == 1
        assert await tab.run(ALERT) == ""


async def test_what_could_not_be_sent_stays_to_be_sent_again(tmp_path):
    async with serving() as (_, url), browsing(url, tmp_path, microphone=None) as tab:
        await tab.run("window.fetch = () => Promise.reject(new TypeError('no network')); true")
        await tab.run(choose("transport", "webrtc"))
        await tab.run(f"{SAY}; {choose('text', 'Now?')}; {click('send')}")
        await tab.until(f"{STATUS} === 'Not connected'")
        await tab.until(f"{TEXT} === 'Well? Now?'")
        assert "cannot be reached" in await tab.run(ALERT)


@pytest.mark.parametrize("path", ["/v1/realtime/ice-servers", "/v1/realtime/calls"])
async def test_where_webrtc_is_never_answered_the_websocket_takes_over(tmp_path, voice, path):
    async with serving() as (_, url), browsing(url, tmp_path, microphone=voice) as tab:
        await tab.run(hang(path))
        await tab.run(click("start"))
        await tab.until(f"{STATUS} === 'Connected over WebSocket'", timeout_s=10)
        assert await tab.run(ALERT) == ""


async def test_models_that_never_come_are_not_waited_for(tmp_path, voice):
    async with serving() as (_, url), browsing(url, tmp_path, microphone=voice) as tab:
        await tab.run(hang("/v1/"))
        await tab.run(choose("model", ""))
        await tab.run(click("start"))
        await tab.until(f"{STATUS} === 'Not connected'", timeout_s=10)
        assert "cannot be reached" in await tab.run(ALERT)


async def test_the_focus_stays_on_a_button_that_waits(tmp_path, voice):
    waits = "document.getElementById('{}').getAttribute('aria-disabled') === 'true'"
    async with serving() as (_, url), browsing(url, tmp_path, microphone=voice) as tab:
        await tab.run(focus("start"))
        await tab.run(BEGIN_SLOWLY)
        assert await tab.run(waits.format("start"))
        assert await tab.run(FOCUS) == "start"
        await tab.run("window.goOn()")
        await tab.until(f"{STATUS}.startsWith('Connected')")
        await tab.until(f"!({waits.format('start')})")
        assert await tab.run(FOCUS) == "start"
        await tab.run(
            "const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
            "const wait = new Promise((resolve) => { window.give = () => resolve(true); });"
            "window.asked = 0; navigator.mediaDevices.getUserMedia ="
            " async (what) => { window.asked += 1; await wait; return ask(what); }; true"
        )
        await tab.run(focus("camera"))
        await tab.run(click("camera"))
        await tab.run(click("camera"))  # of no effect
        assert await tab.run(waits.format("camera"))
        assert await tab.run(FOCUS) == "camera"
        await tab.run("window.give()")
        await tab.until(shown("preview"))
        await tab.until(f"!({waits.format('camera')})")
        assert await tab.run(FOCUS) == "camera"
        assert await tab.run("window.asked") == 1


@pytest.mark.parametrize(("mode", "next_one"), [("push", "hold"), ("open", "mute")])
async def test_the_focus_moves_on_from_a_button_that_goes(tmp_path, voice, mode, next_one):
    async with (
        serving(speech_s=30.0) as (scripted, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(choose("transport", "websocket"))
        await tab.run(choose("mode", mode))
        await tab.run(click("start"))
        await tab.until(f"{STATUS}.startsWith('Connected')")
        await tab.run(SAY)
        await tab.until(shown("interrupt"))
        await tab.run(focus("interrupt"))
        await tab.run(click("interrupt"))
        assert not await tab.run(shown("interrupt"))
        assert await tab.run(FOCUS) == next_one
        # And from there, once the line is lost, to where it begins again.
        (name,) = scripted.queues
        scripted.lose(name)
        await tab.until(f"{STATUS} === 'Disconnected'")
        assert await tab.run(FOCUS) == "start"


async def test_the_word_on_the_start_button_is_written_only_when_it_changes(tmp_path):
    async with (
        serving(speech_s=0.2) as (_, url),
        browsing(url, tmp_path, microphone=None) as tab,
    ):
        await tab.run(
            "window.writes = []; new MutationObserver(() => window.writes.push("
            "document.getElementById('start').textContent))"
            ".observe(document.getElementById('start'), { childList: true }); true"
        )
        await tab.run(choose("transport", "websocket"))
        await tab.run(SAY)
        await tab.until(shown("interrupt"))
        await tab.until(f"!({shown('interrupt')})")
        await tab.run(click("start"))
        await tab.until("window.writes.length > 1")
        await asyncio.sleep(0)
        assert await tab.run("window.writes") == ["Stop", "Start talking"]


async def test_only_the_main_button_of_a_pointer_holds(tmp_path, voice):
    async with serving() as (_, url), browsing(url, tmp_path, microphone=voice) as tab:
        await tab.run(choose("transport", "websocket"))
        await tab.run(choose("mode", "push"))
        await tab.run(click("start"))
        await tab.until(shown("hold"))
        box = "document.getElementById('hold').getBoundingClientRect()"
        where = {"x": await tab.run(f"{box}.x") + 9, "y": await tab.run(f"{box}.y") + 9}
        for button, held in (("right", False), ("middle", False), ("left", True)):
            press = {"button": button, "clickCount": 1, **where}
            await tab.command("Input.dispatchMouseEvent", type="mousePressed", **press)
            word = await tab.run("document.getElementById('hold').textContent")
            assert (word == "Listening …") is held, button
            await tab.command("Input.dispatchMouseEvent", type="mouseReleased", **press)
