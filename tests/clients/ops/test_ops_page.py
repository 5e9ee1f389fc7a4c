"""The operator page in a real browser: locked, opened, and what it shows."""

import httpx
import pytest

from server.telemetry.names import TTFA_STAGES
from tests.clients.web.browser import CHROMIUM, browsing
from tests.clients.web.looks import assert_readable
from tests.clients.web.test_page import ALERT, STATUS, serving

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here"),
]

KEY = "an operator's key"
QUESTION = {
    "model": "scripted",
    "messages": [{"role": "user", "content": "hello"}],
    "modalities": ["text", "audio"],
    "audio": {"voice": "Ada", "format": "pcm16"},
}
BEGUN = "document.getElementById('unlock') !== null && document.readyState === 'complete'"


def enter(key):
    return f"""(() => {{
        document.getElementById('key').value = "{key}";
        document.getElementById('unlock').requestSubmit();
        return true;
    }})()"""


async def test_a_key_opens_the_page_and_it_shows_the_last_reply(tmp_path):
    async with serving({"admin_key": KEY}) as (_, url):
        async with httpx.AsyncClient() as http:
            answer = await http.post(url + "v1/chat/completions", json=QUESTION)
            assert answer.status_code == 200
        page = browsing(url + "ops", tmp_path, microphone=None, ready=BEGUN)
        async with page as tab:
            assert await tab.run(STATUS) == "Locked"
            assert await tab.run("document.activeElement.id") == "key"
            await tab.run(enter("a wrong key of somebody's"))
            await tab.until(f"{ALERT} === 'That is not the admin key.'")
            await tab.run(enter(KEY))
            await tab.until(f"{STATUS} === 'Live'")
            board = "document.getElementById('board')"
            assert await tab.run(f"getComputedStyle({board}).display") == "block"
            await tab.until("document.getElementById('replies').children.length === 1")
            told = await tab.run("document.getElementById('replies').textContent")
            assert "completed" in told
            assert "From asking to the first text" in told  # the bar in words
            assert await tab.run("document.querySelectorAll('.track span').length") == 2
            # Nothing is wider than a small window: tables scroll within themselves.
            await tab.command(
                "Emulation.setDeviceMetricsOverride",
                width=360,
                height=800,
                deviceScaleFactor=1,
                mobile=True,
            )
            assert await tab.run("document.documentElement.scrollWidth") <= 360
            for seen in (".replies .track", "#percentiles td:last-child", "#replies td:last-child"):
                await tab.until(
                    f"document.querySelector('{seen}').getBoundingClientRect().right <= 360"
                )


HANGS = """(() => {
    const limit = AbortSignal.timeout;
    AbortSignal.timeout = () => limit.call(AbortSignal, 200);
    window.fetch = (url, options) => new Promise((_, reject) => {
        options.signal?.addEventListener('abort', () => reject(options.signal.reason));
    });
    return true;
})()"""
LOOK = "document.dispatchEvent(new Event('visibilitychange')); true"


async def test_a_server_that_hangs_is_not_live(tmp_path):
    async with (
        serving({"admin_key": KEY}) as (_, url),
        browsing(url + "ops", tmp_path, microphone=None, ready=BEGUN) as tab,
    ):
        await tab.run(enter(KEY))
        await tab.until(f"{STATUS} === 'Live'")
        await tab.run(HANGS)
        await tab.until(f"{STATUS} === 'Lost'", timeout_s=10)
        assert "No word from the server" in await tab.run(ALERT)


async def test_an_engine_that_says_nothing_is_not_shown_as_up(tmp_path):
    async with (
        serving({"admin_key": KEY}) as (engine, url),
        browsing(url + "ops", tmp_path, microphone=None, ready=BEGUN) as tab,
    ):
        tiles = "document.getElementById('tiles').textContent"
        await tab.run(enter(KEY))
        await tab.until(f"{tiles}.includes('Engineup')")
        engine.silent_s = 12.0
        await tab.run(LOOK)
        await tab.until(f"{tiles}.includes('Enginesilent for 12 s')")


async def test_an_alert_is_written_once_however_long_it_lasts(tmp_path):
    counted = """(() => {
        const ask = window.fetch;
        window.asked = window.written = 0;
        window.fetch = () => { window.asked += 1; return Promise.reject(new TypeError('gone')); };
        window.comeBack = () => { window.fetch = ask; return true; };
        const alert = document.getElementById('alert');
        new MutationObserver(() => { window.written += 1; }).observe(alert, { childList: true });
        return true;
    })()"""
    async with (
        serving({"admin_key": KEY}) as (_, url),
        browsing(url + "ops", tmp_path, microphone=None, ready=BEGUN) as tab,
    ):
        await tab.run(enter(KEY))
        await tab.until(f"{STATUS} === 'Live'")
        await tab.run(counted)
        for _ in range(3):
            await tab.run(LOOK)
            await tab.until(f"{STATUS} === 'Lost'")
        assert await tab.run("window.asked") >= 3
        assert await tab.run("window.written") == 1
        await tab.run("window.comeBack()")
        await tab.run(LOOK)
        await tab.until(f"{STATUS} === 'Live' && {ALERT} === ''")


async def test_a_second_wrong_key_is_told_again(tmp_path):
    async with (
        serving({"admin_key": KEY}) as (_, url),
        browsing(url + "ops", tmp_path, microphone=None, ready=BEGUN) as tab,
    ):
        await tab.run(
            "window.told = []; new MutationObserver(() => "
            f"window.told.push({ALERT})).observe(document.getElementById('alert'), "
            "{ childList: true }); true"
        )
        for count in (1, 3):
            await tab.run(enter("a wrong key of somebody's"))
            await tab.until(f"window.told.length === {count}")
        wrong = "That is not the admin key."
        assert await tab.run("window.told") == [wrong, "", wrong]


async def test_dark_and_light_can_both_be_read(tmp_path):
    texts = ["body", "form .hint", "#status", "#alert", "#tiles dt", "thead th"]
    things = ["input", "button", "#legend span"]
    colours = """(() => {
        document.querySelectorAll('[hidden]').forEach((node) => { node.hidden = false; });
        const stages = [...document.querySelectorAll('#legend span')];
        return stages.map((node) => getComputedStyle(node).backgroundColor);
    })()"""
    async with (
        serving({"admin_key": KEY}) as (_, url),
        browsing(url + "ops", tmp_path, microphone=None, ready=BEGUN) as tab,
    ):
        await tab.run(enter(KEY))
        await tab.until(f"{STATUS} === 'Live'")
        assert len(set(await tab.run(colours))) == len(TTFA_STAGES)
        await assert_readable(tab, texts=texts, things=things)
