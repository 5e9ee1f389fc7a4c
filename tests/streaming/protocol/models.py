"""Both sides of a session in the fuzz test: an engine and a client, as strict models.

The engine model fails on any command that a real engine could not carry out; the client model
rebuilds the conversation from events alone, as real clients do. In the end both hold the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from streaming.protocol import commands as c


@dataclass
class Reply:
    response_id: str
    item_id: str
    modality: str
    begun: bool = False
    cancelled: bool = False
    calls: list[str] = field(default_factory=list)


@dataclass
class EngineModel:
    items: list[str] = field(default_factory=list)
    open_turn: str | None = None
    reply: Reply | None = None
    to_cut: list[str] = field(default_factory=list)
    to_transcribe: list[str] = field(default_factory=list)
    to_brief: list[c.UpdateInstructions] = field(default_factory=list)
    told: str | None = None

    def carry_out(self, command: c.Command) -> None:
        match command:
            case c.StartUserAudio(item_id=item):
                assert self.open_turn is None
                self._add(item, len(self.items))
                self.open_turn = item
            case c.AppendUserAudio(item_id=item, pcm=pcm):
                assert item == self.open_turn
                assert pcm
                assert len(pcm) % 4 == 0
            case c.PauseUserAudio(item_id=item):
                assert item == self.open_turn
            case c.CommitUserAudio(item_id=item):
                assert item == self.open_turn
                self.open_turn = None
            case c.DropUserAudio(item_id=item):
                assert item == self.open_turn
                self.open_turn = None
                self.items.remove(item)
            case c.CreateItem(item_id=item, previous_item_id=previous):
                self._add(item, 0 if previous is None else self.items.index(previous) + 1)
            case c.DeleteItem(item_id=item):
                assert self.reply is None or item not in (self.reply.item_id, *self.reply.calls)
                assert item != self.open_turn
                self.items.remove(item)
            case c.StartResponse(response_id=response, item_id=item, modality=modality):
                assert self.reply is None
                before_open = self.items[-1:] == [self.open_turn]
                self._add(item, len(self.items) - before_open)
                self.reply = Reply(response, item, modality)
            case c.CancelResponse(response_id=response):
                assert self.reply is not None
                assert response == self.reply.response_id
                self.reply.cancelled = True
            case c.TruncateItem(item_id=item, audio_end_ms=end_ms):
                assert item in self.items
                assert self.reply is None or item != self.reply.item_id
                assert end_ms >= 0
                self.to_cut.append(item)
            case c.RequestTranscript(item_id=item):
                assert item in self.items
                self.to_transcribe.append(item)
            case c.UpdateInstructions():
                self.to_brief.append(command)

    def is_cancelling(self, item_id: str) -> bool:
        """Whether an item is one that a cancelled reply has not ended making."""
        reply = self.reply
        return bool(reply and reply.cancelled and item_id in (reply.item_id, *reply.calls))

    def end_reply(self, status: str) -> None:
        """A reply stays as an item, however short, unless it failed before it began."""
        assert self.reply is not None
        if status == "failed" and not self.reply.begun:
            self.items.remove(self.reply.item_id)
        self.reply = None

    def call(self) -> str:
        """The running reply calls a function; the item that it becomes."""
        assert self.reply is not None
        self.reply.begun = True
        before = [self.reply.item_id, *self.reply.calls][-1]
        item = f"{self.reply.item_id}_call{len(self.reply.calls)}"
        self.reply.calls.append(item)
        self._add(item, self.items.index(before) + 1)
        return item

    def _add(self, item: str, place: int) -> None:
        assert item not in self.items
        self.items.insert(place, item)


@dataclass
class ClientModel:
    items: list[str] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)
    running: str | None = None
    turn: str | None = None
    answered: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        match kind:
            case "conversation.item.added":
                item, previous = event["item"]["id"], event["previous_item_id"]
                assert item not in self.items
                self.items.insert(0 if previous is None else self.items.index(previous) + 1, item)
            case "conversation.item.done":
                assert event["item"]["id"] in self.items
                self.finished.add(event["item"]["id"])
            case "conversation.item.deleted":
                self.items.remove(event["item_id"])
            case "response.created":
                assert self.running is None
                self.running = event["response"]["id"]
            case "response.done":
                assert event["response"]["id"] == self.running
                self.running = None
                assert {item["id"] for item in event["response"]["output"]} <= self.finished
            case "input_audio_buffer.speech_started":
                self.turn = event["item_id"]
            case "input_audio_buffer.speech_stopped":
                assert event["item_id"] == self.turn
            case "error":
                if event["error"]["event_id"] is not None:
                    self.answered.add(event["error"]["event_id"])
            case _ if kind.startswith("response."):
                assert event["response_id"] == self.running
