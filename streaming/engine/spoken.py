"""What the commands about a spoken item change, from its opening to its end.

Knows which item is still open, and how soon what has come should be read. Does not know how it is
encoded (`hearing.py`).
"""

from __future__ import annotations

from typing import TypeAlias

from streaming.engine.conversation import Conversation
from streaming.engine.ground import Ground
from streaming.engine.hearing import Listener
from streaming.engine.incoming import Hearing, Phase
from streaming.engine.item import Item
from streaming.engine.messages.commands import (
    UserAudio,
    UserAudioDrop,
    UserAudioPause,
    UserAudioStart,
    UserAudioStop,
    UserFrame,
    UserVideo,
)
from streaming.errors import ItemStateError

# How soon the part block should be in the cache when silence has begun.
PAUSE_TARGET_S = 0.2

OfSpoken: TypeAlias = (
    UserAudioStart
    | UserAudio
    | UserFrame
    | UserVideo
    | UserAudioPause
    | UserAudioStop
    | UserAudioDrop
)


class Spoken:
    """Applies commands about spoken items.

    Args:
        ground: the template, the caches and the clock.
        listener: takes in what comes.
    """

    def __init__(self, ground: Ground, listener: Listener) -> None:
        self._template = ground.template
        self._sounds = ground.sounds
        self._memory = ground.memory
        self._clock = ground.clock
        self._listener = listener

    def apply(self, conversation: Conversation, command: OfSpoken) -> None:
        """Does what a command says.

        Raises:
            ConversationError: There is no such open item, or what comes cannot be taken.
        """
        if isinstance(command, UserAudioStart):
            self._open(conversation, command.item_id)
            return
        hearing = _open_item(conversation, command.item_id)
        match command:
            case UserAudio(pcm=pcm):
                self._listener.hear(conversation, hearing, pcm)
            case UserFrame():
                self._listener.see(conversation, hearing, command)
            case UserVideo(video=video):
                self._listener.show(conversation, hearing, video)
            case UserAudioPause():
                self._listener.pause(hearing)
                conversation.due_s = self._clock() + PAUSE_TARGET_S
            case UserAudioStop():
                self._listener.stop(hearing)
                conversation.due_s = self._clock() + PAUSE_TARGET_S
            case UserAudioDrop(item_id=item_id):
                self._memory.cut(conversation.slot, conversation.remove(item_id))

    def _open(self, conversation: Conversation, item_id: str) -> None:
        opening = [self._template.user_open, *self._sounds.opening(behind_text=False)]
        item = Item(item_id, "user", opening, complete=False)
        self._memory.cut(conversation.slot, conversation.timeline.insert(item))
        self._listener.start(conversation, item)


def _open_item(conversation: Conversation, item_id: str) -> Hearing:
    conversation.timeline.item(item_id)
    hearing = conversation.hearing.get(item_id)
    if hearing is None or hearing.phase is Phase.STOPPED:
        raise ItemStateError(f"item {item_id!r} is no open spoken item")
    return hearing
