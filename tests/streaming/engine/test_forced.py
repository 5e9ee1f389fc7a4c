"""A reply that must be a call names a function that there is, whatever the logits are."""

import dataclasses
import json

import pytest
import torch

from model.config import SamplingConfig
from model.omni import OmniModel
from model.sampling import Sampler
from model.tokenizer import Tokenizer
from streaming.engine.engine import Engine
from streaming.engine.forced import ForcedSampler
from streaming.engine.messages.commands import OpenConversation, Respond
from streaming.engine.messages.events import ToolCallDone
from streaming.engine.tool_calls import ToolCallParser, opening_text
from tests.model import text
from tests.streaming.engine.driver import SETTINGS, Driver, Talk, with_extras

TALK = Talk()
# Some are the beginning of others, some begin with what a tokenizer merges with the quote before.
ALIKE = ["get", "get_time", "get_times", "get_timetable", "_get", "-get", ".", "..", "g", "7"]
ESCAPED = ["météo", "東京", 'a"b', 'a"', "a", "a\\", "tab\there", "🎧"]
# What a reply that must be a call may take until its name is known, and a little more.
TOKENS = 90
# The tiny tokenizer spells what describes the tools almost letter by letter.
ROOMY = dataclasses.replace(SETTINGS, context_tokens=2048)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(text.backend())


def tool(name: str) -> str:
    return json.dumps({"type": "function", "function": {"name": name}}, ensure_ascii=False)


def forced(tokenizer: Tokenizer, names: list[str], sampler: Sampler) -> ForcedSampler:
    return ForcedSampler(sampler, [tokenizer.encode(opening_text(name)) for name in names])


class Scripted(Sampler):
    """Draws the last of what it may draw, and counts what it was asked."""

    def __init__(self) -> None:
        super().__init__(SamplingConfig(), vocab_size=1000)
        self.choices: list[list[int]] = []
        self.free = 0

    def draw(self, logits):
        self.free += 1
        return 0

    def draw_among(self, logits, tokens):
        self.choices.append(list(tokens))
        return tokens[-1]


def test_one_name_is_forced_whole_without_a_look_at_the_logits(tokenizer: Tokenizer) -> None:
    opening = tokenizer.encode(opening_text("weather"))
    script = Scripted()
    sampler = forced(tokenizer, ["weather"], script)
    none = torch.empty(0)
    assert [sampler.draw(none) for _ in opening] == opening
    assert (script.choices, script.free) == ([], 0)
    sampler.draw(none)
    assert script.free == 1


def test_without_an_opening_all_is_drawn(tokenizer: Tokenizer) -> None:
    script = Scripted()
    assert forced(tokenizer, [], script).draw(torch.empty(0)) == 0
    assert (script.choices, script.free) == ([], 1)


def test_of_several_names_only_what_sets_them_apart_is_drawn(tokenizer: Tokenizer) -> None:
    openings = [tokenizer.encode(opening_text(name)) for name in ("weather", "time")]
    script = Scripted()
    sampler = forced(tokenizer, ["weather", "time"], script)
    assert [sampler.draw(torch.empty(0)) for _ in openings[1]] == openings[1]
    apart = next(i for i, (a, b) in enumerate(zip(*openings, strict=False)) if a != b)
    assert script.choices == [[opening[apart] for opening in openings]]


@pytest.mark.parametrize("names", [ALIKE, ESCAPED], ids=["alike", "escaped"])
@pytest.mark.parametrize("temperature", [0, 1])
def test_any_logits_name_one_of_the_functions_and_each_can_be_named(
    tokenizer: Tokenizer, names: list[str], temperature: float
) -> None:
    size = tokenizer.vocabulary_tokens
    config = SamplingConfig(temperature=temperature, repetition_penalty=1.1)
    random = torch.Generator().manual_seed(3)
    named = set()
    for seed in range(400):
        sampler = forced(tokenizer, names, Sampler(config, vocab_size=size, seed=seed))
        parser, written = ToolCallParser(), []
        while not (events := parser.events()):
            written.append(sampler.draw(torch.randn(size, generator=random)))
            parser.push(tokenizer.decode(written[-1:]))
        named.add(events[0].name)
        assert tokenizer.decode(written).startswith("<tool_call>\n")
    assert named == set(names)


@pytest.mark.parametrize("name", ALIKE)
def test_the_model_gets_the_name_that_it_wants(tokenizer: Tokenizer, name: str) -> None:
    """Its favourite continuation is taken where it is that of a name."""
    wanted = tokenizer.encode(opening_text(name))
    sampler = Sampler(SamplingConfig(), vocab_size=tokenizer.vocabulary_tokens)
    choice = forced(tokenizer, ALIKE, sampler)
    for token in wanted:
        logits = torch.zeros(tokenizer.vocabulary_tokens)
        logits[token] = 1.0
        assert choice.draw(logits) == token


@pytest.mark.parametrize(
    "names",
    [["weather"], ["weather", "time"], ALIKE, ESCAPED],
    ids=["one", "two", "alike", "escaped"],
)
def test_a_required_call_is_of_a_declared_function(model: OmniModel, names: list[str]) -> None:
    """The model is a random one, which has no idea of functions, at high temperature."""
    wild = with_extras(model, thinker_sampling=SamplingConfig(temperature=5.0))
    named = set()
    for number in range(6):
        driver = Driver(Engine(wild, ROOMY))
        driver.settle(
            OpenConversation(conversation_id="c", tools=tuple(map(tool, names)), instructions=""),
            TALK.typed("q", "What?"),
            required(f"r{number}"),
        )
        assert driver.said(f"r{number}") == ("", b"")
        done = driver.of(ToolCallDone)[0]
        assert done.name in names
        assert done.arguments.startswith("{")
        named.add(done.name)
    assert len(named) > 1 or len(names) == 1


def test_the_functions_are_those_of_the_response(model: OmniModel) -> None:
    driver = Driver(Engine(model, ROOMY))
    driver.settle(
        OpenConversation(conversation_id="c", tools=(tool("weather"), tool("time"))),
        TALK.typed("q", "What?"),
        required("r", tools=(tool("news"),)),
    )
    assert driver.of(ToolCallDone)[0].name == "news"


def test_a_function_that_is_chosen_is_called(model: OmniModel) -> None:
    driver = Driver(Engine(model, ROOMY))
    driver.settle(
        OpenConversation(conversation_id="c", tools=tuple(map(tool, ALIKE)), instructions=""),
        TALK.typed("q", "What?"),
        required("r", function="get_time"),
    )
    assert driver.of(ToolCallDone)[0].name == "get_time"


@pytest.mark.parametrize(
    ("names", "function", "told"),
    [
        ([], None, "a call is required and there are no tools"),
        ([], "time", "no tool 'time'; tools: none"),
        (["weather", "news"], "time", "no tool 'time'; tools: 'weather', 'news'"),
    ],
)
def test_a_call_that_cannot_be_made_is_refused(
    model: OmniModel, names: list[str], function: str | None, told: str
) -> None:
    driver = Driver(Engine(model, ROOMY))
    driver.settle(
        OpenConversation(conversation_id="c", tools=tuple(map(tool, names))),
        TALK.typed("q", "What?"),
        required("r", function=function),
    )
    done = driver.done("r")
    assert done.status == "failed"
    assert done.error is not None
    assert done.error.message == told
    driver.settle(TALK.respond("r2", modality="text"))
    assert driver.done("r2").error is None


@pytest.mark.parametrize("modality", ["text", "audio"])
@pytest.mark.parametrize("tokens", [1, 4, 12])
def test_a_call_whose_name_was_never_told_is_not_said(
    model: OmniModel, tokens: int, modality: str
) -> None:
    driver = Driver(Engine(model, SETTINGS))
    driver.settle(
        OpenConversation(conversation_id="c", tools=(tool("weather"), tool("time"))),
        TALK.typed("q", "What?"),
    )
    before = driver.engine._conversations["c"].timeline.ids()
    driver.settle(required("r", max_output_tokens=tokens, modalities=(modality,)))
    assert driver.said("r") == ("", b"")
    assert not driver.of(ToolCallDone)
    assert (driver.done("r").status, driver.done("r").reason) == ("incomplete", "max_output_tokens")
    assert list(driver.engine._conversations["c"].timeline.ids()) == list(before)


def required(response_id: str, **changed) -> Respond:
    fields = {
        "conversation_id": "c",
        "response_id": response_id,
        "item_id": f"{response_id}-item",
        "tool_choice": "required",
        "max_output_tokens": TOKENS,
    }
    return Respond(**(fields | changed))
