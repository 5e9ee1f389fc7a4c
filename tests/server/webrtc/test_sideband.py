"""A second line into a call: it hears the call's events and sends any; the call outlives it."""

import asyncio
import json
import threading
from contextlib import asynccontextmanager

import pytest

from server.clock import unix_s
from server.conversation import LONG_FRAME_BYTES
from server.errors import SlowReaderError
from tests.server.webrtc.rig import calling

KEYS = {"api_keys": "the-first-key,the-second-key"}


class Line:
    """A WebSocket into the application in this process."""

    def __init__(self, app, query, key):
        headers = [(b"host", b"localhost")]
        if key is not None:
            headers.append((b"authorization", f"Bearer {key}".encode()))
        self._scope = {
            "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1",
            "scheme": "ws", "server": ("server", 80), "client": ("198.51.100.9", 1),
            "root_path": "", "path": "/v1/realtime", "raw_path": b"/v1/realtime",
            "query_string": query.encode(), "headers": headers, "subprotocols": [], "state": {},
        }  # fmt: skip
        self._app = app
        self._in = asyncio.Queue()
        self.out = asyncio.Queue()
        self._in.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(app(self._scope, self._in.get, self.out.put))

    async def hear(self):
        """The next event, or the code with which the line was closed."""
        async with asyncio.timeout(20):
            message = await self.out.get()
        if message["type"] == "websocket.accept":
            return await self.hear()
        if message["type"] == "websocket.close":
            return message["code"]
        return json.loads(message["text"])

    async def until(self, kind):
        while True:
            event = await self.hear()
            assert isinstance(event, dict), f"closed with {event} before {kind}"
            if event["type"] == kind:
                return event

    def send(self, kind, padding=0, **fields):
        frame = json.dumps({"type": kind, **fields}) + " " * padding
        self._in.put_nowait({"type": "websocket.receive", "text": frame})

    async def close(self):
        self._in.put_nowait({"type": "websocket.disconnect", "code": 1000})
        async with asyncio.timeout(20):
            await self.task


@asynccontextmanager
async def called(**settings):
    """A rig with one call, and its id."""
    async with calling(**settings) as rig:
        peer = rig.peer()
        headers = {"authorization": "Bearer the-first-key"} if "api_keys" in settings else None
        path = await peer.call(headers=headers)
        await peer.until("conversation.created")
        yield rig, peer, path.rpartition("/")[2]


def line(rig, call_id, key=None):
    return Line(rig.app, f"call_id={call_id}", key)


async def test_both_lines_hear_what_either_asks_for():
    async with called() as (rig, peer, call_id):
        side = line(rig, call_id)
        greeting = await side.hear()
        assert greeting["type"] == "session.created"
        tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
        side.send("session.update", session={"type": "realtime", "tools": [tool]})
        updated = await side.until("session.updated")
        assert updated["session"]["id"] == greeting["session"]["id"]
        assert (await peer.until("session.updated"))[-1] == updated
        side.send("response.create", response={"metadata": {"by": "the side"}})
        done = await side.until("response.done")
        assert done["response"]["metadata"] == {"by": "the side"}
        assert (await peer.until("response.done"))[-1] == done
        # A mistake of either is told to both; the client's own id says whose it was.
        side.send("response.explode", event_id="mine")
        assert (await side.until("error"))["error"]["event_id"] == "mine"
        assert (await peer.until("error"))[-1]["error"]["event_id"] == "mine"
        await side.close()


async def test_a_late_line_is_greeted_with_the_session_as_it_is():
    async with called() as (rig, peer, call_id):
        peer.send("session.update", session={"type": "realtime", "instructions": "Hum."})
        await peer.until("session.updated")
        side = line(rig, call_id)
        assert (await side.hear())["session"]["instructions"] == "Hum."
        await side.close()


async def test_the_call_goes_on_without_the_line_and_the_line_ends_with_the_call():
    async with called() as (rig, peer, call_id):
        first, second = line(rig, call_id), line(rig, call_id)
        await first.hear()
        await second.hear()
        await first.close()
        peer.send("session.update", session={"type": "realtime", "instructions": "Hum."})
        await peer.until("session.updated")
        await second.until("session.updated")
        await rig.http.post(f"/v1/realtime/calls/{call_id}/hangup")
        while isinstance(end := await second.hear(), dict):
            pass
        assert end == 1000
        await rig.until_empty()


async def test_lines_into_calls_of_others_or_none_are_refused():
    async with called(**KEYS) as (rig, _, call_id):
        for name, key, code in (
            (call_id, "the-second-key", "call_not_found"),
            ("rtc_nobody", "the-first-key", "call_not_found"),
            (call_id, None, "invalid_api_key"),
        ):
            side = line(rig, name, key)
            error = (await side.hear())["error"]
            assert error["code"] == code
            assert await side.hear() == 1008
        side = line(rig, call_id, "the-first-key")
        assert (await side.hear())["type"] == "session.created"
        await side.close()


async def test_a_secret_that_has_expired_still_leads_into_the_call_that_it_opened():
    async with calling(**KEYS) as rig:
        key = {"authorization": "Bearer the-first-key"}
        own, another = [
            (await rig.http.post("/v1/realtime/client_secrets", headers=key)).json()["value"]
            for _ in range(2)
        ]
        path = await rig.peer().call(headers={"authorization": f"Bearer {own}"})
        rig.gateway.doors.secrets._clock = lambda: unix_s() + 3600
        call_id = path.rpartition("/")[2]
        side = line(rig, call_id, own)
        assert (await side.hear())["type"] == "session.created"
        await side.close()
        for secret, name in ((another, call_id), (own, "rtc_nobody")):
            side = line(rig, name, secret)
            assert (await side.hear())["error"]["code"] == "invalid_api_key"
            assert await side.hear() == 1008


async def test_so_many_lines_into_one_call():
    async with called(max_sidebands=2) as (rig, _, call_id):
        lines = [line(rig, call_id) for _ in range(2)]
        for side in lines:
            assert (await side.hear())["type"] == "session.created"
        late = line(rig, call_id)
        assert "2 other lines" in (message := (await late.hear())["error"]["message"])
        assert "(max_sidebands)" in message
        assert await late.hear() == 1013
        await lines[0].close()
        again = line(rig, call_id)
        assert (await again.hear())["type"] == "session.created"
        for side in (*lines[1:], again):
            await side.close()


async def test_a_line_that_does_not_read_falls_alone():
    async with called(send_queue_events=16) as (rig, peer, call_id):
        side = line(rig, call_id)
        await side.hear()
        (call,) = rig.gateway.calls._calls.values()
        (listener,) = call.listeners
        # A socket that takes nothing: its queue fills, and the call's does not.
        listener.outbox.peek = asyncio.Event().wait
        for _ in range(20):
            peer.send("input_audio_buffer.clear")
            await peer.until("input_audio_buffer.cleared")
        async with asyncio.timeout(20):
            await side.task
        assert not len(call.listeners)
        peer.send("session.update", session={"type": "realtime", "instructions": "Hum."})
        await peer.until("session.updated")


async def test_a_line_that_falls_while_it_is_heard_leaves_the_session_to_its_call():
    async with called() as (rig, peer, call_id):
        side = line(rig, call_id)
        await side.hear()
        (call,) = rig.gateway.calls._calls.values()
        session = call._conversation._session
        begun, go_on, take = asyncio.Event(), threading.Event(), session.receive_event
        loop = asyncio.get_running_loop()

        def take_slowly(frame):
            loop.call_soon_threadsafe(begun.set)
            assert go_on.wait(20)
            take(frame)

        session.receive_event = take_slowly
        # So long a frame is taken in a thread, which nothing can end.
        side.send("session.update", session={"type": "realtime"}, padding=LONG_FRAME_BYTES)
        async with asyncio.timeout(20):
            await begun.wait()
            for listener in list(call.listeners):
                listener.end(SlowReaderError("it does not read"))
            await side.task
        assert call._conversation._turn.locked(), "nobody else may be in the session meanwhile"
        session.receive_event = take
        go_on.set()
        await peer.until("session.updated")


@pytest.mark.parametrize("resumes", ["", "&x_resume=1"])
async def test_a_kind_of_session_that_there_is_not_is_refused_by_name(resumes):
    async with calling() as rig:
        side = Line(rig.app, "intent=translation" + resumes, None)
        error = (await side.hear())["error"]
        assert error["code"] == "unsupported_value"
        assert "'translation'" in error["message"]
        assert "'transcription'" in error["message"]
        assert await side.hear() == 1008
