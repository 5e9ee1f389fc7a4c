"""The session's history and the engine's are one: the same items in the same order."""

import dataclasses
from typing import Any

import pytest

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

    def settle(self) -> None:
        """Lets the engine do all that it was asked, and say so."""
        while commands := self.rig.take_commands():
            self.driver.settle(*(to_engine(command, "c") for command in commands))
            for message in self.driver.events:
                event = to_protocol(message)
                assert event is not None, message
                self.events += self.rig.engine(event)
            self.driver.events.clear()

    def orders(self) -> tuple[list[str], list[str]]:
        """Ids in the session's order, and in the engine's."""
        timeline = self.driver.engine._conversations["c"].timeline
        history = self.rig.session._shared.history
        return history._order, [item.item_id for item in timeline.items]

    def shown(self) -> list[tuple[str, str | None]]:
        """The ids of items as the client is told of them, each with its predecessor."""
        added = [e for e in self.events if e["type"] == "conversation.item.added"]
        return [(e["item"]["id"], e["previous_item_id"]) for e in added]


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
