"""Log lines: their forms, their conversation, and what must not be in them."""

import asyncio
import io
import json
import logging
from contextlib import contextmanager

import pytest

from streaming.logs import CONVERSATION, TALKATIVE, of_conversation, start_logging

SECRET = "marmalade zeppelin"


@contextmanager
def logging_to_text(form="text", *, level="debug", content=False):
    """What is logged in the block; everything is as it was behind it."""
    names = ("", "omnilive", *TALKATIVE)
    levels = {name: logging.getLogger(name).level for name in names}
    stream = io.StringIO()
    handler = start_logging(level, form, content=content, stream=stream)
    try:
        yield stream
    finally:
        logging.getLogger().removeHandler(handler)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)


def fail():
    try:
        json.loads(SECRET)
    except ValueError as error:
        raise KeyError(SECRET) from error


def logged_failure(form, *, content):
    with logging_to_text(form, content=content) as stream:
        try:
            fail()
        except KeyError:
            logging.getLogger("omnilive.test").exception("it failed")
    return stream.getvalue()


def test_a_line_of_text_names_its_conversation():
    with logging_to_text() as stream, of_conversation("conv_1"):
        logging.getLogger("omnilive.test").info("hello %d", 7)
    assert "INFO omnilive.test [conv_1]: hello 7\n" in stream.getvalue()
    assert CONVERSATION.get() is None


def test_a_json_line_is_one_object():
    with logging_to_text("json") as stream:
        with of_conversation("conv_1"):
            logging.getLogger("omnilive.test").warning("two\nlines")
        logging.getLogger("omnilive.test").debug("of nobody")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["time"].endswith("+00:00")
    del first["time"], second["time"]
    here = {"logger": "omnilive.test"}
    assert first == here | {"level": "warning", "message": "two\nlines", "conversation": "conv_1"}
    assert second == here | {"level": "debug", "message": "of nobody"}


async def test_each_task_has_the_conversation_in_which_it_began():
    async def say():
        await asyncio.sleep(0)
        logging.getLogger("omnilive.test").info("said")

    with logging_to_text("json") as stream:
        async with asyncio.TaskGroup() as group:
            for name in ("conv_1", "conv_2"):
                with of_conversation(name):
                    group.create_task(say())
    lines = map(json.loads, stream.getvalue().splitlines())
    assert [line["conversation"] for line in lines] == ["conv_1", "conv_2"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_exception_tells_its_frames_and_not_its_words(form):
    told = logged_failure(form, content=False)
    assert SECRET not in told
    for word in ("in fail", "JSONDecodeError", "and then:", "KeyError"):
        assert word in told
    assert SECRET in logged_failure(form, content=True)


def test_a_group_of_exceptions_keeps_to_the_same():
    with logging_to_text() as stream:
        try:
            raise ExceptionGroup(SECRET, [ValueError(SECRET), KeyError(SECRET)])
        except ExceptionGroup:
            logging.getLogger("omnilive.test").exception("both failed")
    assert SECRET not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


async def test_asyncio_does_not_quote_a_tasks_failure():
    async def fails():
        raise ValueError(SECRET)

    with logging_to_text() as stream:
        task = asyncio.create_task(fails())
        await asyncio.wait({task})
        loop = asyncio.get_running_loop()
        context = {"message": "Task exception was never retrieved", "task": task}
        loop.default_exception_handler(context | {"exception": task.exception()})
    assert "never retrieved" in stream.getvalue()
    assert SECRET not in stream.getvalue()


def test_others_do_not_tell_of_their_traffic():
    for name in ("websockets.server", "uvicorn.error", "somebody"):
        with logging_to_text() as stream:
            logging.getLogger(name).debug("< TEXT %s", SECRET)
        assert stream.getvalue() == ""


def test_a_level_holds_for_ours_too():
    with logging_to_text(level="warning") as stream:
        logging.getLogger("omnilive.test").info("hello")
    assert stream.getvalue() == ""
