"""How many tokens a reply read and wrote, by kind.

Knows which tokens stand for sound and pictures. Does not know prices.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.config import ThinkerConfig
from streaming.engine.conversation import Conversation
from streaming.engine.messages.events import Usage
from streaming.engine.reading import reply_of


def usage_of(conversation: Conversation, figures: ThinkerConfig) -> Usage:
    """Counts the tokens of the reply under way; its prompt ends with the answer's opening.

    Args:
        conversation: whose reply.
        figures: say which tokens stand for sound and pictures.
    """
    reply, timeline = reply_of(conversation), conversation.timeline
    asked = timeline.start_of(reply.item) + timeline.room.opening_tokens
    ids = [token for piece in timeline.slice(0, asked) for token in piece.ids]
    cached = ids[: reply.cached_tokens]
    audio, image = _media(ids, figures)
    cached_audio, cached_image = _media(cached, figures)
    return Usage(
        input_tokens=len(ids),
        cached_tokens=len(cached),
        cached_audio_tokens=cached_audio,
        cached_image_tokens=cached_image,
        input_text_tokens=len(ids) - audio - image,
        input_audio_tokens=audio,
        input_image_tokens=image,
        output_text_tokens=len(reply.tokens),
        output_audio_tokens=0 if reply.speech is None else reply.speech.heard.codes,
    )


def _media(ids: Sequence[int], figures: ThinkerConfig) -> tuple[int, int]:
    """How many of these tokens stand for sound, and how many for pictures."""
    images = ids.count(figures.image_token_index) + ids.count(figures.video_token_index)
    return ids.count(figures.audio_token_index), images
