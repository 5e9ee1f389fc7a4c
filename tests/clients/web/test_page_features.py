"""What the page promises beside a turn: fallback, captions, levels, voices, barge-in, its looks."""

import asyncio
import json

import pytest

from streaming.engine.messages.commands import Respond, TruncateItem, UserAudioStop
from tests.clients.web.browser import browsing
from tests.clients.web.rig import ALERT, BROWSER, CAPTIONS, SAY, STATUS, choose, click, serving

pytestmark = BROWSER

ANNOUNCED = "document.getElementById('announcer').textContent"
# No packet may leave this browser but through a proxy for UDP, of which there is none.
NO_UDP = ["--webrtc-ip-handling-policy=disable_non_proxied_udp"]
CUT = "document.querySelectorAll('#captions li[data-cut]').length > 0"


def scale(meter):
    """How far a level meter is out, 0 to 1."""
    style = f"document.getElementById('{meter}').style.transform"
    return f"Number(({style} || 'scaleX(0)').slice(7, -1))"


async def test_where_webrtc_finds_no_path_the_websocket_takes_over(tmp_path, voice):
    async with (
        serving({"call_connect_timeout_s": 5}, speech_s=0.5) as (scripted, url),
        browsing(url, tmp_path, microphone=voice, flags=NO_UDP) as tab,
    ):
        await tab.run(click("start"))
        await tab.until(f"{STATUS} === 'Connected over WebSocket'")
        await tab.until(f"{CAPTIONS}.includes('what was said')")
        assert await tab.run(ALERT) == ""
        async with asyncio.timeout(20):
            while len(scripted.queues) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.1)


async def test_webrtc_alone_says_that_it_found_no_path(tmp_path, voice):
    async with (
        serving({"call_connect_timeout_s": 5}) as (_, url),
        browsing(url, tmp_path, microphone=voice, flags=NO_UDP) as tab,
    ):
        await tab.run(choose("transport", "webrtc"))
        await tab.run(click("start"))
        await tab.until(f"{STATUS} === 'Not connected'")
        assert "No path to the server" in await tab.run(ALERT)


async def test_both_sides_are_captioned_and_read_out_once_complete(tmp_path, voice):
    async with (
        serving(speech_s=0.5) as (_, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(
            "window.told = []; new MutationObserver(() => "
            f"window.told.push({ANNOUNCED})).observe(document.getElementById('announcer'), "
            "{ childList: true }); true"
        )
        await tab.run(click("start"))
        await tab.until(f"{CAPTIONS}.includes('What is it?') && {CAPTIONS}.includes('what was')")
        lines = await tab.run(
            "[...document.querySelectorAll('#captions li')].map((line) => line.innerText)"
        )
        assert [line.split("\n")[0].strip().upper() for line in lines[:2]] == ["YOU", "REPLY"]
        told = await tab.until("window.told.length >= 2 && window.told")
        assert sorted(told[:2]) == ["Reply: what was said", "You: What is it?"]


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
async def test_level_meters_show_who_speaks(tmp_path, voice, transport):
    async with (
        serving(speech_s=2.0) as (_, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        assert await tab.run(scale("mic-level")) == 0
        await tab.run(choose("transport", transport))
        await tab.run(click("start"))
        await tab.until(f"{scale('mic-level')} > 0.4")
        await tab.until(f"{scale('reply-level')} > 0.4 && {scale('mic-level')} < 0.2")
        await tab.until(f"{scale('reply-level')} < 0.2")


async def test_the_voice_that_was_chosen_answers(tmp_path, voice):
    async with (
        serving(speech_s=0.2, voices=("Ada", "Bob")) as (scripted, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        assert await tab.run(
            "[...document.getElementById('voice').options].map((o) => o.value)"
        ) == [
            "Ada",
            "Bob",
        ]
        assert await tab.run("document.getElementById('model').value") == "scripted"
        await tab.run(choose("voice", "Bob"))
        await tab.run(click("start"))
        await tab.until(f"{CAPTIONS}.includes('what was said')")
        assert scripted.of(Respond)[0].voice == "Bob"


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
async def test_a_reply_is_cut_by_voice(tmp_path, voice, transport):
    # Longer than the pause before the fake microphone asks again.
    async with (
        serving(speech_s=30.0) as (scripted, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(choose("transport", transport))
        await tab.run(click("start"))
        await tab.until(CUT, timeout_s=60)
        cut = scripted.of(TruncateItem)
        assert cut
        assert 1_000 < cut[-1].audio_end_ms < 20_000
        await tab.until(f"{scale('reply-level')} < 0.2")


SHOWN = "!document.getElementById('interrupt').hidden"


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
async def test_a_reply_is_cut_by_the_button(tmp_path, voice, transport):
    async with (
        serving(speech_s=30.0) as (scripted, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(choose("transport", transport))
        await tab.run(choose("mode", "push"))
        await tab.run(SAY)
        await tab.until(f"{scale('reply-level')} > 0.4")
        assert await tab.run(SHOWN), "it is all here, and is played"
        await tab.run(click("interrupt"))
        await tab.until(f"{scale('reply-level')} < 0.2")
        await tab.until(CUT)
        assert len(scripted.of(TruncateItem)) == 1
        assert not await tab.run(SHOWN)


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
async def test_a_reply_that_was_played_to_its_end_is_not_to_be_interrupted(
    tmp_path, voice, transport
):
    async with (
        serving(speech_s=1.0) as (scripted, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(choose("transport", transport))
        await tab.run(choose("mode", "push"))
        await tab.run(SAY)
        await tab.until(SHOWN)
        await tab.until(f"!({SHOWN})")
        await tab.run(SAY)
        await tab.until(SHOWN)
        await tab.until(f"!({SHOWN})")
        assert len(scripted.of(Respond)) == 2
        assert scripted.of(TruncateItem) == []


def press(kind):
    event = f"new KeyboardEvent('{kind}', {{ key: ' ' }})"
    return f"document.getElementById('hold').dispatchEvent({event})"


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
async def test_who_takes_the_word_cuts_what_is_still_played(tmp_path, voice, transport):
    async with (
        serving(speech_s=30.0) as (scripted, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(choose("transport", transport))
        await tab.run(choose("mode", "push"))
        await tab.run(click("start"))
        await tab.until(f"{STATUS}.startsWith('Connected')")
        await tab.run(press("keydown"))
        await tab.until(f"{scale('mic-level')} > 0.4")
        await tab.run(press("keyup"))
        await tab.until(f"{scale('reply-level')} > 0.4")
        await tab.run(press("keydown"))
        await tab.until(CUT)
        await tab.until(f"{scale('reply-level')} < 0.2")
        assert len(scripted.of(TruncateItem)) == 1
        await tab.run(press("keyup"))
        await tab.run(SAY)
        await tab.until(f"{scale('reply-level')} > 0.4")
        await tab.run(SAY)
        async with asyncio.timeout(20):
            while len(scripted.of(TruncateItem)) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


TAP = f"{press('keydown')}; {press('keyup')}"


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
async def test_a_tap_on_the_button_to_hold_asks_nothing(tmp_path, voice, transport):
    async with (
        serving(speech_s=0.5) as (scripted, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(choose("transport", transport))
        await tab.run(choose("mode", "push"))
        await tab.run(click("start"))
        await tab.until(f"{STATUS}.startsWith('Connected')")
        await tab.run(TAP)
        await tab.run(SAY)  # in order behind it
        await tab.until(f"{CAPTIONS}.includes('what was said')")
        assert len(scripted.of(Respond)) == 1
        assert scripted.of(UserAudioStop) == []
        assert await tab.run(ALERT) == ""


async def test_what_an_event_complained_of_goes_with_the_next_turn(tmp_path, voice):
    async with (
        serving(speech_s=0.5) as (_, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(choose("transport", "websocket"))
        await tab.run(choose("mode", "push"))
        await tab.run(click("start"))
        await tab.until(f"{STATUS}.startsWith('Connected')")
        # Held for long enough, with a microphone that gives nothing: a turn without sound.
        await tab.run(f"{press('keydown')}; {click('mute')}")
        await asyncio.sleep(0.3)
        await tab.run(press("keyup"))
        await tab.until(f"{ALERT} !== '' && {CAPTIONS}.includes('what was said')")
        await tab.run(SAY)
        await tab.until(f"{ALERT} === ''")


async def test_an_answer_can_be_interrupted_from_its_beginning_to_its_last_sound(tmp_path):
    told = """import('/web/answering.js').then(({ Answering }) => {
      const answering = new Answering();
      return EVENTS.map((event) => { answering.take(event); return answering.now; });
    })"""
    spoken = [{"content": [{"type": "output_audio"}]}]
    done = {"type": "response.done", "response": {"status": "completed", "output": spoken}}
    cut = {"type": "response.done", "response": {"status": "cancelled", "output": spoken}}
    call = {"type": "response.done", "response": {"status": "completed", "output": [{"name": "f"}]}}
    created = {"type": "response.created"}
    started, stopped, cleared = (
        {"type": f"output_audio_buffer.{what}"} for what in ("started", "stopped", "cleared")
    )
    async with serving() as (_, url), browsing(url, tmp_path, microphone=None) as tab:
        for events in (
            [created, started, done, stopped],
            [created, done, started, stopped],
            [created, started, done, cleared],
            [created, call],
            [created, cut],
            [created, started, cut, cleared],
        ):
            seen = await tab.run(told.replace("EVENTS", json.dumps(events)))
            assert seen == [True] * (len(events) - 1) + [False], events
