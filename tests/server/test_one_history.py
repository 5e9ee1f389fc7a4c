"""The session's history and the engine's are one: the same items in the same order."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.omni import OmniModel
from server.translate import to_engine, to_protocol
from streaming.engine.engine import Engine
from tests.streaming.engine.conftest import drawing, write_quick
from tests.streaming.engine.driver import SETTINGS, Driver, Talk
from tests.streaming.protocol.rig import LOUD, PROFILE, Rig, text_item

TEXT = {"output_modalities": ["text"], "max_output_tokens": 6}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OmniModel:
    return drawing(write_quick(tmp_path_factory.mktemp("quick"), inputs=["text", "audio"]))


class Both:
    """A session and an engine, with nothing between them but the translation."""

    def __init__(self, model: OmniModel) -> None:
        self.driver = Driver(Engine(model, SETTINGS))
        self.driver.settle(Talk().open())
        self.driver.events.clear()
        profile = dataclasses.replace(PROFILE, voices=("Ada", "Bob"))
        self.rig = Rig(manual=True, profile=profile)
        self.events: list[dict[str, Any]] = []

    def send(self, kind: str, **fields: Any) -> None:
        self.events += self.rig.send(kind, **fields)

    def step(self) -> bool:
        """Lets the engine take what it is asked and run one batch; tells whether any was left."""
        self.driver.say(*(to_engine(command, "c") for command in self.rig.take_commands()))
        busy = self.driver.step()
        for message in self.driver.events:
            event = to_protocol(message)
            assert event is not None, message
            self.events += self.rig.engine(event)
        busy = busy or bool(self.driver.events)
        self.driver.events.clear()
        return busy

    def settle(self) -> None:
        """Lets the engine do all that it is asked."""
        while self.step():
            pass

    def orders(self) -> tuple[list[str], list[str]]:
        """Ids in the session's order, and in the engine's."""
        timeline = self.driver.engine._conversations["c"].timeline
        history = self.rig.session._shared.history
        return history._order, [item.item_id for item in timeline.items]

    def shown(self) -> list[tuple[str, str | None]]:
        """The ids of items as the client is told of them, each with its predecessor."""
        added = [e for e in self.events if e["type"] == "conversation.item.added"]
        return [(e["item"]["id"], e["previous_item_id"]) for e in added]


ACTIONS = st.one_of(
    st.tuples(st.just("hear"), st.sampled_from([100, 300, 2500])),
    st.tuples(st.just("step"), st.integers(1, 6)),
    st.tuples(st.just("respond"), st.sampled_from(["text", "audio"])),
    st.tuples(st.sampled_from(["ask", "commit", "clear", "cancel", "settle"]), st.none()),
    st.tuples(st.sampled_from(["add", "add behind", "delete"]), st.integers(0, 9)),
)


def act(both: Both, action: str, figure: Any, number: int) -> None:
    """Does one thing that a client may do, or lets the engine work."""
    known = [item_id for item_id, _ in both.shown()] or ["none"]
    match action:
        case "hear":
            both.events += both.rig.hear(LOUD, figure)
        case "ask":
            both.events += both.rig.hear(LOUD, 300)
            both.send("input_audio_buffer.commit")
        case "step":
            for _ in range(figure):
                both.step()
        case "settle":
            both.settle()
        case "respond":
            wish = {"output_modalities": [figure], "max_output_tokens": 3}
            both.send("response.create", response=wish)
        case "cancel":
            both.send("response.cancel")
        case "delete":
            both.send("conversation.item.delete", item_id=known[figure % len(known)])
        case "add" | "add behind":
            behind = known[figure % len(known)] if action == "add behind" else None
            item = text_item(id=f"typed_{number}")
            both.send("conversation.item.create", item=item, previous_item_id=behind)
        case _:
            both.send(f"input_audio_buffer.{action}")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(actions=st.lists(ACTIONS, max_size=14))
def test_whatever_a_client_does_both_sides_have_one_order(
    model: OmniModel, actions: list[tuple[str, Any]]
) -> None:
    both = Both(model)
    for number, (action, figure) in enumerate(actions):
        act(both, action, figure, number)
    both.settle()
    ours, engines = both.orders()
    assert engines == ours


def test_a_reply_before_an_open_item_stands_there_on_both_sides(model: OmniModel) -> None:
    both = Both(model)
    both.rig.hear(LOUD, 500)
    both.send("input_audio_buffer.commit")
    both.rig.hear(LOUD, 200)  # the next item is open when the answer is asked for
    both.send("response.create", response=TEXT)
    both.settle()
    both.send("conversation.item.create", item=text_item("and Y?", id="typed"))
    both.settle()
    both.send("input_audio_buffer.commit")
    both.settle()
    ours, engines = both.orders()
    question, reply, following, typed = ours
    assert engines == ours
    assert typed == "typed"
    assert both.shown() == [
        (question, None),
        (reply, question),
        (typed, reply),
        (following, reply),
    ]
