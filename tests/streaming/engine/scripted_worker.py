"""A process in the engine's place whose conversations do what their names say; knows no torch.

For what the client must survive and the real engine does not do on request.
"""

import os
import signal
import sys
from pathlib import Path

import zmq

from streaming.engine.messages.commands import CloseConversation, OpenConversation, Ping, Shutdown
from streaming.engine.messages.events import (
    ConversationOpened,
    EngineFault,
    EngineLoading,
    EngineReady,
    Event,
    Pong,
    TextDelta,
)
from streaming.engine.wire import decode, encode

READY = EngineReady(
    model_id="scripted",
    inputs=("text",),
    voices=("Ada",),
    max_conversations=4,
    context_tokens=64,
    output_sample_rate_hz=24_000,
)


def loads(arguments: list[str]) -> bool:
    """Whether what does not load does so this time: with `--but`, all but the second time."""
    if "--but" not in arguments:
        return False
    tries = Path(arguments[arguments.index("--but") + 1])
    tries.touch()
    tries.write_text(tries.read_text() + "I")
    return tries.read_text() != "II"


def main() -> None:
    arguments = sys.argv[1:]
    if "stillborn" in arguments:
        sys.exit(7)
    socket = zmq.Context.instance().socket(zmq.PAIR)
    socket.connect(arguments[arguments.index("--endpoint") + 1])

    def send(event: Event) -> None:
        socket.send_multipart(encode(event))

    if "mute" in arguments:
        signal.pause()
    send(EngineLoading(stage="loading", fraction=0.5))
    if "unloadable" in arguments and not loads(arguments):
        send(EngineFault(conversation_id=None, code="load_failed", message="no such device"))
        sys.exit(1)
    send(READY)
    while True:
        match decode(socket.recv_multipart()):
            case Shutdown():
                return
            case Ping(nonce=nonce):
                send(Pong(nonce=nonce))
            case OpenConversation(conversation_id="dies"):
                os._exit(3)
            case OpenConversation(conversation_id="babbles"):
                socket.send(b"no message")
            case OpenConversation(conversation_id="hangs"):
                signal.pause()
            case OpenConversation(conversation_id="floods"):
                send(ConversationOpened(conversation_id="floods"))
                for _ in range(100):
                    send(TextDelta(conversation_id="floods", response_id="r", text="."))
            case OpenConversation(conversation_id=name):
                send(ConversationOpened(conversation_id=name))
            case CloseConversation(conversation_id=name):
                # Tells whoever listens on the conversation "spy" what was closed.
                send(TextDelta(conversation_id="spy", response_id=name, text="closed"))


if __name__ == "__main__":
    main()
