"""Its looks: that it can be read in the dark and in the light, and used without a pointer."""

from tests.clients.web.browser import browsing
from tests.clients.web.looks import assert_readable
from tests.clients.web.rig import BROWSER, serving

pytestmark = BROWSER


TEXTS = ["body", ".hint", "#start", "#send", "#alert", "#status", "summary", "th", "td", "label"]
THINGS = ["button:not(.primary)", "button.primary", "select", "input", "textarea"]
CAPTIONS = """import('/web/captions.js').then(({ Captions }) => {
    const $ = (id) => document.getElementById(id);
    const captions = new Captions($('captions'), $('empty'), $('announcer'));
    for (const role of ['user', 'assistant']) captions.show({ id: role, role, text: 'Well.' });
    document.querySelectorAll('[hidden]').forEach((node) => { node.hidden = false; });
    $('settings').open = true;
    return true;
})"""


async def test_dark_and_light_can_both_be_read(tmp_path, voice):
    async with serving() as (_, url), browsing(url, tmp_path, microphone=voice) as tab:
        await tab.run(CAPTIONS)
        await assert_readable(tab, texts=[*TEXTS, "#captions li", ".who"], things=THINGS)


LONG = """import('/web/captions.js').then(({ Captions }) => {
    const $ = (id) => document.getElementById(id);
    const captions = new Captions($('captions'), $('empty'), $('announcer'));
    const list = $('captions');
    const isAtEnd = () => list.scrollHeight - list.clientHeight - list.scrollTop < 2;
    const words = (id, count) => {
        captions.show({ id, role: 'assistant', text: 'words '.repeat(count) });
    };
    const seen = [];
    words('a', 2000);
    words('b', 1);
    seen.push(isAtEnd());
    words('b', 2000);
    seen.push(isAtEnd());
    list.scrollTop = 100;
    words('b', 3000);
    words('c', 1);
    seen.push(list.scrollTop === 100);
    list.scrollTop = list.scrollHeight;
    words('c', 2000);
    seen.push(isAtEnd());
    return seen;
})"""


async def test_captions_follow_the_words_until_one_reads_back(tmp_path):
    async with serving() as (_, url), browsing(url, tmp_path, microphone=None) as tab:
        assert await tab.run(LONG) == [True, True, True, True]


async def test_the_keyboard_reaches_everything_in_order(tmp_path, voice):
    async with serving() as (_, url), browsing(url, tmp_path, microphone=voice) as tab:
        await tab.run("document.getElementById('settings').open = true; true")
        reached = []
        for _ in range(14):
            key = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
            await tab.command("Input.dispatchKeyEvent", type="keyDown", **key)
            await tab.command("Input.dispatchKeyEvent", type="keyUp", **key)
            reached.append(
                await tab.run("document.activeElement.id || document.activeElement.tagName")
            )
        order = ["start", "camera", "captions", "text", "send", "SUMMARY", "model", "voice"]
        order += ["mode", "transport", "key", "instructions"]
        assert [name for name in reached if name in order][: len(order)] == order
