"""A conversation is asked for: the engine's first answer, or none in time.

Knows the limit on the engine's silence. Does not know what an answer means to whom.
"""

from __future__ import annotations

import asyncio

from server.errors import NotReadyError
from streaming.engine.client import EngineClient
from streaming.engine.messages.commands import OpenConversation
from streaming.engine.messages.events import EngineFault, Event


async def first_answer(
    engine: EngineClient, command: OpenConversation, messages: asyncio.Queue[Event]
) -> Event:
    """Asks the engine for a conversation and returns what it says.

    Raises:
        NotReadyError: It ended meanwhile, or says nothing; names the limit.
    """
    limit_s = engine.silence_limit_s
    try:
        async with asyncio.timeout(limit_s):
            await engine.send(command)
            answer = await messages.get()
    except TimeoutError:
        raise NotReadyError(
            f"the engine gave no answer in {limit_s:g} s (engine_silence_limit_s)"
        ) from None
    if isinstance(answer, EngineFault):
        raise NotReadyError(answer.message)
    return answer
