"""Bare echoes, as processes of their own: what is left of a gateway when it does nothing.

    python -m server.bench.load.echo {websocket|webrtc} [CORE]

One line goes out, the echo's address; it ends when stdin closes. The first says every message of a
WebSocket back (`websockets`); the second is what aiortc's own example of a server does: the track
that comes in is the track that goes out. Knows nothing of omnilive's protocol.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import AsyncExitStack

import uvicorn
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from server.bench.load.child import keep_to, parents_words, say
from server.listener import QuietServer, listen
from server.settings import load_settings

HOST = "127.0.0.1"
MAX_MESSAGE_BYTES = 2**20
ENDED = ("failed", "closed")


async def echo_messages(connection: ServerConnection) -> None:
    """Says back what comes until the peer leaves."""
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        return


class Calls:
    """Calls that hear themselves."""

    def __init__(self) -> None:
        self._peers: set[RTCPeerConnection] = set()

    async def answer(self, request: Request) -> Response:
        """Takes an offer."""
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._peers.add(peer)

        @peer.on("track")
        def say_back(track: MediaStreamTrack) -> None:
            peer.addTrack(track)

        @peer.on("connectionstatechange")
        async def follow() -> None:
            if peer.connectionState in ENDED:
                self._peers.discard(peer)
                await peer.close()

        offer = (await request.body()).decode()
        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        return Response(peer.localDescription.sdp, 201, media_type="application/sdp")

    async def close(self) -> None:
        """Ends them all."""
        await asyncio.gather(*(peer.close() for peer in list(self._peers)))


async def echo_socket() -> None:
    """Runs the echo over WebSockets until stdin closes."""
    async with serve(
        echo_messages, HOST, 0, compression=None, max_size=MAX_MESSAGE_BYTES
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        say(f"ws://{HOST}:{port}/")
        await (await parents_words()).read()


async def echo_calls() -> None:
    """Runs the echo over WebRTC until stdin closes."""
    calls = Calls()
    app = Starlette(routes=[Route("/", calls.answer, methods=["POST"])])
    listener = listen(load_settings(host=HOST, port=0))
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
    server = QuietServer(config)
    async with AsyncExitStack() as stack:
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="listen")
        stack.push_async_callback(asyncio.wait, {serving})
        say(f"http://{HOST}:{listener.getsockname()[1]}/")
        await (await parents_words()).read()
        await calls.close()
        server.should_exit = True


def main() -> None:
    """Runs the process until its end."""
    transport, *core = sys.argv[1:]
    logging.basicConfig(level=logging.ERROR)
    keep_to([int(name) for name in core])
    asyncio.run({"websocket": echo_socket, "webrtc": echo_calls}[transport]())


if __name__ == "__main__":
    main()
