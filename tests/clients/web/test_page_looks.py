"""Its looks: that it can be read in the dark and in the light, and used without a pointer."""

from tests.clients.web.browser import browsing
from tests.clients.web.rig import BROWSER, serving

pytestmark = BROWSER


def contrast(one, other):
    """The contrast ratio of two colours as a browser tells them (WCAG 2)."""

    def luminance(colour):
        parts = [int(part) / 255 for part in colour.removeprefix("rgb(")[:-1].split(",")]
        lit = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * lit[0] + 0.7152 * lit[1] + 0.0722 * lit[2]

    lights = sorted([luminance(one), luminance(other)])
    return (lights[1] + 0.05) / (lights[0] + 0.05)


async def test_dark_and_light_can_both_be_read(tmp_path, voice):
    look = (
        "['body', 'section', '.hint', '#start'].map((name) => document.querySelector(name))"
        ".map((node) => [node, getComputedStyle(node)])"
        ".map(([node, style]) => [style.color, style.backgroundColor])"
    )
    papers = []
    async with serving() as (_, url), browsing(url, tmp_path, microphone=voice) as tab:
        for scheme in ("light", "dark"):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            await tab.command("Emulation.setEmulatedMedia", features=features)
            (ink, body), (_, card), (soft, _), (label, button) = await tab.run(look)
            paper = await tab.run("getComputedStyle(document.documentElement).backgroundColor")
            assert body == "rgba(0, 0, 0, 0)"
            for text, ground in [(ink, paper), (ink, card), (soft, card), (label, button)]:
                assert contrast(text, ground) >= 4.5, (scheme, text, ground)
            papers.append(paper)
    assert contrast(*papers) > 10


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
