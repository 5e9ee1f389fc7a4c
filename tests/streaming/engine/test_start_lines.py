"""What a start says of itself: no line twice, and a quarter at a time."""

from streaming.engine.messages.events import EngineLoading
from streaming.engine.start_lines import StartLines


def test_a_line_for_each_stage_and_each_quarter_of_it() -> None:
    lines = StartLines()
    steps = [("loading", None), ("loading", None)]
    steps += [("reading", share) for share in (0.0, 0.1, 0.24, 0.25, 0.5, 0.99, 1.0)]
    said = [lines.line(EngineLoading(stage=stage, fraction=share)) for stage, share in steps]
    assert [line for line in said if line is not None] == [
        "loading", "reading 0%", "reading 25%", "reading 50%", "reading 75%", "reading 100%",
    ]  # fmt: skip
