"""coturn with our configuration lets in whom the server sends, and is no way into its network.

What Compose has in its own network is put on the loopback network here, for that is whole on every
machine: 172.31.250.7 becomes 127.31.250.7.
"""

import asyncio
import ipaddress
import re
import shutil
import socket
from contextlib import asynccontextmanager

import pytest
from aioice import stun, turn

from server.settings import load_settings
from server.webrtc.ice import IceServers
from tests.deploy.places import COMPOSE, read_yaml

TURNSERVER = shutil.which("turnserver")
SECRET = "long and random"
LIMIT_S = 30

pytestmark = pytest.mark.skipif(TURNSERVER is None, reason="no turnserver here (Debian: coturn)")


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def compose_network():
    (pool,) = read_yaml(COMPOSE / "compose.yaml")["networks"]["default"]["ipam"]["config"]
    return ipaddress.ip_network(pool["subnet"])


def on_loopback(address):
    return re.sub(r"^172\.", "127.", str(address))


RELAY = on_loopback(
    read_yaml(COMPOSE / "compose.turn.yaml")["services"]["turn"]["networks"]["default"][
        "ipv4_address"
    ]
)
PUBLIC = "203.0.113.7"


def flags():
    """What Compose adds to the file."""
    command = read_yaml(COMPOSE / "compose.turn.yaml")["services"]["turn"]["command"]
    given = {"${TURN_SECRET}": SECRET, "${PUBLIC_ADDRESS}": PUBLIC}
    for flag in command:
        for name, value in given.items():
            flag = flag.replace(name, value)
        if flag.startswith("--"):
            yield flag


def configuration():
    """The file, in the network of this machine, all of which would else be denied."""
    text = (COMPOSE / "turnserver.conf").read_text()
    text = text.replace("denied-peer-ip=127.0.0.0-127.255.255.255", "allow-loopback-peers")
    return re.sub(r"\b172\.(31\.250\.)", r"127.\1", text)


@asynccontextmanager
async def relaying(directory, file, address, *more):
    """coturn on this machine; its address."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        TURNSERVER,
        *("-c", file),
        *more,
        f"--listening-ip={address}",
        f"--relay-ip={address}",
        f"--listening-port={port}",
        f"--pidfile={directory / 'pid'}",
        f"--userdb={directory / 'users'}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            told = b""
            while b"Total General servers" not in told:
                told += await process.stdout.readline()
                assert not process.stdout.at_eof(), told.decode()
        rest = asyncio.create_task(process.stdout.read())
        yield (address, port)
        rest.cancel()
    finally:
        process.kill()
        await process.wait()


def user(address, secret):
    """As a caller is given it."""
    settings = load_settings(turn_url=f"turn:{address[0]}:{address[1]}", turn_secret=secret)
    (server,) = IceServers(settings).for_peers()
    return server["username"], server["credential"]


class End(asyncio.DatagramProtocol):
    """What one end of a call hears."""

    def __init__(self):
        self.heard = asyncio.Queue()

    def datagram_received(self, data, addr):
        self.heard.put_nowait((data, addr))


async def relay(address, name, password):
    return await turn.create_turn_endpoint(End, address, name, password)


async def test_those_whom_the_server_sends_get_a_relay(tmp_path):
    secret = f"--static-auth-secret={SECRET}"
    file = COMPOSE / "turnserver.conf"
    async with relaying(tmp_path, file, "127.0.0.1", secret) as address:
        transport, _ = await relay(address, *user(address, SECRET))
        _, port = transport.get_extra_info("sockname")
        assert 49_160 <= port <= 49_199
        # What stands beside it, on this machine or in Compose's network, is not reached through it.
        for neighbour in ("127.0.0.1", str(compose_network()[7])):
            await refused(transport, neighbour)
        await inner(transport).delete()

        with pytest.raises(stun.TransactionFailed, match="401"):
            await relay(address, *user(address, "another secret"))


async def test_two_ends_that_both_need_a_relay_hear_each_other(tmp_path):
    file = tmp_path / "turnserver.conf"
    file.write_text(configuration())
    async with relaying(tmp_path, file, RELAY, *flags()) as address:
        one, _ = await relay(address, *user(address, SECRET))
        other, hearing = await relay(address, *user(address, SECRET))
        places = [each.get_extra_info("sockname") for each in (one, other)]
        assert {host for host, _ in places} == {PUBLIC}
        # Each must have asked for the other, as ICE has both do.
        await inner(other).send_data(b"lost", places[0])
        await inner(one).send_data(b"hello", places[1])
        async with asyncio.timeout(LIMIT_S):
            assert await hearing.heard.get() == (b"hello", places[0])
        # The relay itself is all of Compose's network that is reached through it.
        await refused(one, on_loopback(compose_network()[7]))
        for each in (one, other):
            await inner(each).delete()


def inner(transport):
    return transport._TurnTransport__inner_protocol


async def refused(transport, neighbour):
    with pytest.raises(stun.TransactionFailed, match="403"):
        await inner(transport).channel_bind(0x4100, (neighbour, 9100))
