// A conversation with a Realtime server that survives its connection: when the line is cut, the client
// comes back to the same conversation, gets what it missed and sends again what did not arrive. Where
// that cannot be, it says so (`x_resync`, `dropped`) and never pretends.

import { Chunker, decodeSamples } from './audio.js';
import { Emitter } from './emitter.js';
import type { ClientEvent, ErrorDetails, ServerEvent, ServerEventOf, ServerEventType, Session } from './events.js';
import { KeptOptions } from './kept.js';
import { Line, type SocketClass } from './line.js';
import { DEFAULTS, type ClientOptions } from './options.js';
import { Outgoing, type Dropped } from './outgoing.js';

declare const setTimeout: (act: () => void, ms: number) => unknown;
declare const clearTimeout: (timer: unknown) => void;
declare const WebSocket: SocketClass;

// Refusals that no further try would change, and ends that are meant.
const REFUSALS = new Set([
  'invalid_api_key',
  'origin_not_allowed',
  'host_not_allowed',
  'model_not_found',
  'invalid_value',
]);
const ENDS = new Set(['session_expired', 'session_idle', 'taken_over']);
const PUMP_MS = 20;

export type State = 'idle' | 'connecting' | 'open' | 'waiting' | 'closed';

export type ClientEvents = { [Type in ServerEventType]: ServerEventOf<Type> } & {
  event: ServerEvent; // every one, before its own listeners
  audio: { samples: Int16Array; item_id: string; response_id: string };
  state: { state: State; reason: string };
  dropped: Dropped;
};

export class ConnectionError extends Error {
  override name = 'ConnectionError';
}

export class RealtimeClient extends Emitter<ClientEvents> {
  state: State = 'idle';
  session: Session | null = null;
  private readonly options: ClientOptions & typeof DEFAULTS;
  private readonly outgoing: Outgoing;
  private readonly chunker: Chunker;
  private readonly kept: KeptOptions;
  private line: Line | null = null;
  private token: string | null = null;
  private seen = 0; // number of the newest event
  private tries = 0; // since a line was last steady: how long to wait for the next
  private failures = 0; // tries in a row that never opened: when to give up
  private responding = false;
  private goneIsTold = false;
  private fatal: ErrorDetails | null = null;
  private retryTimer: unknown;
  private pingTimer: unknown;
  private pumpTimer: unknown = null;
  private steadyTimer: unknown;
  private opened: { resolve(session: Session): void; reject(error: Error): void } | null = null;

  constructor(options: ClientOptions) {
    super();
    this.options = { ...DEFAULTS, ...options };
    this.chunker = new Chunker(this.options.chunkMs);
    this.kept = new KeptOptions(this.options.session);
    this.outgoing = new Outgoing(this.options, (what) => this.emit('dropped', what));
  }

  // Resolves with the session once there is one; later cuts are shown as `state`.
  connect(): Promise<Session> {
    if (this.state !== 'idle') return Promise.reject(new ConnectionError(`connect() was called before (${this.state})`));
    return new Promise((resolve, reject) => {
      this.opened = { resolve, reject };
      this.dial();
    });
  }

  // Throws a QueueFullError if too much waits.
  send(event: ClientEvent): void {
    if (this.state === 'closed') throw new ConnectionError('the client is closed');
    if (event.type === 'input_audio_buffer.commit') this.flushAudio();
    if (event.type === 'input_audio_buffer.clear') this.chunker.clear();
    if (event.type === 'session.update') {
      const update = this.kept.named(event);
      this.outgoing.push(JSON.stringify(update));
      this.kept.keep(update);
    } else {
      this.outgoing.push(JSON.stringify(event));
    }
    this.pump();
  }

  // Takes the microphone's samples: 24 kHz, mono, in pieces of any length.
  appendAudio(samples: Int16Array): void {
    if (this.state === 'closed') throw new ConnectionError('the client is closed');
    for (const audio of this.chunker.push(samples)) this.sendAudio(audio, this.options.chunkMs);
    this.pump();
  }

  // Breaks the reply off that is being said; `playedMs` is how much of it was heard.
  interrupt(itemId: string, playedMs: number): void {
    if (this.responding) this.send({ type: 'response.cancel' });
    this.send({
      type: 'conversation.item.truncate',
      item_id: itemId,
      content_index: 0,
      audio_end_ms: Math.max(0, Math.floor(playedMs)),
    });
  }

  close(): void {
    this.finish('closed here');
  }

  // --- the line ---------------------------------------------------------------------------------

  private dial(): void {
    if (!this.setState(this.tries ? 'waiting' : 'connecting', this.tries ? `try ${this.tries}` : 'first try')) return;
    try {
      this.line = this.newLine();
    } catch (error) {
      this.finish(String(error));
    }
  }

  private newLine(): Line {
    const { url, model, apiKey, connectMs } = this.options;
    const query = ['x_resume=1'];
    if (model !== undefined) query.push(`model=${encodeURIComponent(model)}`);
    const protocols = ['realtime'];
    if (apiKey !== undefined) protocols.push(`openai-insecure-api-key.${apiKey}`);
    if (this.token !== null) {
      protocols.push(`x-resume.${this.token}`);
      query.push(`x_after=${this.seen}`);
    }
    const line: Line = new Line(
      this.options.WebSocket ?? WebSocket,
      `${url}${url.includes('?') ? '&' : '?'}${query.join('&')}`,
      protocols,
      connectMs,
      {
        frame: (text) => this.line === line && this.take(JSON.parse(text) as ServerEvent),
        lost: (reason) => this.line === line && this.lost(reason),
      },
    );
    return line;
  }

  private lost(reason: string): void {
    this.line = null;
    clearTimeout(this.pingTimer);
    clearTimeout(this.steadyTimer);
    if (this.fatal) return this.finish(`${this.fatal.message} (${this.fatal.code})`);
    if (this.failures >= this.options.maxTries) return this.finish(`${reason}; gave up after ${this.failures} tries`);
    const delayMs = Math.min(this.options.maxRetryMs, this.options.retryMs * 2 ** this.tries);
    this.tries += 1;
    this.failures += 1; // unless the next one opens
    if (!this.setState('waiting', reason)) return;
    // Somewhat at random, so that not all clients of a server that was away come back at once.
    this.retryTimer = setTimeout(() => this.dial(), delayMs * (0.5 + Math.random() / 2));
  }

  private finish(reason: string): void {
    if (this.state === 'closed') return;
    this.line?.close();
    this.line = null;
    for (const timer of [this.retryTimer, this.pingTimer, this.pumpTimer, this.steadyTimer]) clearTimeout(timer);
    this.opened?.reject(new ConnectionError(reason));
    this.opened = null;
    this.setState('closed', reason);
  }

  // Returns whether to go on: no listener has closed the client. What is closed stays so.
  private setState(state: State, reason: string): boolean {
    if (this.isClosed) return false;
    this.state = state;
    this.emit('state', { state, reason });
    return !this.isClosed;
  }

  // Any listener may have closed it.
  private get isClosed(): boolean {
    return this.state === 'closed';
  }

  // --- what comes -------------------------------------------------------------------------------

  private take(event: ServerEvent): void {
    // A conversation that begins counts anew, and a resync says itself where it is.
    if (event.x_seq !== undefined && event.type !== 'session.created' && event.type !== 'x_resync') {
      if (event.x_seq <= this.seen) return;
      this.seen = event.x_seq;
    }
    // One of which the beginning was lost goes on all the same.
    if (event.type.startsWith('response.')) this.responding = event.type !== 'response.done';
    switch (event.type) {
      case 'session.created':
        this.begin(event);
        break;
      case 'session.updated':
        this.session = event.session;
        break;
      case 'x_resumed':
        this.outgoing.resend(event.received);
        this.up('resumed');
        break;
      case 'x_resync':
        this.resync(event);
        break;
      case 'x_pong':
        this.outgoing.ack(event.received);
        this.pump();
        break;
      case 'error':
        if (event.error.event_id !== null) this.kept.refused(event.error.event_id);
        // One that ends the connection; that it does, the line will say.
        if ((this.state === 'open' ? ENDS : REFUSALS).has(event.error.code ?? '')) this.fatal = event.error;
        break;
    }
    if (!this.isClosed) this.emit('event', event);
    if (!this.isClosed) this.tell(event);
    if (!this.isClosed && event.type === 'response.output_audio.delta') {
      const { item_id, response_id } = event;
      this.emit('audio', { samples: decodeSamples(event.delta), item_id, response_id });
    }
  }

  // Tells those who listen to events of this type.
  private tell(event: ServerEvent): void {
    (this.emit as (name: ServerEventType, event: ServerEvent) => void).call(this, event.type, event);
  }

  private begin(event: ServerEventOf<'session.created'>): void {
    this.session = event.session;
    this.token = event.x_resume?.token ?? null;
    this.seen = event.x_seq ?? 0;
    this.responding = false;
    if (this.opened) {
      const first = this.kept.firstFrame();
      if (first !== null) this.outgoing.pushFirst(first);
      this.opened.resolve(event.session);
      this.opened = null;
    } else {
      // Not the first: whatever waits was meant for the one before.
      if (!this.goneIsTold) {
        const message = 'The server does not offer to resume. A new conversation begins.';
        this.emit('x_resync', { type: 'x_resync', event_id: '', code: 'conversation_gone', message });
      }
      this.outgoing.begin(this.kept.frames());
    }
    this.goneIsTold = false;
    this.up('a new conversation');
  }

  private resync(event: ServerEventOf<'x_resync'>): void {
    if (event.code === 'conversation_gone') {
      this.goneIsTold = true;
      this.token = null; // `session.created` follows
      this.seen = 0;
      return;
    }
    this.seen = event.x_seq;
    this.session = event.session;
    this.responding = false; // as far as anybody knows
    this.outgoing.resend(event.received);
    this.up('resumed, with events missing');
  }

  private up(reason: string): void {
    if (this.isClosed) return;
    this.fatal = null;
    this.failures = 0;
    // One that opens and drops at once is not to be dialled at once, for ever.
    this.steadyTimer = setTimeout(() => (this.tries = 0), this.options.deadMs);
    this.line?.up(this.token === null ? null : this.options.deadMs);
    if (this.token !== null) this.ping();
    if (this.setState('open', reason)) this.pump();
  }

  // --- what goes --------------------------------------------------------------------------------

  private sendAudio(audio: string, ms: number): void {
    this.outgoing.pushAudio(JSON.stringify({ type: 'input_audio_buffer.append', audio }), ms);
  }

  private flushAudio(): void {
    const rest = this.chunker.flush();
    if (rest) this.sendAudio(rest.audio, rest.ms);
  }

  // Sends while the socket takes it; where it is full, looks again soon.
  private pump(): void {
    clearTimeout(this.pumpTimer);
    this.pumpTimer = null;
    const line = this.line;
    if (this.state !== 'open' || !line?.isOpen) return;
    while (line.bufferedBytes <= this.options.maxBufferedBytes) {
      const text = this.outgoing.next(this.token !== null);
      if (text === null) return;
      line.send(text);
    }
    this.pumpTimer = setTimeout(() => this.pump(), PUMP_MS);
  }

  // Asks how much has arrived: the answer is also the sign that the line lives.
  private ping(): void {
    clearTimeout(this.pingTimer);
    if (this.line?.isOpen) {
      const text = JSON.stringify({ type: 'x_ping' });
      this.line.send(text);
      this.outgoing.sentOurs(text);
    }
    this.pingTimer = setTimeout(() => this.ping(), this.options.pingMs);
  }
}
