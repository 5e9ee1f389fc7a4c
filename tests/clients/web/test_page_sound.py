"""The page's sound: its two ends in the audio thread, at whatever rate the browser has them run."""

import json

import numpy as np
import pytest

from streaming.engine.messages.commands import UserAudioStop
from tests.clients.web.browser import browsing
from tests.clients.web.rig import (
    ALERT,
    BROWSER,
    CAPTIONS,
    STATUS,
    choose,
    click,
    serving,
)

pytestmark = BROWSER

RATE_HZ = 24_000
QUANTUM = 128
RATES = (24_000, 44_100, 48_000, 16_000)

# A worklet's surroundings, at a rate of their own; what its nodes post is kept.
STAGE = """window.stage = async (rate) => {
    const kinds = {};
    window.sampleRate = rate;
    window.AudioWorkletProcessor = class {
        posts = [];
        port = { postMessage: (message) => this.posts.push(message) };
    };
    window.registerProcessor = (name, kind) => { kinds[name] = kind; };
    window.stages = (window.stages ?? 0) + 1; // each has the module to itself
    await import(`/web/worklets.js?stage=${window.stages}`);
    return kinds;
}; true"""
RECORD = """window.stage(RATE).then(({ recorder }) => {
    const node = new recorder();
    const heard = SAMPLES;
    for (let at = 0; at + 128 <= heard.length; at += 128) {
        node.process([[Float32Array.from(heard.slice(at, at + 128))]], []);
    }
    node.process([[]], []);
    return node.posts.map((chunk) => [...chunk]);
})"""
# Plays chunks, then goes on for a while; after `cut` quanta it is told to be silent.
PLAY = """window.stage(RATE).then(({ player }) => {
    const node = new player();
    const played = [];
    for (const chunk of CHUNKS) node.port.onmessage({ data: Float32Array.from(chunk) });
    for (let quantum = 0; quantum < QUANTA; quantum++) {
        if (quantum === CUT) node.port.onmessage({ data: 'clear' });
        const out = new Float32Array(128);
        node.process([], [[out]]);
        played.push(...out);
    }
    return { played, posts: node.posts };
})"""


def tone(hz, rate_hz, seconds):
    return np.sin(2 * np.pi * hz * np.arange(int(rate_hz * seconds)) / rate_hz)


def apart(samples, hz, rate_hz):
    """The level of a tone in samples, and of all else that is in them."""
    samples = samples[len(samples) // 4 : -len(samples) // 4]
    at = 2j * np.pi * hz * np.arange(len(samples)) / rate_hz
    basis = np.stack([np.exp(at).real, np.exp(at).imag], axis=1)
    weights, *_ = np.linalg.lstsq(basis, samples, rcond=None)
    rest = samples - basis @ weights
    return float(np.hypot(*weights)), float(np.sqrt(np.mean(rest**2)))


def script(source, **values):
    for name, value in values.items():
        source = source.replace(name, json.dumps(value))
    return source


def rounded(samples):
    return [round(float(sample), 6) for sample in samples]


@pytest.fixture
async def stage(tmp_path):
    async with serving() as (_, url), browsing(url, tmp_path, microphone=None) as tab:
        await tab.run(STAGE)
        yield tab


async def test_the_recorder_gives_24_khz_whatever_it_hears(stage):
    for rate in RATES:
        heard = tone(1_000, rate, 0.5)
        chunks = await stage.run(script(RECORD, RATE=rate, SAMPLES=rounded(heard)))
        assert {len(chunk) for chunk in chunks} == {960}
        assert 11 <= len(chunks) <= 12, rate  # half a second, but for what is not a whole chunk
        level, rest = apart(np.concatenate(chunks), 1_000, RATE_HZ)
        assert abs(level - 1) < 0.01, rate
        assert rest < 0.002, rate


async def test_what_24_khz_cannot_hold_is_not_heard_as_something_else(stage):
    for rate in (44_100, 48_000):
        heard = tone(15_000, rate, 0.25)
        chunks = await stage.run(script(RECORD, RATE=rate, SAMPLES=rounded(heard)))
        assert np.abs(np.concatenate(chunks)[200:]).max() < 0.01, rate


async def test_the_player_gives_the_rate_of_its_context(stage):
    sent = tone(1_000, RATE_HZ, 0.3)
    chunks = [rounded(chunk) for chunk in np.split(sent, [700, 3_000, 3_001])]
    for rate in RATES:
        quanta = int(0.4 * rate / QUANTUM)
        result = await stage.run(script(PLAY, RATE=rate, CHUNKS=chunks, QUANTA=quanta, CUT=-1))
        played = np.array(result["played"])
        whole = int(0.3 * rate)
        assert np.abs(played[whole:]).max() == 0, rate
        level, rest = apart(played[:whole], 1_000, rate)
        assert abs(level - 1) < 0.01, rate
        assert rest < 0.002, rate  # chunks are no seams
        assert result["posts"][-1] == len(sent), "counted in samples of the line"


async def test_the_player_tells_what_changed_and_not_more_often_than_20_ms(
    stage,
):
    sent = [rounded(tone(500, RATE_HZ, 0.5))]
    options = {"RATE": RATE_HZ, "CHUNKS": sent, "QUANTA": 400}
    posts = (await stage.run(script(PLAY, CUT=-1, **options)))["posts"]
    assert posts[-1] == 12_000
    assert 20 <= len(posts) <= 26, "half a second, and then nothing"
    steps = np.diff([0, *posts])
    assert all(steps[:-1] >= 480)
    # Cut short, it is exact at once.
    posts = (await stage.run(script(PLAY, CUT=10, **options)))["posts"]
    assert posts[-1] == 10 * QUANTUM


REFUSES = """(() => {
    const source = AudioContext.prototype.createMediaStreamSource;
    window.rates = [];
    AudioContext.prototype.createMediaStreamSource = function (stream) {
        if (this.sampleRate === 24000) throw new DOMException('other rates', 'NotSupportedError');
        window.rates.push(this.sampleRate);
        return source.call(this, stream);
    };
    return true;
})()"""


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
async def test_a_browser_that_takes_no_stream_at_another_rate_has_a_spoken_turn(
    tmp_path, voice, transport
):
    async with (
        serving(speech_s=0.5) as (scripted, url),
        browsing(url, tmp_path, microphone=voice) as tab,
    ):
        await tab.run(REFUSES)
        await tab.run(choose("transport", transport))
        await tab.run(click("start"))
        await tab.until(f"{STATUS}.startsWith('Connected')")
        await tab.until(f"{CAPTIONS}.includes('what was said')")
        await tab.until("document.querySelectorAll('#turns td').length === 5")
        await tab.until("document.getElementById('interrupt').hidden")
        assert scripted.of(UserAudioStop)
        assert await tab.run(ALERT) == ""
        assert await tab.run("window.rates.length > 0")
