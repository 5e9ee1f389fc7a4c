"""Between the protocol's words and the engine's: one command is one message, one message one event.

Knows both vocabularies and nothing else; a pure function each way.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

from streaming.engine.messages.commands import (
    FRONT,
    AddItem,
    CancelResponse,
    Command,
    CopyItem,
    DeleteItem,
    OpenConversation,
    Respond,
    SetTruncation,
    Transcribe,
    TruncateItem,
    UpdateInstructions,
    UserAudio,
    UserAudioDrop,
    UserAudioPause,
    UserAudioStart,
    UserAudioStop,
    UserFrame,
    UserVideo,
)
from streaming.engine.messages.content import (
    AudioPart,
    Frame,
    ImagePart,
    Part,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    VideoPart,
)
from streaming.engine.messages.events import (
    AudioDelta,
    EngineFault,
    Event,
    InputTranscript,
    InputTranscriptDelta,
    InstructionsRefused,
    InstructionsUpdated,
    ItemTruncated,
    ResponseDone,
    ResponseError,
    TextDelta,
    ToolCallDelta,
    ToolCallDone,
    TranscriptFailed,
    TranscriptToken,
)
from streaming.protocol import commands as said
from streaming.protocol import engine_events as heard

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Between a conversation's name and that of a response beside it.
ASIDE = "/"


# What both sides say in the same words: the fields that two of a pair share are all that there is.
SAME_COMMANDS: dict[type, type] = {
    said.StartUserAudio: UserAudioStart,
    said.AppendUserAudio: UserAudio,
    said.PauseUserAudio: UserAudioPause,
    said.CommitUserAudio: UserAudioStop,
    said.DropUserAudio: UserAudioDrop,
    said.RequestTranscript: Transcribe,
    said.DeleteItem: DeleteItem,
    said.TruncateItem: TruncateItem,
    said.UpdateInstructions: UpdateInstructions,
    said.SetTruncation: SetTruncation,
    said.CancelResponse: CancelResponse,
}
SAME_PARTS: dict[type, type] = {
    said.TextPart: TextPart,
    said.AudioPart: AudioPart,
    said.ToolCallPart: ToolCallPart,
    said.ToolResultPart: ToolResultPart,
}
SAME_EVENTS: dict[type, type] = {
    TextDelta: heard.ReplyText,
    AudioDelta: heard.ReplyAudio,
    ToolCallDelta: heard.ReplyCall,
    ToolCallDone: heard.ReplyCallDone,
    ItemTruncated: heard.ItemTruncated,
    InstructionsUpdated: heard.InstructionsUpdated,
}


def to_engine(command: said.Command, conversation_id: str) -> Command:
    """Returns the engine message for a session's command."""
    same = SAME_COMMANDS.get(type(command))
    if same is not None:
        message: Command = same(conversation_id=conversation_id, **_shared(command, same))
        return message
    match command:
        case said.AppendUserFrame(item_id=item, frame=frame, frames_per_second=fps):
            return UserFrame(
                conversation_id=conversation_id,
                item_id=item,
                frame=_frame(frame),
                frames_per_second=fps,
            )
        case said.ShowUserVideo(item_id=item, video=video):
            return UserVideo(conversation_id=conversation_id, item_id=item, video=_video(video))
        case said.CreateItem():
            return _add_item(command, conversation_id)
        case said.StartResponse(modality=modality):
            shared = _shared(command, Respond)
            return Respond(conversation_id=conversation_id, modalities=(modality,), **shared)
        case said.OpenAside(response_id=response):
            return OpenConversation(
                conversation_id=aside_of(conversation_id, response),
                parent_id=conversation_id,
                **_shared(command, OpenConversation),
            )
        case said.Aside(response_id=response, command=inner):
            return _aside(inner, aside_of(conversation_id, response), conversation_id)
        case _:
            raise AssertionError(f"{type(command).__name__} has no message")


def aside_of(conversation_id: str, response_id: str) -> str:
    """Returns the engine's name of the second conversation of a response."""
    return f"{conversation_id}{ASIDE}{response_id}"


def response_aside(conversation_id: str) -> str | None:
    """Returns the response that has this conversation to itself; None if it is a session's."""
    return conversation_id.partition(ASIDE)[2] or None


def to_protocol(message: Event) -> heard.EngineEvent | None:
    """Returns what the message means for the session; None if it is not about one."""
    same = SAME_EVENTS.get(type(message))
    if same is not None:
        event: heard.EngineEvent = same(**_shared(message, same))
        return event
    match message:
        case ResponseDone(usage=usage):
            return heard.ReplyDone(
                response_id=message.response_id,
                status=message.status,
                reason=message.reason,
                failure=None if message.error is None else _failure(message.error),
                usage=heard.ReplyUsage(**_shared(usage, heard.ReplyUsage)),
            )
        case InputTranscriptDelta(item_id=item, text=text, tokens=tokens):
            sure = tuple(map(_token, tokens))
            return heard.InputTranscriptDelta(item_id=item, text=text, tokens=sure)
        case InputTranscript(item_id=item, text=text, tokens=tokens):
            sure = tuple(map(_token, tokens))
            return heard.InputTranscript(item_id=item, text=text, tokens=sure)
        case TranscriptFailed(item_id=item):
            return heard.TranscriptFailed(item_id=item, failure=_failure(message))
        case InstructionsRefused(update_id=update):
            return heard.InstructionsRefused(update_id=update, failure=_failure(message))
        case EngineFault(item_id=item_or_none, fatal=fatal):
            failure = _failure(message)
            return heard.EngineFault(failure=failure, item_id=item_or_none, fatal=fatal)
        case _:
            return None


def _shared(source: DataclassInstance, kind: type[DataclassInstance]) -> dict[str, Any]:
    """What `source` has of the fields of a `kind`."""
    return {name: getattr(source, name) for name in _shared_names(type(source), kind)}


@cache
def _shared_names(
    source: type[DataclassInstance], kind: type[DataclassInstance]
) -> tuple[str, ...]:
    theirs = {field.name for field in fields(kind)}
    return tuple(field.name for field in fields(source) if field.name in theirs)


def _aside(
    command: said.CreateItem | said.CopyItem | said.StartResponse | said.CancelResponse,
    conversation_id: str,
    parent_id: str,
) -> Command:
    if isinstance(command, said.CopyItem):
        return CopyItem(
            conversation_id=conversation_id,
            item_id=command.item_id,
            source_id=parent_id,
            source_item_id=command.source_item_id,
        )
    return to_engine(command, conversation_id)


def _add_item(command: said.CreateItem, conversation_id: str) -> AddItem:
    return AddItem(
        conversation_id=conversation_id,
        item_id=command.item_id,
        role=command.role,
        parts=tuple(map(_part, command.parts)),
        previous_item_id=FRONT if command.previous_item_id is None else command.previous_item_id,
    )


def _part(part: said.Part) -> Part:
    match part:
        case said.ImagePart(frame=frame):
            return ImagePart(frame=_frame(frame))
        case said.VideoPart():
            return _video(part)
        case _:
            same = SAME_PARTS[type(part)]
            copied: Part = same(**_shared(part, same))
            return copied


def _frame(frame: said.Frame) -> Frame:
    return Frame(pixels=frame.pixels, rows=frame.rows, columns=frame.columns)


def _video(video: said.VideoPart) -> VideoPart:
    return VideoPart(
        frames=tuple(map(_frame, video.frames)),
        frames_per_second=video.frames_per_second,
        pcm=video.pcm,
    )


def _token(token: TranscriptToken) -> heard.TranscriptToken:
    return heard.TranscriptToken(octets=token.octets, log_prob=token.log_prob)


def _failure(
    source: ResponseError | TranscriptFailed | InstructionsRefused | EngineFault,
) -> heard.Failure:
    return heard.Failure(code=source.code, message=source.message)
