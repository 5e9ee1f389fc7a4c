// What waits to be sent, in order, and what was sent and may not have arrived. Both are bounded: sound
// that finds no room pushes out the oldest sound, and that is said; an event that finds none is refused.
// What is sent again has had its room before: it takes none from what waits, and nothing pushes it out.
// Knows sizes and numbers. Knows no socket and no clock.

export interface Dropped {
  // queue_full: the connection is too slow for the microphone. conversation_gone: it was meant for a
  // conversation that is no more.
  reason: 'queue_full' | 'conversation_gone';
  events: number;
  audioMs: number;
}

export class QueueFullError extends Error {
  override name = 'QueueFullError';
}

interface Frame {
  text: string;
  audioMs: number; // 0: no sound, and must not be lost
  ours?: boolean; // not the user's: no loss where it goes
}

export interface OutgoingLimits {
  maxQueuedAudioMs: number;
  maxQueuedEvents: number;
  maxUnackedBytes: number;
}

export class Outgoing {
  private waiting: Frame[] = [];
  private again: Frame[] = []; // were sent, and have to be sent again, before all that waits
  private unacked: Frame[] = [];
  private audioMs = 0;
  private events = 0;
  private unackedBytes = 0;
  private acked = 0; // frames of this conversation that have arrived

  constructor(
    private readonly limits: OutgoingLimits,
    private readonly dropped: (what: Dropped) => void,
  ) {}

  get queuedAudioMs(): number {
    return this.audioMs;
  }

  pushAudio(text: string, audioMs: number): void {
    this.waiting.push({ text, audioMs });
    this.audioMs += audioMs;
    let gone = { events: 0, audioMs: 0 };
    for (let at = 0; this.audioMs > this.limits.maxQueuedAudioMs && at < this.waiting.length; ) {
      const oldest = this.waiting[at];
      if (!oldest?.audioMs) {
        at += 1;
        continue;
      }
      this.waiting.splice(at, 1);
      this.audioMs -= oldest.audioMs;
      gone = { events: gone.events + 1, audioMs: gone.audioMs + oldest.audioMs };
    }
    if (gone.events) this.dropped({ reason: 'queue_full', ...gone });
  }

  // Throws a QueueFullError if too many events wait already.
  push(text: string): void {
    if (this.events >= this.limits.maxQueuedEvents) {
      throw new QueueFullError(`${this.limits.maxQueuedEvents} events wait to be sent (maxQueuedEvents)`);
    }
    this.waiting.push({ text, audioMs: 0 });
    this.events += 1;
  }

  // Puts one frame before all others: what a conversation has to begin with.
  pushFirst(text: string): void {
    this.waiting.unshift({ text, audioMs: 0 });
    this.events += 1;
  }

  // The next frame to send, which counts as sent; null if there is none, or too much is on its way.
  next(keepsUnacked: boolean): string | null {
    if (this.unackedBytes > this.limits.maxUnackedBytes) return null;
    const frame = this.again.shift() ?? this.takeWaiting();
    if (!frame) return null;
    if (keepsUnacked) this.sent(frame);
    return frame.text;
  }

  // A frame that the client sent by itself, past all that waits; it counts among those that arrive.
  sentOurs(text: string): void {
    this.sent({ text, audioMs: 0, ours: true });
  }

  // So many frames of this conversation have arrived.
  ack(received: number): void {
    const arrived = this.unacked.splice(0, Math.max(0, received - this.acked));
    this.acked += arrived.length;
    for (const frame of arrived) this.unackedBytes -= frame.text.length;
  }

  // The line was cut and is back: what has not arrived is sent again, before all that waits.
  resend(received: number): void {
    this.ack(received);
    this.again = [...this.unacked, ...this.again];
    this.unacked = [];
    this.unackedBytes = 0;
  }

  // A new conversation begins, with these frames; nothing was sent in it yet, and what waits was not
  // meant for it.
  begin(first: string[]): void {
    const all = [...this.unacked, ...this.again, ...this.waiting];
    const gone = all.filter(({ text, ours }) => !ours && !first.includes(text));
    this.waiting = first.map((text) => ({ text, audioMs: 0 }));
    this.again = [];
    this.unacked = [];
    this.events = first.length;
    this.audioMs = this.unackedBytes = this.acked = 0;
    if (!gone.length) return;
    const audioMs = gone.reduce((sum, frame) => sum + frame.audioMs, 0);
    this.dropped({ reason: 'conversation_gone', events: gone.length, audioMs });
  }

  // A frame is on its way; until its arrival is known it is kept.
  private sent(frame: Frame): void {
    this.unacked.push(frame);
    this.unackedBytes += frame.text.length;
  }

  private takeWaiting(): Frame | undefined {
    const frame = this.waiting.shift();
    if (frame?.audioMs) this.audioMs -= frame.audioMs;
    else if (frame) this.events -= 1;
    return frame;
  }
}
