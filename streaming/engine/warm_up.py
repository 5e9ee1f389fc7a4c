"""One short turn that nobody hears, so that the first real one finds every stage warm.

Knows a turn through all stages. Does not know what warms: kernels are chosen, compiled and their
memory taken when they first run.
"""

from __future__ import annotations

from streaming.engine.engine import Engine
from streaming.engine.messages.commands import (
    AddItem,
    CancelResponse,
    CloseConversation,
    OpenConversation,
    Respond,
)
from streaming.engine.messages.content import INPUT_SAMPLE_RATE_HZ, AudioPart
from streaming.engine.messages.events import AudioDelta, ConversationRefused, ResponseDone

NAME = "warm-up"
# Quiet noise would do as well: what is heard does not matter. Two blocks, the second a part.
SILENCE_S = 2.5
# A Talker that never gets to its first chunk must not keep the engine from starting.
MAX_STEPS = 500


def warm_up(engine: Engine) -> None:
    """Runs a turn up to its second chunk of sound, then forgets it."""
    pcm = bytes(4 * int(SILENCE_S * INPUT_SAMPLE_RATE_HZ))
    part = AudioPart(pcm=pcm)
    engine.inbox.extend(
        (
            OpenConversation(conversation_id=NAME),
            AddItem(conversation_id=NAME, item_id="question", role="user", parts=(part,)),
            Respond(conversation_id=NAME, response_id=NAME, item_id="answer"),
        )
    )
    chunks = 0
    for _ in range(MAX_STEPS):
        engine.step()
        events = list(engine.outbox)
        engine.outbox.clear()
        chunks += sum(isinstance(event, AudioDelta) for event in events)
        ended = any(isinstance(event, ResponseDone | ConversationRefused) for event in events)
        if ended or chunks == 2:
            break
    engine.inbox.extend(
        (
            CancelResponse(conversation_id=NAME, response_id=NAME),
            CloseConversation(conversation_id=NAME),
        )
    )
    engine.step()
    engine.outbox.clear()
