"""Between the protocol's words and the engine's: one command is one message, one message one event.

Knows both vocabularies and nothing else; a pure function each way.
"""

from __future__ import annotations

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
)
from streaming.protocol import commands as said
from streaming.protocol import engine_events as heard

# Between a conversation's name and that of a response beside it.
ASIDE = "/"


def to_engine(command: said.Command, conversation_id: str) -> Command:
    """Returns the engine message for a session's command."""
    match command:
        case said.StartUserAudio(item_id=item):
            return UserAudioStart(conversation_id=conversation_id, item_id=item)
        case said.AppendUserAudio(item_id=item, pcm=pcm):
            return UserAudio(conversation_id=conversation_id, item_id=item, pcm=pcm)
        case said.AppendUserFrame(item_id=item, frame=frame, frames_per_second=fps):
            return UserFrame(
                conversation_id=conversation_id,
                item_id=item,
                frame=_frame(frame),
                frames_per_second=fps,
            )
        case said.ShowUserVideo(item_id=item, video=video):
            return UserVideo(conversation_id=conversation_id, item_id=item, video=_video(video))
        case said.PauseUserAudio(item_id=item):
            return UserAudioPause(conversation_id=conversation_id, item_id=item)
        case said.CommitUserAudio(item_id=item):
            return UserAudioStop(conversation_id=conversation_id, item_id=item)
        case said.DropUserAudio(item_id=item):
            return UserAudioDrop(conversation_id=conversation_id, item_id=item)
        case said.RequestTranscript(item_id=item):
            return Transcribe(conversation_id=conversation_id, item_id=item)
        case said.DeleteItem(item_id=item):
            return DeleteItem(conversation_id=conversation_id, item_id=item)
        case said.TruncateItem(item_id=item, audio_end_ms=end_ms):
            return TruncateItem(conversation_id=conversation_id, item_id=item, audio_end_ms=end_ms)
        case said.UpdateInstructions(update_id=update, instructions=text, tools=tools):
            return UpdateInstructions(
                conversation_id=conversation_id, update_id=update, instructions=text, tools=tools
            )
        case said.SetTruncation(retention_ratio=ratio, items_tokens=tokens):
            return SetTruncation(
                conversation_id=conversation_id, retention_ratio=ratio, items_tokens=tokens
            )
        case said.CancelResponse(response_id=response, heard_ms=heard_ms):
            return CancelResponse(
                conversation_id=conversation_id, response_id=response, heard_ms=heard_ms
            )
        case said.CreateItem():
            return _add_item(command, conversation_id)
        case said.StartResponse():
            return _respond(command, conversation_id)
        case said.OpenAside(response_id=response):
            return OpenConversation(
                conversation_id=aside_of(conversation_id, response),
                instructions=command.instructions,
                tools=command.tools,
                voice=command.voice,
                parent_id=conversation_id,
                copies_items=command.copies_items,
            )
        case said.Aside(response_id=response, command=inner):
            return _aside(inner, aside_of(conversation_id, response), conversation_id)


def aside_of(conversation_id: str, response_id: str) -> str:
    """Returns the engine's name of the second conversation of a response."""
    return f"{conversation_id}{ASIDE}{response_id}"


def response_aside(conversation_id: str) -> str | None:
    """Returns the response that has this conversation to itself; None if it is a session's."""
    return conversation_id.partition(ASIDE)[2] or None


def to_protocol(message: Event) -> heard.EngineEvent | None:
    """Returns what the message means for the session; None if it is not about one."""
    match message:
        case TextDelta(response_id=response, text=text):
            return heard.ReplyText(response_id=response, text=text)
        case AudioDelta(response_id=response, pcm=pcm):
            return heard.ReplyAudio(response_id=response, pcm=pcm)
        case ResponseDone():
            return _reply_done(message)
        case ToolCallDelta():
            return heard.ReplyCall(
                response_id=message.response_id,
                item_id=message.item_id,
                name=message.name,
                arguments=message.arguments,
            )
        case ToolCallDone():
            return heard.ReplyCallDone(
                response_id=message.response_id,
                item_id=message.item_id,
                name=message.name,
                arguments=message.arguments,
                complete=message.complete,
            )
        case InputTranscriptDelta(item_id=item, text=text):
            tokens = _tokens(message)
            return heard.InputTranscriptDelta(item_id=item, text=text, tokens=tokens)
        case InputTranscript(item_id=item, text=text):
            return heard.InputTranscript(item_id=item, text=text, tokens=_tokens(message))
        case TranscriptFailed(item_id=item, code=code, message=text):
            failure = heard.Failure(code=code, message=text)
            return heard.TranscriptFailed(item_id=item, failure=failure)
        case ItemTruncated(item_id=item, text=text):
            return heard.ItemTruncated(item_id=item, text=text)
        case InstructionsUpdated(update_id=update):
            return heard.InstructionsUpdated(update_id=update)
        case InstructionsRefused(update_id=update, code=code, message=text):
            failure = heard.Failure(code=code, message=text)
            return heard.InstructionsRefused(update_id=update, failure=failure)
        case EngineFault(code=code, message=text, item_id=item_or_none, fatal=fatal):
            failure = heard.Failure(code=code, message=text)
            return heard.EngineFault(failure=failure, item_id=item_or_none, fatal=fatal)
        case _:
            return None


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
    parts = tuple(map(_part, command.parts))
    return AddItem(
        conversation_id=conversation_id,
        item_id=command.item_id,
        role=command.role,
        parts=parts,
        previous_item_id=FRONT if command.previous_item_id is None else command.previous_item_id,
    )


def _respond(command: said.StartResponse, conversation_id: str) -> Respond:
    return Respond(
        conversation_id=conversation_id,
        response_id=command.response_id,
        item_id=command.item_id,
        modalities=(command.modality,),
        max_output_tokens=command.max_output_tokens,
        instructions=command.instructions,
        voice=command.voice,
        tools=command.tools,
        tool_choice=command.tool_choice,
        function=command.function,
        parallel_tool_calls=command.parallel_tool_calls,
    )


def _part(part: said.Part) -> Part:
    match part:
        case said.TextPart(text=text):
            return TextPart(text=text)
        case said.AudioPart(pcm=pcm):
            return AudioPart(pcm=pcm)
        case said.ImagePart(frame=frame):
            return ImagePart(frame=_frame(frame))
        case said.VideoPart():
            return _video(part)
        case said.ToolCallPart(name=name, arguments=arguments):
            return ToolCallPart(name=name, arguments=arguments)
        case said.ToolResultPart(output=output):
            return ToolResultPart(output=output)


def _frame(frame: said.Frame) -> Frame:
    return Frame(pixels=frame.pixels, rows=frame.rows, columns=frame.columns)


def _video(video: said.VideoPart) -> VideoPart:
    return VideoPart(
        frames=tuple(map(_frame, video.frames)),
        frames_per_second=video.frames_per_second,
        pcm=video.pcm,
    )


def _tokens(message: InputTranscriptDelta | InputTranscript) -> tuple[heard.TranscriptToken, ...]:
    return tuple(
        heard.TranscriptToken(octets=token.octets, log_prob=token.log_prob)
        for token in message.tokens
    )


def _reply_done(message: ResponseDone) -> heard.ReplyDone:
    usage = message.usage
    return heard.ReplyDone(
        response_id=message.response_id,
        status=message.status,
        reason=message.reason,
        failure=_failure(message.error),
        usage=heard.ReplyUsage(
            input_text_tokens=usage.input_text_tokens,
            input_audio_tokens=usage.input_audio_tokens,
            input_image_tokens=usage.input_image_tokens,
            cached_tokens=usage.cached_tokens,
            cached_audio_tokens=usage.cached_audio_tokens,
            cached_image_tokens=usage.cached_image_tokens,
            output_text_tokens=usage.output_text_tokens,
            output_audio_tokens=usage.output_audio_tokens,
        ),
    )


def _failure(error: ResponseError | None) -> heard.Failure | None:
    return None if error is None else heard.Failure(code=error.code, message=error.message)
