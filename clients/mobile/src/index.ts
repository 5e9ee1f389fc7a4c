export { RATE_HZ, decodeSamples, encodeSamples } from './audio.js';
export { ConnectionError, RealtimeClient } from './client.js';
export type { ClientEvents, State } from './client.js';
export type * from './events.js';
export type { ClientOptions } from './options.js';
export type { Socket, SocketClass } from './line.js';
export { QueueFullError } from './outgoing.js';
export type { Dropped } from './outgoing.js';
