"""What can be told apart on a page: contrasts of colours, as WCAG 2 counts them."""

TEXT = 4.5
THING = 3.0  # an edge or a filled shape that has to be seen
SCHEMES = ("light", "dark")

# The colour of a thing: of its edge where it has one, else of all of it. Its ground: the nearest
# background that is not clear.
LOOK = """(names) => {
    const clear = 'rgba(0, 0, 0, 0)';
    const ground = (node) => {
        for (let at = node; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (colour !== clear) return colour;
        }
    };
    return names.flatMap((name) => [...document.querySelectorAll(name)].map((node) => {
        const { color, borderTopColor, borderTopWidth, backgroundColor } = getComputedStyle(node);
        const edge = borderTopWidth === '0px' ? backgroundColor : borderTopColor;
        return { name, color, ground: ground(node), edge, behind: ground(node.parentElement) };
    }));
}"""


def contrast(one, other):
    """The contrast ratio of two colours as a browser tells them (WCAG 2)."""

    def luminance(colour):
        parts = [int(part) / 255 for part in colour.removeprefix("rgb(")[:-1].split(",")]
        lit = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * lit[0] + 0.7152 * lit[1] + 0.0722 * lit[2]

    lights = sorted([luminance(one), luminance(other)])
    return (lights[1] + 0.05) / (lights[0] + 0.05)


async def assert_readable(tab, *, texts, things):
    """Texts stand out from their ground, and things from what lies behind them, in both schemes."""
    papers = []
    for scheme in SCHEMES:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await tab.command("Emulation.setEmulatedMedia", features=features)
        for names, least, pair in (
            (texts, TEXT, ("color", "ground")),
            (things, THING, ("edge", "behind")),
        ):
            seen = await tab.run(f"({LOOK})({names})")
            assert {look["name"] for look in seen} == set(names)
            for look in seen:
                one, other = (look[part] for part in pair)
                assert contrast(one, other) >= least, (scheme, look)
        papers.append(await tab.run(f"({LOOK})(['body'])[0].ground"))
    assert contrast(*papers) > 10
