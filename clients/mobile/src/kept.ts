// The options that a conversation has to begin with: the first ones, and what was set since. Each update
// stays one of its own, so that one which the server refuses takes no other with it.
// Knows no socket and no server.

import type { ClientEvent, SessionOptions } from './events.js';

export type SessionUpdate = Extract<ClientEvent, { type: 'session.update' }>;
export type NamedUpdate = SessionUpdate & { event_id: string };

const MAX_UPDATES = 16; // of more, the oldest become one with the first options

export class KeptOptions {
  private updates: NamedUpdate[] = [];
  private names = 0;

  constructor(private first: SessionOptions | undefined) {}

  // The update as it has to be sent, with a name for the server to refuse it by.
  named(update: SessionUpdate): NamedUpdate {
    return { ...update, event_id: update.event_id ?? `x_update_${(this.names += 1)}` };
  }

  keep(update: NamedUpdate): void {
    this.updates.push(update);
    if (this.updates.length <= MAX_UPDATES) return;
    const { type: _, ...options } = this.updates.shift()!.session;
    this.first = merged(this.first ?? {}, options);
  }

  // The server did not take what is called so; true of any event, of which most are no update.
  refused(eventId: string): void {
    this.updates = this.updates.filter((update) => update.event_id !== eventId);
  }

  // What was set at the very beginning; null if that is nothing.
  firstFrame(): string | null {
    return this.first ? JSON.stringify({ type: 'session.update', session: { type: 'realtime', ...this.first } }) : null;
  }

  // All that was set, in order.
  frames(): string[] {
    const first = this.firstFrame();
    return [...(first === null ? [] : [first]), ...this.updates.map((update) => JSON.stringify(update))];
  }
}

// Options as the server merges them: objects field by field, everything else as a whole.
function merged<Options extends object>(before: Options, after: Options): Options {
  const result = new Map<string, unknown>(Object.entries(before));
  for (const [name, value] of Object.entries(after)) {
    const old = result.get(name);
    result.set(name, isObject(old) && isObject(value) ? merged(old, value) : value);
  }
  return Object.fromEntries(result) as Options;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
