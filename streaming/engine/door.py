"""The engine's door: who gets a conversation, and what it begins with.

Knows slots, voices and what a conversation takes over from another. Does not know what is done in
one afterwards (`commands.py`).
"""

from __future__ import annotations

from functools import partial

from streaming.engine.conversation import Conversation
from streaming.engine.ground import Ground
from streaming.engine.messages.commands import OpenConversation
from streaming.engine.messages.events import ConversationOpened, ConversationRefused
from streaming.engine.scheduler import Scheduler
from streaming.engine.timeline import Timeline
from streaming.errors import RefusedError

# A new conversation has nothing to read but its instructions, which may take until somebody speaks.
FIRST_TARGET_S = 2.0


class Door:
    """Opens conversations.

    Args:
        conversations: those that are open, by id; new ones come in.
        ground: slots, words, the way out and the clock.
        scheduler: says how many there may be.
        max_asides: how many there may be beside others.
    """

    def __init__(
        self,
        conversations: dict[str, Conversation],
        ground: Ground,
        scheduler: Scheduler,
        *,
        max_asides: int,
    ) -> None:
        self._conversations = conversations
        self._max_asides = max_asides
        self._memory = ground.memory
        self._template = ground.template
        self._emit = ground.emit
        self._clock = ground.clock
        self._preempted = ground.preempted
        self._voices = tuple(ground.model.speakers)
        self._system_prompt = ground.model.config.omnilive.system_prompt
        self._scheduler = scheduler

    def open(self, command: OpenConversation) -> None:
        """Opens a conversation, or refuses it, and says so."""
        name = command.conversation_id
        code = "capacity"
        try:
            if name in self._conversations:
                code = "duplicate"
                raise RefusedError(f"conversation {name!r} is open already")
            if command.parent_id is not None and command.parent_id not in self._conversations:
                code = "unknown_conversation"
                raise RefusedError(f"conversation {command.parent_id!r} is not open")
            parent = self._parent(command)
            voice = command.voice or (self._voices[0] if parent is None else parent.voice)
            if voice not in self._voices:
                code = "unknown_voice"
                raise RefusedError(f"no voice {voice!r}; voices: {', '.join(self._voices)}")
            self._admit(command)
            code = "context"
            self._conversations[name] = self._new(command, voice)
        except RefusedError as error:
            self._emit(ConversationRefused(conversation_id=name, code=code, message=str(error)))
        else:
            self._emit(ConversationOpened(conversation_id=name))

    def _admit(self, command: OpenConversation) -> None:
        """Raises RefusedError if there is no slot of its kind left."""
        asides = sum(c.is_aside for c in self._conversations.values())
        if command.parent_id is None:
            self._scheduler.admit(len(self._conversations) - asides)
        elif asides >= self._max_asides:
            raise RefusedError(
                f"{self._max_asides} responses outside their conversation are in progress in this "
                "engine (max_asides); try later"
            )

    def _parent(self, command: OpenConversation) -> Conversation | None:
        return None if command.parent_id is None else self._conversations[command.parent_id]

    def _new(self, command: OpenConversation, voice: str) -> Conversation:
        """Makes a conversation of its own or its parent's instructions, tools and items.

        Raises:
            RefusedError: They do not fit into the context.
        """
        instructions, tools, parent = command.instructions, command.tools, self._parent(command)
        if instructions is None:
            instructions = self._system_prompt if parent is None else parent.instructions
        if tools is None:
            tools = () if parent is None else parent.tools
        system = self._template.system(instructions, tools)
        timeline = Timeline(
            system,
            self._template.answer_open,
            capacity_tokens=self._memory.capacity_tokens,
            forgot=partial(self._preempted, "context_full"),
        )
        if command.copies_items and parent is not None:
            for item in parent.timeline.complete_items():
                timeline.insert(item)
        return Conversation(
            conversation_id=command.conversation_id,
            slot=self._memory.take(),
            voice=voice,
            instructions=instructions,
            tools=tools,
            system=system,
            timeline=timeline,
            is_aside=parent is not None,
            due_s=self._clock() + FIRST_TARGET_S,
        )
