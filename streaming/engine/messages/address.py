"""Whom a message is about: a conversation, one item of it, or one reply."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class OfConversation:
    """A message of one conversation."""

    conversation_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OfItem(OfConversation):
    """A message about one item of a conversation."""

    item_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OfResponse(OfConversation):
    """A message about one reply of a conversation."""

    response_id: str
