"""Who may come back to a conversation: by its token, and through the same doors as before."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from server.clock import unix_s
from server.settings import load_settings
from tests.server.webrtc.rig import Rig, ScriptedEngine

KEY, OTHER = "sk-a-key-that-is-long", "sk-another-key-entirely"
SECRETS = "/v1/realtime/client_secrets"
LOST = 1006


class Socket:
    """What the server says to one WebSocket: its events, then its closing."""

    def __init__(self):
        self.said = asyncio.Queue()
        self.lost = asyncio.Event()

    async def until(self, kind):
        while (event := await self.said.get())["type"] not in (kind, "error"):
            pass
        assert event["type"] == kind, event
        return event


@asynccontextmanager
async def socket(rig, *, key, token=None, after=None, address="198.51.100.1", **headers):
    """One connection of a client that wants to resume, which is cut when the block ends."""
    one = Socket()
    opening = [{"type": "websocket.connect"}]

    async def receive():
        if opening:
            return opening.pop()
        await one.lost.wait()
        return {"type": "websocket.disconnect", "code": LOST}

    async def send(message):
        if message["type"] == "websocket.send":
            one.said.put_nowait(json.loads(message["text"]))
        elif message["type"] == "websocket.close":
            one.said.put_nowait(message)

    offered = ["realtime"]
    if key is not None:
        offered.append(f"openai-insecure-api-key.{key}")
    if token is not None:
        offered.append(f"x-resume.{token}")
    query = "x_resume=1" if after is None else f"x_resume=1&x_after={after}"
    scope = {
        "type": "websocket",
        "path": "/v1/realtime",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": (address, 1),
        "subprotocols": offered,
        "extensions": {},
    }
    async with asyncio.timeout(20):
        task = asyncio.create_task(rig.app(scope, receive, send))
        yield one
        one.lost.set()
        await task


@asynccontextmanager
async def keyed_rig(**settings):
    """A server with two keys; in the end nobody is left in it."""
    rig = Rig(ScriptedEngine(), load_settings(api_keys=f"{KEY},{OTHER}", **settings))
    yield rig
    for held in rig.gateway.held._held.values():
        held.leave()
    await rig.gateway.held.close()
    await rig.close()


async def secret_of(rig, key=KEY):
    minted = await rig.http.post(SECRETS, json={}, headers={"authorization": f"Bearer {key}"})
    return minted.json()["value"]


async def opened(rig, key):
    """Opens a conversation, whose line is then cut; returns its token."""
    async with socket(rig, key=key) as first:
        created = await first.until("session.created")
        await first.until("conversation.created")
    return created["x_resume"]["token"]


def expire_secrets(rig):
    """An hour passes, in which no conversation ends and every secret does."""
    rig.gateway.doors.secrets._clock = lambda: unix_s() + 3600


async def test_a_secret_that_has_expired_still_leads_back_to_what_it_opened():
    async with keyed_rig() as rig:
        secret = await secret_of(rig)
        token = await opened(rig, secret)
        expire_secrets(rig)
        for _ in range(2):
            async with socket(rig, key=secret, token=token, after=2) as again:
                assert (await again.until("x_resumed"))["missed"] == 0
        assert len(rig.gateway.held) == 1


@pytest.mark.parametrize("case", ["new", "gone", "no key", "another secret", "a wrong key"])
async def test_it_leads_nowhere_else(case):
    async with keyed_rig() as rig:
        secret, another = await secret_of(rig), await secret_of(rig)
        token = await opened(rig, secret)
        expire_secrets(rig)
        key, token = {
            "new": (secret, None),
            "gone": (secret, "A" * 43),
            "no key": (None, token),
            "another secret": (another, token),
            "a wrong key": ("sk-nobody-knows-this-one", token),
        }[case]
        async with socket(rig, key=key, token=token, after=2) as again:
            event = await again.said.get()
            assert event["error"]["code"] == "invalid_api_key"
            assert (await again.said.get())["code"] == 1008
        assert len(rig.gateway.held) == 1


async def test_a_new_secret_of_the_same_key_leads_back_and_one_of_another_does_not():
    async with keyed_rig() as rig:
        token = await opened(rig, await secret_of(rig))
        async with socket(rig, key=await secret_of(rig), token=token, after=2) as again:
            await again.until("x_resumed")
        async with socket(rig, key=await secret_of(rig, OTHER), token=token, after=2) as stranger:
            assert (await stranger.until("x_resync"))["code"] == "conversation_gone"
            created = await stranger.until("session.created")
            assert created["x_resume"]["token"] != token
        assert len(rig.gateway.held) == 2


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"origin": "http://elsewhere"}, "origin_not_allowed"),
        ({"host": "evil.example"}, "host_not_allowed"),
    ],
)
async def test_who_comes_back_comes_through_the_same_doors(headers, code):
    async with keyed_rig() as rig:
        secret = await secret_of(rig)
        token = await opened(rig, secret)
        expire_secrets(rig)
        async with socket(rig, key=secret, token=token, after=2, **headers) as again:
            assert (await again.said.get())["error"]["code"] == code


async def test_coming_back_counts_for_the_address_that_it_comes_from_and_for_the_key():
    async with keyed_rig(max_openings_per_address=3, max_openings_per_key=4) as rig:
        secret = await secret_of(rig)  # counts as well
        token = await opened(rig, secret)
        expire_secrets(rig)
        back = {"key": secret, "token": token, "after": 2}
        for _ in range(2):
            async with socket(rig, **back, address="203.0.113.9") as again:
                await again.until("x_resumed")
        async with socket(rig, **back, address="203.0.113.10") as again:
            event = await again.said.get()
            assert event["error"]["code"] == "rate_limit_exceeded"
            assert "max_openings_per_key" in event["error"]["message"]
