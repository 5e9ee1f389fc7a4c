"""Conversations that outlive their socket, on a real server: cut lines, two clients at once."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from server.errors import SlowReaderError
from server.feed import Feed
from server.held import HeldConversations
from server.settings import load_settings
from tests.server.conftest import hear

OPTIONS = {"max_output_tokens": 6, "audio": {"input": {"turn_detection": None}}}
HELLO = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "Hello there."}],
}
END_TIMEOUT_S = 30


class Client:
    """What a client must keep of a conversation that it wants to come back to."""

    def __init__(self, url, token=None, seen=None):
        self.url, self.token, self.seen, self.sent = url, token, seen, 0
        self.events = []

    @asynccontextmanager
    async def connected(self):
        after = "" if self.seen is None else f"&x_after={self.seen}"
        protocols = ["realtime", f"x-resume.{self.token}"] if self.token else None
        address = f"{self.url}?x_resume=1{after}"
        async with connect(address, subprotocols=protocols, max_size=None) as self.socket:
            yield self

    async def next(self):
        event = await hear(self.socket)
        if "x_resume" in event:
            self.token = event["x_resume"]["token"]
        if "x_seq" in event:
            self.seen = event["x_seq"]
        self.events.append(event)
        return event

    async def until(self, kind):
        while True:
            event = await self.next()
            assert event["type"] != "error", event
            if event["type"] == kind:
                return event

    async def send(self, kind, **fields):
        await self.socket.send(json.dumps({"type": kind, **fields}))
        self.sent += 1

    async def begin(self):
        await self.until("conversation.created")
        await self.send("session.update", session={"type": "realtime", **OPTIONS})
        await self.until("session.updated")

    async def ask(self):
        await self.send("conversation.item.create", item=HELLO)
        await self.send("response.create")

    def cut(self):
        """As a network does it: without a word."""
        self.socket.transport.abort()

    @property
    def kinds(self):
        return [event["type"] for event in self.events]


@pytest.fixture
async def gateway(tiny_server):
    """The gateway; when a test is over, nobody is left in it."""
    gateway = tiny_server.running.gateway
    yield gateway
    await emptied(gateway)


async def emptied(gateway):
    async with asyncio.timeout(END_TIMEOUT_S):
        while gateway.conversations:  # noqa: ASYNC110 - it lives on another loop
            await asyncio.sleep(0.01)
    assert len(gateway.held) == 0


def with_settings(monkeypatch, gateway, **changed):
    monkeypatch.setattr(gateway, "settings", gateway.settings.model_copy(update=changed))


def came_back(gateway, outcome):
    """How many clients have come back so."""
    metrics = gateway.telemetry.metrics.registry
    return metrics.get_sample_value("omnilive_resumes_total", {"outcome": outcome})


async def test_a_reply_that_was_cut_in_the_middle_comes_whole(tiny_server, gateway):
    before_now = came_back(gateway, "resumed")
    client = Client(tiny_server.url)
    async with client.connected():
        await client.begin()
        await client.ask()
        await client.until("response.output_audio_transcript.delta")
        client.cut()
    async with client.connected():
        resumed = await client.next()
        assert (resumed["type"], resumed["received"]) == ("x_resumed", client.sent)
        assert came_back(gateway, "resumed") == before_now + 1
        before = client.seen
        done = await client.until("response.done")
        assert resumed["missed"] <= client.seen - before
        numbers = [event["x_seq"] for event in client.events if "x_seq" in event]
        assert numbers == list(range(1, len(numbers) + 1)), "nothing is missing, nothing twice"
        spoken = [e["delta"] for e in client.events if e["type"] == "response.output_audio.delta"]
        assert sum(len(base64.b64decode(delta)) for delta in spoken) > 0
        said = [e["delta"] for e in client.events if "audio_transcript.delta" in e["type"]]
        (content,) = done["response"]["output"][0]["content"]
        assert "".join(said) == content["transcript"]
        # And it goes on: the next answer has read this one.
        await client.ask()
        again = await client.until("response.done")
        read = [reply["response"]["usage"]["input_tokens"] for reply in (done, again)]
        assert read[1] > read[0]


async def test_a_ping_says_how_much_has_arrived(tiny_server, gateway):
    client = Client(tiny_server.url)
    async with client.connected():
        await client.begin()
        for _ in range(2):
            await client.send("x_ping")
            assert (await client.until("x_pong"))["received"] == client.sent
        await client.send("input_audio_buffer.append", audio='x_ping"')
        assert (await client.next())["type"] == "error", "it only looks like one"


async def test_who_comes_back_too_late_is_told_and_begins_anew(tiny_server, gateway, monkeypatch):
    with_settings(monkeypatch, gateway, resume_window_s=0.05)
    gone = came_back(gateway, "conversation_gone")
    client = Client(tiny_server.url)
    async with client.connected():
        await client.begin()
        first = client.events[0]
        client.cut()
    await emptied(gateway)
    async with client.connected():
        resync = await client.next()
        assert (resync["type"], resync["code"]) == ("x_resync", "conversation_gone")
        assert "0.05 s (resume_window_s)" in resync["message"]
        created = await client.until("session.created")
        assert created["session"]["id"] != first["session"]["id"]
        assert created["x_resume"]["token"] != first["x_resume"]["token"]
        assert created["x_seq"] == 1
    assert came_back(gateway, "conversation_gone") == gone + 1


async def test_a_wrong_token_opens_nothing_but_a_new_conversation(tiny_server, gateway):
    client = Client(tiny_server.url)
    async with client.connected():
        await client.begin()
        stranger = Client(tiny_server.url, token="A" * 43, seen=0)
        async with stranger.connected():
            assert (await stranger.next())["code"] == "conversation_gone"
            created = await stranger.until("session.created")
            assert created["session"]["id"] != client.events[0]["session"]["id"]
        await client.ask()  # and the other one is as it was
        await client.until("response.done")


async def test_more_than_is_kept_is_a_resync_and_the_conversation_goes_on(
    tiny_server, gateway, monkeypatch
):
    with_settings(monkeypatch, gateway, resume_log_bytes=1024)
    lost = came_back(gateway, "events_lost")
    client = Client(tiny_server.url)
    async with client.connected():
        await client.begin()
        await client.ask()
        await client.until("response.created")
        client.cut()
    (held,) = gateway.held._held.values()
    replies = held.conversation._session._replies
    async with asyncio.timeout(END_TIMEOUT_S):
        while held.feed.log.holds_after(client.seen) or replies.item_id:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    async with client.connected():
        resync = await client.next()
        assert (resync["type"], resync["code"]) == ("x_resync", "events_lost")
        assert "resume_log_bytes" in resync["message"]
        assert resync["session"]["max_output_tokens"] == 6
        question, answer = resync["item_ids"]
        await client.send("conversation.item.retrieve", item_id=answer)
        retrieved = await client.next()
        assert retrieved["x_seq"] == resync["x_seq"] + 1
        assert retrieved["item"]["content"][0]["transcript"]
        assert question in [e["item"]["id"] for e in client.events if "item" in e]
    assert came_back(gateway, "events_lost") == lost + 1


async def test_of_two_sockets_the_newer_one_has_the_conversation(tiny_server, gateway):
    older = Client(tiny_server.url)
    async with older.connected():
        await older.begin()
        newer = Client(tiny_server.url, older.token, older.seen)
        async with newer.connected():
            assert (await newer.next())["type"] == "x_resumed"
            error = (await older.next())["error"]
            assert error["code"] == "taken_over"
            with pytest.raises(ConnectionClosed) as closed:
                await older.next()
            assert closed.value.rcvd.code == 1008
            await newer.ask()
            await newer.until("response.done")
            assert len(gateway.conversations) == 1


async def test_many_sockets_at_once_end_with_one(tiny_server, gateway):
    client = Client(tiny_server.url)
    async with client.connected():
        await client.begin()
        rivals = [Client(tiny_server.url, client.token, client.seen) for _ in range(5)]

        async def try_it(rival):
            async with rival.connected():
                while True:
                    await rival.next()

        ends = [asyncio.create_task(try_it(rival)) for rival in rivals]
        async with asyncio.timeout(END_TIMEOUT_S):
            while sum(task.done() for task in ends) < len(ends) - 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while not all("x_resumed" in r.kinds or "error" in r.kinds for r in rivals):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        (last,) = (n for n, task in enumerate(ends) if not task.done())
        await rivals[last].ask()
        async with asyncio.timeout(END_TIMEOUT_S):
            while "response.done" not in rivals[last].kinds:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await rivals[last].socket.close()
        await asyncio.gather(*ends, return_exceptions=True)


async def test_a_client_that_says_goodbye_is_not_waited_for(tiny_server, gateway):
    client = Client(tiny_server.url)
    async with client.connected():
        await client.begin()
    await emptied(gateway)
    async with client.connected():
        assert (await client.next())["code"] == "conversation_gone"


async def test_without_the_wish_nothing_is_other_than_it_was(tiny_server, gateway):
    async with connect(tiny_server.url) as socket:
        for _ in range(2):
            event = await hear(socket)
            assert not {"x_seq", "x_resume"} & set(event)
        assert len(gateway.held) == 0
        socket.transport.abort()
    await emptied(gateway)


async def test_where_it_is_switched_off_the_wish_is_passed_over(tiny_server, gateway, monkeypatch):
    with_settings(monkeypatch, gateway, resume_window_s=0.0)
    async with connect(f"{tiny_server.url}?x_resume=1") as socket:
        assert not {"x_seq", "x_resume"} & set(await hear(socket))


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("x_resume=please", "x_resume='please': expected 0 or 1"),
        ("x_resume=1&x_after=-1", "x_after='-1': expected the number of an event"),
        ("x_resume=1&x_after=99", "x_after=99: the newest event is 3"),
    ],
)
async def test_what_cannot_be_meant_is_named(tiny_server, gateway, query, complaint):
    client = Client(tiny_server.url)
    async with client.connected():
        await client.begin()
        protocols = ["realtime", f"x-resume.{client.token}"]
        async with connect(f"{tiny_server.url}?{query}", subprotocols=protocols) as socket:
            error = (await hear(socket))["error"]
            assert error["code"] == "invalid_value"
            assert complaint in error["message"]


async def test_a_reader_that_is_too_slow_is_cut_off_and_can_come_back():
    feed = Feed(load_settings(send_queue_events=16), {"x_resume": {}})
    feed.attach(0)
    feed.put({"type": "x", "n": n} for n in range(20))
    with pytest.raises(SlowReaderError, match=r"16 events wait unread \(send_queue_events\)"):
        await feed.peek()
    assert feed.log.first == 5
    feed.attach(4)
    assert json.loads(await feed.peek()) == {"type": "x", "n": 4, "x_seq": 5}


async def test_a_token_is_kept_as_a_digest():
    ended = asyncio.Event()
    held = SimpleNamespace(run=ended.wait)
    conversations = HeldConversations()
    conversations.start(held, "token")
    assert conversations.find("token") is held
    assert conversations.find("Token") is None
    assert b"token" not in b"".join(conversations._held)
    ended.set()
    await conversations.close()
    assert len(conversations) == 0
