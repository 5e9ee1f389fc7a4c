// The events that pass, typed. Fields that this client does not use are there all the same.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface SessionOptions {
  instructions?: string;
  output_modalities?: ['audio'] | ['text'];
  audio?: {
    input?: {
      turn_detection?: null | { type: 'server_vad' | 'semantic_vad'; [option: string]: Json };
      transcription?: null | { model?: string; language?: string; prompt?: string };
      noise_reduction?: null | { type: 'near_field' | 'far_field' };
    };
    output?: { voice?: string; speed?: number };
  };
  tools?: { type: 'function'; name: string; description?: string; parameters?: Json }[];
  tool_choice?: 'auto' | 'none' | 'required' | { type: 'function'; name: string };
  max_output_tokens?: number | 'inf';
}

export interface Session extends SessionOptions {
  id: string;
  object: 'realtime.session';
  type: 'realtime';
  model: string;
  expires_at?: number;
}

export interface Content {
  type: 'input_text' | 'input_audio' | 'input_image' | 'output_text' | 'output_audio';
  text?: string;
  transcript?: string | null;
  image_url?: string;
}

export interface Item {
  id: string;
  type: 'message' | 'function_call' | 'function_call_output';
  status?: 'in_progress' | 'completed' | 'incomplete';
  role?: 'user' | 'assistant' | 'system';
  content?: Content[];
  name?: string;
  call_id?: string;
  arguments?: string;
  output?: string;
}

export interface ServerResponse {
  id: string;
  status: 'in_progress' | 'completed' | 'cancelled' | 'incomplete' | 'failed';
  status_details: null | { type: string; reason?: string; error?: { code?: string; message?: string } };
  output: Item[];
  metadata: null | { [key: string]: string };
  usage: null | { total_tokens: number; input_tokens: number; output_tokens: number };
}

export interface ErrorDetails {
  type: string;
  code: string | null;
  message: string;
  param: string | null;
  event_id: string | null;
}

interface Part {
  response_id: string;
  item_id: string;
  output_index: number;
  content_index: number;
}

interface ServerFields {
  error: { error: ErrorDetails };
  'session.created': { session: Session; x_resume?: { token: string; window_s: number } };
  'session.updated': { session: Session };
  'conversation.created': { conversation: { id: string } };
  'conversation.item.added': { item: Item; previous_item_id: string | null };
  'conversation.item.done': { item: Item; previous_item_id: string | null };
  'conversation.item.retrieved': { item: Item };
  'conversation.item.deleted': { item_id: string };
  'conversation.item.truncated': { item_id: string; content_index: number; audio_end_ms: number };
  'conversation.item.input_audio_transcription.delta': { item_id: string; content_index: number; delta: string };
  'conversation.item.input_audio_transcription.completed': { item_id: string; content_index: number; transcript: string };
  'conversation.item.input_audio_transcription.failed': { item_id: string; content_index: number; error: ErrorDetails };
  'input_audio_buffer.speech_started': { item_id: string; audio_start_ms: number };
  'input_audio_buffer.speech_stopped': { item_id: string; audio_end_ms: number };
  'input_audio_buffer.committed': { item_id: string; previous_item_id: string | null };
  'input_audio_buffer.cleared': {};
  'input_audio_buffer.timeout_triggered': { item_id: string; audio_start_ms: number; audio_end_ms: number };
  'response.created': { response: ServerResponse };
  'response.done': { response: ServerResponse };
  'response.output_item.added': { response_id: string; output_index: number; item: Item };
  'response.output_item.done': { response_id: string; output_index: number; item: Item };
  'response.content_part.added': Part & { part: { type: 'audio' | 'text'; text?: string; transcript?: string } };
  'response.content_part.done': Part & { part: { type: 'audio' | 'text'; text?: string; transcript?: string } };
  'response.output_audio.delta': Part & { delta: string };
  'response.output_audio.done': Part;
  'response.output_audio_transcript.delta': Part & { delta: string };
  'response.output_audio_transcript.done': Part & { transcript: string };
  'response.output_text.delta': Part & { delta: string };
  'response.output_text.done': Part & { text: string };
  'response.function_call_arguments.delta': Part & { call_id: string; delta: string };
  'response.function_call_arguments.done': Part & { call_id: string; name: string; arguments: string };
  'rate_limits.updated': { rate_limits: { name: string; limit: number; remaining: number; reset_seconds: number }[] };
  x_resumed: { missed: number; received: number };
  x_resync:
    | { code: 'events_lost'; message: string; x_seq: number; received: number; session: Session; item_ids: string[] }
    | { code: 'conversation_gone'; message: string };
  x_pong: { received: number };
}

export type ServerEventType = keyof ServerFields;
export type ServerEventOf<Type extends ServerEventType> = { type: Type; event_id: string; x_seq?: number } & ServerFields[Type];
export type ServerEvent = { [Type in ServerEventType]: ServerEventOf<Type> }[ServerEventType];

export interface ResponseOptions {
  instructions?: string;
  conversation?: 'auto' | 'none';
  output_modalities?: ['audio'] | ['text'];
  max_output_tokens?: number | 'inf';
  metadata?: { [key: string]: string };
  tool_choice?: SessionOptions['tool_choice'];
}

export type ClientEvent = { event_id?: string } & (
  | { type: 'session.update'; session: SessionOptions & { type: 'realtime' } }
  | { type: 'input_audio_buffer.append'; audio: string }
  | { type: 'input_audio_buffer.commit' }
  | { type: 'input_audio_buffer.clear' }
  | { type: 'conversation.item.create'; item: Omit<Item, 'id'> & { id?: string }; previous_item_id?: string }
  | { type: 'conversation.item.retrieve'; item_id: string }
  | { type: 'conversation.item.delete'; item_id: string }
  | { type: 'conversation.item.truncate'; item_id: string; content_index: number; audio_end_ms: number }
  | { type: 'response.create'; response?: ResponseOptions }
  | { type: 'response.cancel'; response_id?: string }
  | { type: 'x_ping' }
);
