"""coturn with our configuration lets in whom the server sends, and is no way into its network."""

import asyncio
import ipaddress
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


def flags():
    """What Compose adds to the file, but for the public address: all is on this machine."""
    command = read_yaml(COMPOSE / "compose.turn.yaml")["services"]["turn"]["command"]
    filled_in = [flag.replace("${TURN_SECRET}", SECRET) for flag in command]
    return [flag for flag in filled_in if flag.startswith("--") and "external-ip" not in flag]


def compose_address():
    (pool,) = read_yaml(COMPOSE / "compose.yaml")["networks"]["default"]["ipam"]["config"]
    return str(ipaddress.ip_network(pool["subnet"])[7])


@asynccontextmanager
async def relaying(directory):
    """coturn on this machine; its address."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        TURNSERVER,
        *("-c", COMPOSE / "turnserver.conf"),
        *flags(),
        "--listening-ip=127.0.0.1",
        "--relay-ip=127.0.0.1",
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
        yield ("127.0.0.1", port)
        rest.cancel()
    finally:
        process.kill()
        await process.wait()


def user(address, secret):
    """As a caller is given it."""
    settings = load_settings(turn_url=f"turn:{address[0]}:{address[1]}", turn_secret=secret)
    (server,) = IceServers(settings).for_peers()
    return server["username"], server["credential"]


async def relay(address, name, password):
    return await turn.create_turn_endpoint(asyncio.DatagramProtocol, address, name, password)


async def test_those_whom_the_server_sends_get_a_relay(tmp_path):
    async with relaying(tmp_path) as address:
        transport, _ = await relay(address, *user(address, SECRET))
        _, port = transport.get_extra_info("sockname")
        assert 49_160 <= port <= 49_199
        inner = transport._TurnTransport__inner_protocol
        # What stands beside it, on this machine or in Compose's network, is not reached through it.
        for neighbour in ("127.0.0.1", compose_address()):
            with pytest.raises(stun.TransactionFailed, match="403"):
                await inner.channel_bind(0x4000, (neighbour, 9100))
        await inner.delete()

        with pytest.raises(stun.TransactionFailed, match="401"):
            await relay(address, *user(address, "another secret"))
