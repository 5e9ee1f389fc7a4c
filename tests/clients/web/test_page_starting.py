"""How the page begins a conversation: once, with what was chosen then, and never for ever."""

import pytest

from tests.clients.web.browser import browsing
from tests.clients.web.rig import (
    BROWSER,
    CAPTIONS,
    SAY,
    SEES,
    STATUS,
    choose,
    click,
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
