// What a client can be told, and what it takes where it is told nothing.

import type { SessionOptions } from './events.js';
import type { SocketClass } from './line.js';

export interface ClientOptions {
  url: string; // ws://HOST/v1/realtime or wss://…
  model?: string;
  apiKey?: string; // on a phone: a client secret, never a key
  session?: SessionOptions; // set again whenever a conversation has to begin anew
  chunkMs?: number; // of sound in one event, 20 to 100
  maxQueuedAudioMs?: number; // sound that waits for the connection; older sound is dropped, and said
  maxQueuedEvents?: number; // other events that wait; more are refused
  maxBufferedBytes?: number; // in the socket, where it says how much that is
  maxUnackedBytes?: number; // on the way, as far as the server has not said that it arrived
  pingMs?: number; // how often the server is asked for that
  deadMs?: number; // silence after which the connection counts as cut
  connectMs?: number;
  retryMs?: number; // before the first try to come back; doubled for each further one
  maxRetryMs?: number;
  maxTries?: number; // to come back that never opened, in a row; then it gives up
  WebSocket?: SocketClass;
}

export const DEFAULTS = {
  chunkMs: 40,
  maxQueuedAudioMs: 3_000,
  maxQueuedEvents: 256,
  maxBufferedBytes: 64 * 1024,
  maxUnackedBytes: 512 * 1024,
  pingMs: 2_000,
  deadMs: 8_000,
  connectMs: 10_000,
  retryMs: 250,
  maxRetryMs: 8_000,
  maxTries: 12,
};
